package inspect

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Kind is what an Event tells of.
type Kind string

// The kinds of an Event.
const (
	Connect Kind = "connect" // a client was let in
	Refused Kind = "refused" // a handshake was refused, with Code
	Message Kind = "message" // from the client, to Route
	Push    Kind = "push"    // to the client, a route response included
	Ping    Kind = "ping"    // from the client
	Failed  Kind = "failed"  // an error frame to the client
	Close   Kind = "close"   // the connection is no longer open; Code, and Text is the reason
	Action  Kind = "action"  // somebody has used the inspector; Text says how
	Note    Kind = "note"    // something else; Text says what
)

// An Event is something that has happened at the gateway. Of a recorded one, Data is gone and Text
// is the beginning of what it was.
type Event struct {
	Seq   uint64    `json:"seq"` // counts from 1
	Time  time.Time `json:"time"`
	Kind  Kind      `json:"kind"`
	Conn  string    `json:"conn,omitempty"` // the connectionId
	Route string    `json:"route,omitempty"`
	Bytes int       `json:"bytes,omitempty"` // of a message
	Code  int       `json:"code,omitempty"`
	Text  string    `json:"text,omitempty"`

	Data      []byte `json:"-"` // of a message or a push
	IP        string `json:"-"` // of a client that connects
	UserAgent string `json:"-"` // likewise
}

// A Conn is a connection as the inspector shows it.
type Conn struct {
	ID          string     `json:"id"`     // the connectionId
	Number      int        `json:"number"` // in the order of arrival
	Open        bool       `json:"open"`
	ConnectedAt time.Time  `json:"connectedAt"`
	LastAt      time.Time  `json:"lastAt"` // of the last message, push or PING
	EndedAt     *time.Time `json:"endedAt,omitempty"`
	IP          string     `json:"sourceIp"`
	UserAgent   string     `json:"userAgent,omitempty"`
	In          int        `json:"in"`  // messages from the client
	Out         int        `json:"out"` // pushes to it
	BytesIn     int        `json:"bytesIn"`
	BytesOut    int        `json:"bytesOut"`
	Pings       int        `json:"pings"`
	Code        int        `json:"code,omitempty"` // of the close
	Reason      string     `json:"reason,omitempty"`
	Frozen      bool       `json:"frozen"` // by the inspector
	Slow        *Slow      `json:"slow,omitempty"`
}

// A Line is a message or a push of one connection.
type Line struct {
	Seq   uint64    `json:"seq"` // of its Event
	Time  time.Time `json:"time"`
	Kind  Kind      `json:"kind"`
	Route string    `json:"route,omitempty"`
	Bytes int       `json:"bytes"`         // of the message
	Text  string    `json:"text"`          // of it, the beginning where Cut says so
	Cut   bool      `json:"cut,omitempty"` // the rest is not kept
}

// Bounds of what a Recorder keeps.
const (
	mostEvents  = 5000     // the last ones
	mostEnded   = 1000     // connections that have ended, the last ones
	mostLines   = 200      // of one connection, the last ones
	mostBytes   = 64 << 20 // about, of the texts of all lines
	lineBytes   = 64 << 10 // of the text of one line
	previewSize = 200      // of the text of an event
)

// A Recorder keeps what has happened, the last of it. Its methods may be called concurrently.
type Recorder struct {
	mu      sync.Mutex // guards all below
	seq     uint64     // of the last event
	events  []Event    // a ring once it is full: event n is at (n-1) % mostEvents
	conns   map[string]*record
	ended   []string // ids, oldest first
	version uint64   // of the last change of a connection
	counts  Counts
}

// Counts are what has happened since the start.
type Counts struct {
	Connects int `json:"connects"` // clients that were let in
	Open     int `json:"open"`     // connections now
	Refused  int `json:"refused"`  // handshakes
	Messages int `json:"messages"` // from clients
	Pushes   int `json:"pushes"`   // to clients, answers and error frames included
	Failed   int `json:"failed"`   // error frames
}

