package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/apigws/apigws/cmd/apigws/internal/inspect"
	"github.com/apigws/apigws/gatewaytest"
)

// A reporter tells the user what happens: on out what is asked for, on err what is wrong.
type reporter struct {
	recorder *inspect.Recorder // nil without an inspector
	verbose  bool
	json     bool
	lost     atomic.Bool // events, so that the recorder may not know of every connection

	mu     sync.Mutex // guards the writers and what is below
	out    io.Writer
	err    io.Writer
	quiet  map[string]time.Time // until when no more failures of a route are printed
	hidden map[string]int       // how many were not
}

// warn prints a line about something that is wrong.
func (r *reporter) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.recorder != nil {
		r.recorder.Record(inspect.Event{Kind: inspect.Note, Text: text})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.err, text)
}

// failures reports the errors of a Handler.
func (r *reporter) failures(key string, h gatewaytest.Handler) gatewaytest.Handler {
	return func(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		resp, err := h(ctx, ev)
		if err != nil && ctx.Err() != context.Canceled { // the gateway is being closed
			r.failed("route "+key, err)
		}
		return resp, err
	}
}

// failed prints why something failed, once a second for each of what.
func (r *reporter) failed(what string, err error) {
	r.mu.Lock()
	now := time.Now()
	if now.Before(r.quiet[what]) {
		r.hidden[what]++
		r.mu.Unlock()
		return
	}
	r.quiet[what] = now.Add(time.Second)
	text := what + ": " + cause(err)
	if n := r.hidden[what]; n > 0 {
		text += fmt.Sprintf(" (and %d failures before this one)", n)
		delete(r.hidden, what)
	}
	r.mu.Unlock()
	r.warn("%s", text)
}

// cause is the text of an error without the URL of a request, whose query is the client's.
func cause(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timed out"
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		host := ""
		if u, parseErr := url.Parse(e.URL); parseErr == nil {
			host = u.Host + ": "
		}
		return host + e.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "gatewaytest: ")
}

// observe is the Config.Observe of the Server.
func (r *reporter) observe(o gatewaytest.Observation) {
	if o.Missed > 0 && r.recorder != nil {
		r.lost.Store(true)
		r.recorder.Record(inspect.Event{Kind: inspect.Note, Text: fmt.Sprintf("%d events are missing here", o.Missed)})
	}
	e := event(o)
	if r.recorder != nil {
		r.recorder.Record(e)
	}
	if r.verbose {
		r.print(o, e)
	}
}

// reconcile tells the recorder of connections that it does not know, or does not know to have
// ended, because their events were lost.
func (r *reporter) reconcile(gateway *gatewaytest.Server) {
	if r.recorder == nil || !r.lost.Swap(false) {
		return
	}
	open := map[string]bool{} // as the recorder has it
	conns, _ := r.recorder.Connections(0)
	for _, c := range conns {
		open[c.ID] = c.Open
	}
	live := map[string]bool{}
	for _, c := range gateway.Conns() {
		live[c.ID()] = true
		if _, known := open[c.ID()]; !known {
			r.recorder.Record(inspect.Event{Kind: inspect.Connect, Conn: c.ID()})
		}
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range gateway.AllConns() {
		if !open[c.ID()] || live[c.ID()] {
			continue
		}
		code, reason, err := c.Wait(now)
		if err != nil {
			r.lost.Store(true) // it is being closed: once more
			continue
		}
		r.recorder.Record(inspect.Event{Kind: inspect.Close, Conn: c.ID(), Code: code, Text: reason})
	}
}

// event returns an observation as the inspector has it.
func event(o gatewaytest.Observation) inspect.Event {
	e := inspect.Event{Time: o.Time, Conn: o.ConnectionID, Route: o.Route, Data: o.Data}
	switch o.Kind {
	case gatewaytest.Connected:
		e.Kind, e.IP, e.UserAgent = inspect.Connect, o.SourceIP, o.UserAgent
	case gatewaytest.Refused:
		e.Kind, e.Code = inspect.Refused, o.Status
	case gatewaytest.Received:
		e.Kind = inspect.Message
	case gatewaytest.Responded, gatewaytest.Pushed:
		e.Kind = inspect.Push
	case gatewaytest.Failed:
		e.Kind = inspect.Failed
	case gatewaytest.Pinged:
		e.Kind = inspect.Ping
	case gatewaytest.Closed:
		e.Kind, e.Code, e.Text = inspect.Close, o.Code, o.Reason
	default:
		e.Kind, e.Text = inspect.Note, string(o.Kind)
	}
	return e
}

// print prints an event for -v.
func (r *reporter) print(o gatewaytest.Observation, e inspect.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json {
		json.NewEncoder(r.out).Encode(struct {
			Time   time.Time        `json:"time"`
			Kind   gatewaytest.Kind `json:"kind"`
			Conn   string           `json:"conn,omitempty"`
			Route  string           `json:"route,omitempty"`
			Data   string           `json:"data,omitempty"`
			Status int              `json:"status,omitempty"`
			Code   int              `json:"code,omitempty"`
			Reason string           `json:"reason,omitempty"`
			Missed int              `json:"missed,omitempty"`
		}{o.Time, o.Kind, o.ConnectionID, o.Route, string(o.Data), o.Status, o.Code, o.Reason, o.Missed})
		return
	}
	if o.Missed > 0 {
		fmt.Fprintf(r.err, "%d events are missing here\n", o.Missed)
	}
	fields := []string{o.Time.Format("15:04:05.000"), fmt.Sprintf("%-9s", o.Kind)}
	add := func(ok bool, text string) {
		if ok {
			fields = append(fields, text)
		}
	}
	add(o.ConnectionID != "", o.ConnectionID)
	add(o.Route != "", o.Route)
	add(e.Code != 0, fmt.Sprint(e.Code))
	add(o.Reason != "", o.Reason)
	add(o.Data != nil, preview(o.Data))
	fmt.Fprintln(r.err, strings.Join(fields, "  "))
}

// preview is the beginning of a message on one line.
func preview(data []byte) string {
	const most = 200
	text, rest := string(data), ""
	if len(text) > most {
		text, rest = strings.ToValidUTF8(text[:most], ""), fmt.Sprintf("... (%d bytes)", len(data))
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError { // nothing that moves the cursor
			return ' '
		}
		return c
	}, text) + rest
}
