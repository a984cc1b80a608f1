package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// A State is what the inspector tells of the gateway as a whole.
type State struct {
	URL           string         `json:"url"`           // what clients dial
	ManagementURL string         `json:"managementUrl"` // what backends call, before /@connections
	Started       time.Time      `json:"started"`       // the inspector
	Now           time.Time      `json:"now"`
	Counts        Counts         `json:"counts"`
	Closed        map[string]int `json:"closed"` // connections that have ended, by close code
}

func (i *Inspector) now() State {
	closed := map[string]int{}
	for code, n := range i.gateway.Stats().Closed {
		closed[strconv.Itoa(code)] = n
	}
	return State{
		URL: i.gateway.URL, ManagementURL: i.gateway.ManagementURL, Started: i.started, Now: time.Now(),
		Counts: i.recorder.Counts(), Closed: closed,
	}
}

func (i *Inspector) state(w http.ResponseWriter, r *http.Request) { answer(w, i.now()) }

func (i *Inspector) connections(w http.ResponseWriter, r *http.Request) {
	conns, _ := i.recorder.Connections(0)
	answer(w, conns)
}

// connection answers with a connection and its messages, those after the event ?since= where that
// is given.
func (i *Inspector) connection(w http.ResponseWriter, r *http.Request) {
	since, ok := number(w, r, "since", 0)
	if !ok {
		return
	}
	conn, lines, ok := i.recorder.Connection(r.PathValue("id"), since)
	if !ok {
		fail(w, http.StatusNotFound, "no such connection")
		return
	}
	answer(w, struct {
		Conn
		Messages []Line `json:"messages"`
	}{conn, lines})
}

// events answers with the events after ?since=, the last ?limit= of them.
func (i *Inspector) events(w http.ResponseWriter, r *http.Request) {
	since, ok1 := number(w, r, "since", 0)
	if !ok1 {
		return
	}
	limit, ok2 := number(w, r, "limit", mostEvents)
	if !ok2 {
		return
	}
	events, missing := i.recorder.Events(since, int(min(limit, mostEvents)))
	answer(w, batch{Events: events, Missing: missing})
}

// number takes a number from the query. If it returns false, it has answered.
func number(w http.ResponseWriter, r *http.Request, name string, def uint64) (uint64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, name+" must be a number")
	}
	return n, err == nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": why})
}

// mostBody is how long the body of a request may be: a message of 128 KiB, and then some for the
// gateway to refuse.
const mostBody = 1 << 20

// target finds an open connection, and reads the body of the request. If it returns nil, it has
// answered.
func (i *Inspector) target(w http.ResponseWriter, r *http.Request) (*gatewaytest.Conn, []byte) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, "the body is too long")
		return nil, nil
	}
	for _, c := range i.gateway.Conns() {
		if c.ID() == r.PathValue("id") {
			return c, body
		}
	}
	fail(w, http.StatusNotFound, "no such open connection")
	return nil, nil
}

// done logs an action and answers that it is done.
func (i *Inspector) done(w http.ResponseWriter, conn, what string) {
	i.recorder.Record(Event{Kind: Action, Conn: conn, Text: what})
	w.WriteHeader(http.StatusNoContent)
}