type record struct {
	Conn
	version uint64 // when it last changed
	lines   []Line
	bytes   int // of the texts in lines
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder { return &Recorder{conns: map[string]*record{}} }

// Record takes in an event and sets its Seq and, if it has none, its Time.
func (r *Recorder) Record(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	text := e.Text
	if e.Data != nil {
		text, e.Text = beginning(e.Data, lineBytes), beginning(e.Data, previewSize)
		e.Bytes, e.Data = len(e.Data), nil // and an event does not hold on to the text of its line
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind == Connect && r.conns[e.Conn] != nil {
		return // it was told of already
	}
	r.seq++
	e.Seq = r.seq
	r.count(&e)
	r.connection(&e, text)
	e.IP, e.UserAgent = "", ""
	if len(r.events) < mostEvents {
		r.events = append(r.events, e)
	} else {
		r.events[(e.Seq-1)%mostEvents] = e
	}
}

// beginning returns the first bytes of a text, without the part of a character at the end.
func beginning(data []byte, most int) string {
	if len(data) <= most {
		return string(data)
	}
	return strings.ToValidUTF8(string(data[:most]), "")
}

func (r *Recorder) count(e *Event) {
	switch e.Kind {
	case Connect:
		r.counts.Connects++
		r.counts.Open++
	case Refused:
		r.counts.Refused++
	case Message:
		r.counts.Messages++
	case Push:
		r.counts.Pushes++
	case Failed:
		r.counts.Pushes++
		r.counts.Failed++
	}
}

// connection applies an event to its connection, with mu held.
func (r *Recorder) connection(e *Event, text string) {
	if e.Kind == Connect {
		r.conns[e.Conn] = &record{Conn: Conn{
			ID: e.Conn, Number: r.counts.Connects, Open: true, ConnectedAt: e.Time, LastAt: e.Time, IP: e.IP, UserAgent: e.UserAgent,
		}}
	}
	c := r.conns[e.Conn]
	if c == nil {
		return
	}
	r.version++
	c.version = r.version
	switch e.Kind {
	case Message:
		c.In++
		c.BytesIn += e.Bytes
	case Push, Failed:
		c.Out++
		c.BytesOut += e.Bytes
	case Ping:
		c.Pings++
	case Close:
		if c.Open {
			c.Open, c.Code, c.Reason, c.EndedAt = false, e.Code, e.Text, &e.Time
			r.counts.Open--
			r.keepEnded(e.Conn)
		}
		return
	default:
		return
	}
	c.LastAt = e.Time
	if e.Kind != Ping {
		c.add(Line{Seq: e.Seq, Time: e.Time, Kind: e.Kind, Route: e.Route, Bytes: e.Bytes, Text: text, Cut: len(text) < e.Bytes},
			mostBytes/len(r.conns))
	}
}

// keepEnded forgets the oldest connection that has ended, once there are too many.
func (r *Recorder) keepEnded(id string) {
	if r.ended = append(r.ended, id); len(r.ended) > mostEnded {
		delete(r.conns, r.ended[0])
		r.ended = r.ended[1:]
	}
}

// add keeps a line, and as many of those before it as fit. The text of the last line is kept in any
// case.
func (c *record) add(l Line, most int) {
	c.lines = append(c.lines, l)
	c.bytes += len(l.Text)
	n := 0
	for len(c.lines)-n > mostLines || c.bytes > most && n < len(c.lines)-1 {
		c.bytes -= len(c.lines[n].Text)
		c.lines[n].Text = ""
		n++
	}
	c.lines = c.lines[n:]
}

// Connections returns the connections that have changed since a version, oldest first, and the
// version now. Version 0: all.
func (r *Recorder) Connections(since uint64) (conns []Conn, version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	conns = []Conn{} // not null in JSON
	for _, c := range r.conns {
		if c.version > since || since == 0 {
			conns = append(conns, c.Conn)
		}
	}
	slices.SortFunc(conns, func(a, b Conn) int { return cmp.Compare(a.Number, b.Number) })
	return conns, r.version
}

// Connection returns one connection and its lines after an event, oldest first.
func (r *Recorder) Connection(id string, since uint64) (Conn, []Line, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.conns[id]
	if c == nil {
		return Conn{}, nil, false
	}
	n, _ := slices.BinarySearchFunc(c.lines, since+1, func(l Line, seq uint64) int { return cmp.Compare(l.Seq, seq) })
	return c.Conn, append([]Line{}, c.lines[n:]...), true
}

// Events returns the events after seq, oldest first, the last ones if there are more than most; and
// how many after seq are missing.
func (r *Recorder) Events(seq uint64, most int) (events []Event, missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq >= r.seq {
		return []Event{}, 0
	}
	n := min(r.seq-seq, uint64(len(r.events)), uint64(most))
	events = make([]Event, 0, n)
	for s := r.seq - n; s < r.seq; s++ {
		events = append(events, r.events[s%mostEvents])
	}
	return events, int(r.seq - seq - n)
}

// Counts returns the counts as they are now.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// set changes what the inspector says of a connection.
func (r *Recorder) set(id string, f func(*Conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.conns[id]; c != nil {
		f(&c.Conn)
		r.version++
		c.version = r.version
	}
}
