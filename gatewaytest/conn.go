package gatewaytest

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// A Conn is the gateway's end of one connection, for a test to look at and to disturb. Its methods
// may be called concurrently, also once the connection has ended: then they do nothing, or return
// an error where they can.
type Conn struct {
	srv         *Server
	id          string
	number      int // in the order of arrival; set by registry.add
	origin      origin
	connectedAt time.Time // when the client got the 101
	wire        *wire

	mu      sync.Mutex // guards all below, the fields of clock, history, out and todo included
	room    sync.Cond  // out or todo got shorter, or the connection moved on
	changed signal     // a message came in, or the connection moved on
	state   state
	end     ending
	clock   clock
	history history
	out     outbox
	todo    tasks
}

// An ending is how the open state ended, and how far the close handshake is.
type ending struct {
	code   int
	reason string
	sent   bool      // the gateway's close frame is out
	seen   bool      // the client's has come
	by     time.Time // when a close handshake under way has lasted long enough
}

// The reading goroutine lives as long as the state is not closed, so whatever is started under mu
// in an earlier state is started before Server.Close can have counted all connections as gone.
type state int

const (
	stateOpen state = iota
	// A close frame of either side, or the end of the line, has been seen: no more messages.
	stateClosing
	stateClosed // nobody reads any more
)

// closeWait is how long the gateway waits for the client's answer to its close frame before it
// closes the socket, and how long for a client that does not read even the close frame.
const closeWait = time.Second

var errGone = errors.New("gatewaytest: connection is closed")

// newConn returns an open connection.
func newConn(s *Server, id string, o origin, conn net.Conn) *Conn {
	now := time.Now()
	c := &Conn{srv: s, id: id, origin: o, connectedAt: now, wire: newWire(conn, s.handling.newFaults())}
	c.room.L = &c.mu
	c.out.c, c.todo.c, c.clock.c = c, c, c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.start(now)
	return c
}

// start lets frames flow, once the client has the 101. Early is what the client sent before it had
// it.
func (c *Conn) start(early []byte) {
	c.mu.Lock()
	c.out.started = true
	c.out.startWriter()
	c.mu.Unlock()
	c.srv.wg.Go(newReader(c, early).run)
	c.srv.log.Info("connected", "conn", c.id)
}

// ID returns the connectionId, as the backend sees it. The client cannot see it: the 101 carries
// none.
func (c *Conn) ID() string { return c.id }

// Send pushes a text message to the client, as POST @connections does. It counts as activity. It
// returns as soon as the message is in the gateway's buffer; while that is full (Config.Buffer), it
// waits. The error says that the connection is closed.
func (c *Conn) Send(data []byte) error { return c.out.push(Pushed, data, true) }

// SendRaw sends bytes as they are, after whatever is under way: a broken frame, a PING (0x89,
// 0x00), half a message. It does not count as activity.
func (c *Conn) SendRaw(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen {
		return errGone
	}
	c.out.enqueue(outgoing{data: bytes.Clone(b)}, 0)
	return nil
}

// Close sends a close frame after whatever is under way, waits up to a second for the client's,
// without making the caller wait, and closes the connection. Code 1005 sends a close frame without
// a status; 1006 sends none and just closes. The real gateway never uses another code for a
// backend's DELETE than 1000 "Connection Closed Normally".
func (c *Conn) Close(code int, reason string) { c.shut(code, reason) }

// Drop resets the connection (TCP RST) without a close frame.
func (c *Conn) Drop() {
	c.mu.Lock()
	c.leave(codeAbnormal, "")
	c.mu.Unlock()
	c.wire.reset()
}

// Freeze makes the path dead, or alive again: nothing gets through in either direction, and the
// socket stays open and accepts what the client writes until its buffers are full. The gateway
// notices nothing meanwhile: neither the idle cut nor the end of the lifetime shows on the wire
// before the path is alive again. Drop and Server.Close do.
func (c *Conn) Freeze(frozen bool) { c.freeze(&frozen, &frozen) }

// FreezeIn is Freeze for what the client sends. The gateway can still cut the connection, and the
// client sees it.
func (c *Conn) FreezeIn(frozen bool) { c.freeze(&frozen, nil) }

// FreezeOut is Freeze for what the gateway sends: messages still come in, and no answer or PONG
// goes out.
func (c *Conn) FreezeOut(frozen bool) { c.freeze(nil, &frozen) }

func (c *Conn) freeze(in, out *bool) {
	// So that clock.check does not see the path alive and the time of the close handshake over.
	c.mu.Lock()
	c.wire.freeze(in, out)
	c.clock.linger()
	c.mu.Unlock()
	c.clock.check() // what came due while it was frozen
}

// SetFaults makes things go wrong from now on, in place of the faults set before.
func (c *Conn) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wire.setFaults(f)
	c.clock.linger()
}

// shut begins the close handshake.
func (c *Conn) shut(code int, reason string) {
	c.mu.Lock()
	first := c.leave(code, reason)
	if first && code != codeAbnormal {
		c.out.enqueue(outgoing{data: closeFrame(code, reason), closing: true}, 0)
	}
	c.mu.Unlock()
	if first && code == codeAbnormal {
		c.wire.close()
	}
}

// leave ends the open state, with mu held: the connection is out of the registry and the backend is
// told, while the close handshake may go on for a while. It reports whether the connection was
// open.
func (c *Conn) leave(code int, reason string) bool {
	if c.state != stateOpen {
		return false
	}
	c.state, c.end.code, c.end.reason = stateClosing, code, reason
	c.clock.linger()
	c.todo.add(task{disconnect: true, code: code, reason: reason})
	c.room.Broadcast()
	c.changed.send()
	c.srv.left(c.id, code, reason)
	return true
}

// ended is the last act of the reading goroutine.
func (c *Conn) ended() {
	c.mu.Lock()
	c.leave(codeAbnormal, "")
	c.state = stateClosed
	c.clock.timer.Stop()
	c.out.queue = nil // AllConns keeps the connection
	c.room.Broadcast()
	c.changed.send()
	code, reason := c.end.code, c.end.reason
	c.mu.Unlock()
	c.wire.close()
	c.srv.conns.remove(c)
	c.srv.log.Info("closed", "conn", c.id, "code", code, "reason", reason)
}

func (c *Conn) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == stateOpen
}

// The codes that stand for what is missing; they are never sent.
const (
	codeNoStatus = 1005 // a close frame without a status
	codeAbnormal = 1006 // no close frame
)

func closeFrame(code int, reason string) []byte {
	var body []byte
	if code != codeNoStatus {
		body = ws.NewCloseFrameBody(ws.StatusCode(code), reason) // cuts what is too long
	}
	return ws.MustCompileFrame(ws.NewCloseFrame(body))
}
