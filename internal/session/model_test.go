package session

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/window"
)

// The model goes through every order of events in the life of a client that writes a few messages:
// the code of the accounts and of the window is the real one, and what they are used for is
// spelled out here: batches, losses, rotations, resending. After each event it compares what the
// client believes and has told with what the gateway has.
//
// Two goroutines write: one the messages 0 and 2, the other message 1.

const (
	modelMessages    = 3
	modelConnections = 3
	modelPings       = 3 // on each connection
)

var modelWriters = [][]int{{0, 2}, {1}}

// A modelFrame is a message (0 or more) or a PING (-1 less its number).
type modelFrame int

func (f modelFrame) isPing() bool { return f < 0 }
func (f modelFrame) ping() uint64 { return uint64(-1 - f) }

// A fate is what the client has told of a message.
type fate byte

const (
	unwritten  fate = '.'
	writing    fate = 'w' // its Write has not returned
	told       fate = 'u' // Write has returned ErrUnconfirmed
	refused    fate = 'r' // Write has returned ErrNotSent, or the window has rejected it
	writtenNil fate = 'n' // Write has returned nil
)

// A modelConn is one connection at both ends.
type modelConn struct {
	accounts accounts
	batch    []modelFrame // not yet taken by the socket
	wire     []modelFrame // taken, on the way
	pongs    []uint64     // on the way back
	sent     []int        // messages put into batches
	resend   []int        // messages that are yet to be sent again
	ready    bool         // the application may write
	sealed   bool
	lost     bool // for the client
	closed   bool // by the gateway, for a message
}

type model struct {
	withWindow bool
	bad        int // for which the gateway closes the connection; -1: none

	log     window.Log
	conns   []modelConn
	fates   [modelMessages]fate
	arrived []int // at the gateway, in order
	claimed int64 // lost messages that Flush tells of
	lost    []int // those messages
	acked   [modelMessages]bool

	// How it came to this.
	before *model
	event  string
}

func newModel(withWindow bool, bad int) *model {
	m := &model{withWindow: withWindow, bad: bad, log: window.Log{Limit: 1 << 20}}
	for i := range m.fates {
		m.fates[i] = unwritten
	}
	m.conns = []modelConn{{ready: true}}
	return m
}

func (m *model) current() *modelConn { return &m.conns[len(m.conns)-1] }

func (m *model) clone() *model {
	n := *m
	n.conns = slices.Clone(m.conns)
	for i := range n.conns {
		c := &n.conns[i]
		c.accounts.outstanding = slices.Clone(c.accounts.outstanding)
		c.batch, c.wire = slices.Clone(c.batch), slices.Clone(c.wire)
		c.pongs, c.resend, c.sent = slices.Clone(c.pongs), slices.Clone(c.resend), slices.Clone(c.sent)
	}
	n.log = m.log.Clone()
	n.arrived = slices.Clone(m.arrived)
	n.lost = slices.Clone(m.lost)
	n.before = m
	return &n
}

