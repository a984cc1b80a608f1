package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/handshake"
)

// A style is the colour of an event.
type style string

const (
	dim     style = "\x1b[2m"
	good    style = "\x1b[32m"
	warning style = "\x1b[33m"
	bad     style = "\x1b[31m"
	arrow   style = "\x1b[36m"
	reset         = "\x1b[0m"
)

// A printer prints messages and events, each as a whole. Its methods may be called concurrently.
type printer struct {
	json             bool
	prefix, incoming string // what an event and a message begin with, as text
	colours          bool   // for events

	// A terminal gets no control characters from the other end: they could do more than print.
	outTerminal, eventsTerminal bool

	mu     sync.Mutex // guards what follows, and is held while one thing is printed
	out    io.Writer  // for messages
	events io.Writer
	layout bool // lay out messages that are JSON
}

// An event is what --json prints for one. Those of type state have a State and so on.
type event struct {
	Time       time.Time `json:"time"`
	Type       string    `json:"type"` // "state", "gatewayError", "pong", "stats", "note", "log"
	State      string    `json:"state,omitempty"`
	Connection int       `json:"connection,omitempty"` // counted from 1
	Error      string    `json:"error,omitempty"`
	RetryIn    float64   `json:"retryIn,omitempty"` // in seconds
	RTT        float64   `json:"rtt,omitempty"`     // in seconds
	Message    string    `json:"message,omitempty"`
	RequestID  string    `json:"requestId,omitempty"`
	Stats      *stats    `json:"stats,omitempty"`
}

// stats are those of the client, with its state by name.
type stats struct {
	State string
	apigws.Stats
}

// message prints a message that came in.
func (p *printer) message(msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		return json.NewEncoder(p.out).Encode(struct {
			Time time.Time `json:"time"`
			Type string    `json:"type"`
			Data string    `json:"data"`
		}{time.Now(), "message", string(msg)})
	}
	var laidOut bytes.Buffer
	if p.layout && json.Indent(&laidOut, msg, "", "  ") == nil {
		msg = laidOut.Bytes()
	}
	text := string(msg)
	if p.outTerminal {
		text = visible(text)
	}
	if p.incoming != "" && p.colours {
		text = string(arrow) + p.incoming + reset + text
	} else {
		text = p.incoming + text
	}
	_, err := io.WriteString(p.out, text+"\n")
	return err
}

// print prints an event: e as JSON, or text. That it cannot is no reason to end.
func (p *printer) print(e event, s style, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		e.Time = time.Now()
		json.NewEncoder(p.events).Encode(e)
		return
	}
	text = p.prefix + text
	if p.eventsTerminal {
		text = visible(text)
	}
	if p.colours {
		text = string(s) + text + reset
	}
	io.WriteString(p.events, text+"\n")
}

func (p *printer) note(s style, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.print(event{Type: "note", Message: text}, s, text)
}

// state prints a change of state. away is how long there was no connection before this one.
func (p *printer) state(change apigws.StateChange, away time.Duration) {
	e := event{Type: "state", State: change.To.String(), Connection: change.Generation, RetryIn: change.RetryIn.Seconds()}
	why := ""
	if change.Err != nil {
		e.Error = handshake.Text(change.Err)
		why = ": " + e.Error
	}
	lost := change.From == apigws.StateOpen
	switch {
	case change.To == apigws.StateOpen && lost:
		p.print(e, dim, fmt.Sprintf("rotated to connection %d", change.Generation))
	case change.To == apigws.StateOpen && away > 0:
		p.print(e, good, fmt.Sprintf("connected again after %v (connection %d)", round(away), change.Generation))
	case change.To == apigws.StateOpen:
		p.print(e, good, "connected")
	case change.To == apigws.StateBackoff && lost:
		p.print(e, warning, fmt.Sprintf("connection lost%s; trying again in %v", why, round(change.RetryIn)))
	case change.To == apigws.StateBackoff:
		p.print(e, warning, fmt.Sprintf("not connected%s; trying again in %v", why, round(change.RetryIn)))
	case change.To == apigws.StateConnecting && lost:
		p.print(e, warning, "connection lost"+why)
	case change.To == apigws.StateConnecting && change.From == change.To:
		p.print(e, dim, "connecting")
	case p.json:
		p.print(e, dim, "") // the end is told by the exit code, further attempts by their outcome
	}
}

func (p *printer) gatewayError(e *apigws.GatewayError) {
	text := fmt.Sprintf("the gateway answered %q", e.Message)
	if hint, ok := gatewayErrorHints[e.Message]; ok {
		text += ": " + hint
	}
	p.print(event{Type: "gatewayError", Message: e.Message, RequestID: e.RequestID}, bad, text+" (request "+e.RequestID+")")
}

// toggleLayout turns the layout of JSON on or off, and returns which.
func (p *printer) toggleLayout() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.layout = !p.layout
	return p.layout
}

// logWriter prints each line of the library's log as an event.
type logWriter struct{ p *printer }

func (w logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	w.p.print(event{Type: "log", Message: text}, dim, text)
	return len(line), nil
}

// visible replaces what a terminal would obey by what it can show.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s { // bytes that are not UTF-8 come as U+FFFD
		switch {
		case r == '\n' || r == '\t' || !unicode.IsControl(r) && !invisible(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// invisible reports whether r changes the direction of text, which can make it look like other
// text.
func invisible(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// round leaves two or three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit)
}