// push sends the body as a text message to the client.
func (i *Inspector) push(w http.ResponseWriter, r *http.Request) {
	c, body := i.target(w, r)
	if c == nil {
		return
	}
	if err := i.gateway.Post(c.ID(), body); err != nil {
		status := http.StatusInternalServerError
		var api *gatewaytest.APIError
		if errors.As(err, &api) {
			status = api.StatusCode
		}
		fail(w, status, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// kick closes a connection as DELETE @connections does, or with the code and the reason in the
// body.
func (i *Inspector) kick(w http.ResponseWriter, r *http.Request) {
	close := struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	}{1000, "Connection Closed Normally"}
	c, body := i.target(w, r)
	if c == nil || !decode(w, body, &close) {
		return
	}
	if close.Code < 1000 || close.Code > 4999 || len(close.Reason) > 123 {
		fail(w, http.StatusBadRequest, "code must be from 1000 to 4999, and reason at most 123 bytes")
		return
	}
	c.Close(close.Code, close.Reason)
	i.done(w, c.ID(), fmt.Sprintf("kick, code %d", close.Code))
}

// drop resets the connection without a close frame.
func (i *Inspector) drop(w http.ResponseWriter, r *http.Request) {
	if c, _ := i.target(w, r); c != nil {
		c.Drop()
		i.done(w, c.ID(), "drop")
	}
}

// freeze makes the path dead or alive again: {"frozen": true}, which is the default.
func (i *Inspector) freeze(w http.ResponseWriter, r *http.Request) {
	freeze := struct {
		Frozen bool `json:"frozen"`
	}{true}
	c, body := i.target(w, r)
	if c == nil || !decode(w, body, &freeze) {
		return
	}
	c.Freeze(freeze.Frozen)
	i.recorder.set(c.ID(), func(c *Conn) { c.Frozen = freeze.Frozen })
	what := "freeze"
	if !freeze.Frozen {
		what = "thaw"
	}
	i.done(w, c.ID(), what)
}

// A Slow is how slow a connection has been made. Zero values: not at all.
type Slow struct {
	BytesPerSecond int `json:"bytesPerSecond"` // in either direction
	LatencyMillis  int `json:"latencyMillis"`  // of what the gateway sends
}

// slow makes a connection slow, or fast again where the body is empty.
func (i *Inspector) slow(w http.ResponseWriter, r *http.Request) {
	var slow Slow
	c, body := i.target(w, r)
	if c == nil || !decode(w, body, &slow) {
		return
	}
	const tooSlow = 3_600_000
	if slow.BytesPerSecond < 0 || slow.LatencyMillis < 0 || slow.LatencyMillis > tooSlow {
		fail(w, http.StatusBadRequest, "bytesPerSecond and latencyMillis must not be negative, and the latency at most an hour")
		return
	}
	c.SetFaults(gatewaytest.Faults{
		RateIn: slow.BytesPerSecond, RateOut: slow.BytesPerSecond,
		Latency: time.Duration(slow.LatencyMillis) * time.Millisecond,
	})
	what := "slow off"
	shown := (*Slow)(nil)
	if slow != (Slow{}) {
		shown, what = &slow, fmt.Sprintf("slow: %d bytes/s, latency %d ms", slow.BytesPerSecond, slow.LatencyMillis)
	}
	i.recorder.set(c.ID(), func(c *Conn) { c.Slow = shown })
	i.done(w, c.ID(), what)
}

// refuse answers the next handshakes with a status: {"status": 503, "count": 1}. Count -1: all,
// until count 0.
func (i *Inspector) refuse(w http.ResponseWriter, r *http.Request) {
	refuse := struct {
		Status int `json:"status"`
		Count  int `json:"count"`
	}{http.StatusServiceUnavailable, 1}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, "the body is too long")
		return
	}
	if !decode(w, body, &refuse) {
		return
	}
	if refuse.Status < 400 || refuse.Status > 599 {
		fail(w, http.StatusBadRequest, "status must be from 400 to 599")
		return
	}
	i.gateway.Refuse(refuse.Status, refuse.Count)
	what := fmt.Sprintf("refuse the next %d handshakes with %d", refuse.Count, refuse.Status)
	switch {
	case refuse.Count < 0:
		what = fmt.Sprintf("refuse handshakes with %d", refuse.Status)
	case refuse.Count == 0:
		what = "refuse no handshakes"
	}
	i.done(w, "", what)
}

// decode reads a JSON body into v; an empty one leaves it as it is. If it returns false, it has
// answered.
func decode(w http.ResponseWriter, body []byte, v any) bool {
	if len(body) == 0 {
		return true
	}
	if err := json.Unmarshal(body, v); err != nil {
		fail(w, http.StatusBadRequest, "the body is not the JSON that is expected")
		return false
	}
	return true
}