// key is equal for models that behave alike.
func (m *model) key() string {
	b := make([]byte, 0, 128)
	list := func(n int) { b = append(b, 0xff, byte(n)) }
	flag := func(set bool) {
		if set {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	ints := func(all []int) {
		list(len(all))
		for _, i := range all {
			b = append(b, byte(i))
		}
	}
	frames := func(all []modelFrame) {
		list(len(all))
		for _, f := range all {
			b = append(b, byte(f))
		}
	}
	for i, f := range m.fates {
		b = append(b, byte(f))
		flag(m.acked[i])
	}
	ints(m.arrived)
	ints(m.lost)
	ints(kept(&m.log))
	flag(m.log.OneByOne())
	for i := range m.conns {
		c := &m.conns[i]
		a := &c.accounts
		b = append(b, '|', byte(a.taken), byte(a.acknowledged), byte(a.pings))
		list(len(a.outstanding))
		for _, p := range a.outstanding {
			b = append(b, byte(p.number), byte(p.messages))
		}
		frames(c.batch)
		frames(c.wire)
		list(len(c.pongs))
		for _, n := range c.pongs {
			b = append(b, byte(n))
		}
		ints(c.sent)
		ints(c.resend)
		flag(c.ready)
		flag(c.sealed)
		flag(c.lost)
		flag(c.closed)
	}
	return string(b)
}

func kept(l *window.Log) []int {
	var all []int
	for _, p := range l.Kept() {
		n, _ := strconv.Atoi(string(p))
		all = append(all, n)
	}
	return all
}

var modelTime = time.Unix(1, 0)

func (m *model) appendPing(c *modelConn) {
	c.batch = append(c.batch, -1-modelFrame(c.accounts.addPing(modelTime, nil)))
}

// track does what sender.track does.
func (m *model) track(c *modelConn, i int, kind Kind) {
	c.batch = append(c.batch, modelFrame(i))
	c.sent = append(c.sent, i)
	first := c.accounts.addMessage()
	if !m.withWindow {
		if first {
			c.accounts.unfollowed = modelTime
		}
		return
	}
	if kind == Fresh {
		p := []byte(strconv.Itoa(i))
		m.log.Reserve(len(p))
		m.log.Add(p)
	}
	if len(c.accounts.outstanding) == 0 {
		m.appendPing(c)
	}
}

// take lets the socket take the batch.
func (m *model) take(c *modelConn) {
	var messages int64
	var last uint64
	for _, f := range c.batch {
		if f.isPing() {
			last = f.ping()
			continue
		}
		messages++
		if m.fates[f] == writing {
			m.fates[f] = writtenNil
		}
	}
	c.accounts.took(messages, last, modelTime, 0)
	c.wire = append(c.wire, c.batch...)
	c.batch = nil
}

// lose ends the connection for the client. The first frames of the batch were taken all the same.
func (m *model) lose(c *modelConn, took int, rejects bool) {
	c.wire = append(c.wire, c.batch[:took]...)
	for i, f := range c.batch {
		if f.isPing() || m.fates[f] != writing {
			continue
		}
		switch {
		case m.withWindow:
			m.fates[f] = writtenNil
		case i < took:
			m.fates[f] = told // Unconfirmed
		case rejects:
			m.fates[f] = refused // Truncated, and it may be the one that is refused
		default: // Truncated: Write goes on with the next connection
		}
	}
	c.batch = nil
	c.lost = true
	if !m.withWindow {
		m.claimed += c.accounts.lost()
		for _, i := range c.sent[c.accounts.acknowledged:] {
			if m.fates[i] == writtenNil {
				m.lost = append(m.lost, i)
			}
		}
	}
	if m.withWindow && rejects && m.log.Suspect() {
		oldest := kept(&m.log)[0]
		m.log.Reject()
		m.fates[oldest] = refused
	}
}

// connect makes the next connection after a loss. What was on its way on the old one is dropped: it
// was reset.
func (m *model) connect() {
	old := m.current()
	old.wire, old.pongs = nil, nil
	m.conns = append(m.conns, modelConn{})
	c := m.current()
	if m.withWindow {
		c.resend = kept(&m.log)
	}
	m.settleResend(c)
}

// settleResend lets the application write when everything has been sent again.
func (m *model) settleResend(c *modelConn) {
	if !c.ready && len(c.resend) == 0 && len(c.batch) == 0 &&
		!(m.log.OneByOne() && c.accounts.unacknowledged() > 0) {
		m.log.Resent()
		c.ready = true
	}
}

// arrive lets the gateway have the next frame of a connection.
func (m *model) arrive(c *modelConn) {
	f := c.wire[0]
	c.wire = c.wire[1:]
	switch {
	case f.isPing():
		c.pongs = append(c.pongs, f.ping())
	case int(f) == m.bad:
		c.closed, c.wire = true, nil
	default:
		m.arrived = append(m.arrived, int(f))
	}
}

// pong lets the client have the next PONG of a connection.
func (m *model) pong(c *modelConn) {
	number := c.pongs[0]
	c.pongs = c.pongs[1:]
	before := c.accounts.acknowledged
	_, n, ok := c.accounts.pong(strconv.AppendUint(nil, number, 10))
	if !ok {
		panic("a PONG answers nothing")
	}
	if m.withWindow {
		for _, i := range kept(&m.log)[:n] {
			m.acked[i] = true
		}
		m.log.Acknowledge(int(n))
		if len(c.accounts.outstanding) == 0 && c.accounts.unacknowledged() > 0 {
			m.appendPing(c)
		}
	} else {
		for _, i := range c.sent[before:c.accounts.acknowledged] {
			m.acked[i] = true
		}
	}
	m.settleResend(c)
}

// An event is one thing that can happen next.
type modelEvent struct {
	name string
	do   func(*model)
}

// events returns everything that can happen next.
func (m *model) events() []modelEvent {
	var all []modelEvent
	add := func(name string, do func(*model)) { all = append(all, modelEvent{name, do}) }
	index := len(m.conns) - 1
	c := m.current()
	usable := c.ready && !c.sealed && !c.lost

	for w, messages := range modelWriters {
		i := slices.IndexFunc(messages, func(i int) bool { return m.fates[i] == unwritten || m.fates[i] == writing })
		if i < 0 || !usable {
			continue
		}
		i = messages[i]
		if m.fates[i] == unwritten || !slices.Contains(c.sent, i) { // it was truncated before
			add(fmt.Sprintf("writer %d writes %d", w, i), func(m *model) {
				m.fates[i] = writing
				m.track(m.current(), i, Fresh)
			})
		}
	}
	if !c.lost {
		if len(c.batch) > 0 {
			add("the socket takes the batch", func(m *model) {
				m.take(m.current())
				m.settleResend(m.current())
			})
		}
		if len(c.resend) > 0 && len(c.batch) == 0 && !(m.log.OneByOne() && c.accounts.unacknowledged() > 0) {
			add("the next message is sent again", func(m *model) {
				c := m.current()
				i := c.resend[0]
				c.resend = c.resend[1:]
				m.track(c, i, Again)
			})
		}
		if c.accounts.pings < modelPings {
			add("a PING is due", func(m *model) { m.appendPing(m.current()) })
		}
		for took := 0; took <= len(c.batch); took++ {
			add(fmt.Sprintf("the connection is lost, %d frames of the batch taken", took), func(m *model) {
				m.lose(m.current(), took, false)
			})
			if c.closed {
				add(fmt.Sprintf("the CLOSE 1009 comes, %d frames of the batch taken", took), func(m *model) {
					m.lose(m.current(), took, true)
				})
			}
		}
		if usable && index+1 < modelConnections {
			add("a rotation seals the connection", func(m *model) { m.current().sealed = true })
		}
		if c.sealed && len(c.batch) == 0 && c.accounts.unacknowledged() == 0 {
			add("the next connection takes over", func(m *model) {
				m.conns = append(m.conns, modelConn{ready: true})
			})
		}
	} else if index+1 < modelConnections {
		add("the next connection is open", func(m *model) { m.connect() })
	}
	for i := range m.conns {
		conn := &m.conns[i]
		if len(conn.wire) > 0 && !conn.closed {
			add(fmt.Sprintf("a frame of connection %d arrives", i), func(m *model) { m.arrive(&m.conns[i]) })
		}
		if len(conn.pongs) > 0 && !conn.lost {
			add(fmt.Sprintf("a PONG of connection %d comes", i), func(m *model) { m.pong(&m.conns[i]) })
		}
	}
	return all
}

// check returns what is wrong.
func (m *model) check() string {
	count := func(i int) (n int) {
		for _, a := range m.arrived {
			if a == i {
				n++
			}
		}
		return n
	}
	inWindow := kept(&m.log)
	c := m.current()
	for i, f := range m.fates {
		n := count(i)
		switch {
		case m.acked[i] && n == 0:
			return fmt.Sprintf("message %d is acknowledged and has not arrived", i)
		case n > 1 && !m.withWindow:
			return fmt.Sprintf("message %d has arrived twice without a window", i)
		case f == refused && n > 0:
			return fmt.Sprintf("message %d is refused and has arrived", i)
		case f == refused && m.bad != i && m.withWindow:
			return fmt.Sprintf("message %d is refused in place of %d", i, m.bad)
		}
		if f != writtenNil || n > 0 {
			continue
		}
		// Write has returned nil, and it has not arrived.
		switch {
		case m.withWindow && !slices.Contains(inWindow, i):
			return fmt.Sprintf("message %d is lost, and not in the window", i)
		case !m.withWindow && !slices.Contains(m.lost, i) && !slices.Contains(c.sent, i):
			return fmt.Sprintf("message %d is lost, and nothing tells of it", i)
		}
	}
	if int64(len(m.lost)) != m.claimed {
		return fmt.Sprintf("%d messages are claimed to be lost, %d may be: %v", m.claimed, len(m.lost), m.lost)
	}
	for _, i := range m.lost {
		if m.acked[i] {
			return fmt.Sprintf("message %d is claimed to be lost and acknowledged", i)
		}
	}
	if a, b := slices.Index(m.arrived, 0), slices.Index(m.arrived, 2); b >= 0 && (a > b || a < 0 && m.withWindow && m.bad != 0) {
		return fmt.Sprintf("arrived %v: 2 before 0", m.arrived)
	}
	if m.withWindow && c.ready && !c.lost {
		if n := c.accounts.unacknowledged(); n != int64(len(inWindow)) {
			return fmt.Sprintf("the window has %d messages, %d are unacknowledged", len(inWindow), n)
		}
	}
	return ""
}

// history lists the events that led to m.
func (m *model) history() string {
	if m.before == nil {
		return ""
	}
	return m.before.history() + "\n  " + m.event
}

// explore goes through all that can happen within a number of events, and returns how many states
// it saw.
func explore(t *testing.T, start *model, depth int) int {
	seen := map[string]bool{start.key(): true}
	frontier := []*model{start}
	for range depth {
		var next []*model
		for _, m := range frontier {
			for _, e := range m.events() {
				n := m.clone()
				n.event = e.name
				e.do(n)
				if wrong := n.check(); wrong != "" {
					t.Fatalf("%s:%s", wrong, n.history())
				}
				if key := n.key(); !seen[key] {
					seen[key] = true
					next = append(next, n)
				}
			}
		}
		frontier = next
	}
	return len(seen)
}

var modelDepth = flag.Int("model.depth", 9, "how many events TestEveryOrderOfEvents goes through")

// Every order of up to this many events keeps the promises of Write, Flush and Resend.
func TestEveryOrderOfEvents(t *testing.T) {
	for _, withWindow := range []bool{false, true} {
		for _, bad := range []int{-1, 0, 1} {
			t.Run(fmt.Sprintf("window %v, refused %d", withWindow, bad), func(t *testing.T) {
				t.Parallel()
				t.Logf("%d states", explore(t, newModel(withWindow, bad), *modelDepth))
			})
		}
	}
}
