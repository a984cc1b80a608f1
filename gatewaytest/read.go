package gatewaytest

import (
	"errors"
	"io"
	"log/slog"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// read is the goroutine that owns the connection: it starts with it and its end is the connection's.
func (c *Conn) read() {
	defer c.ended()
	var (
		hdr     [ws.MaxHeaderSize - 2]byte
		msg     []byte // the fragments so far
		started bool   // a fragmented message is under way
	)
	for {
		h, err := ws.ReadHeaderBuffer(c.in, hdr[:])
		malformed := errors.Is(err, ws.ErrHeaderLengthMSB)
		if err != nil && !malformed {
			return
		}
		if !c.open() {
			// After a close frame of either side nothing counts but the client's, which completes the handshake.
			if c.discard(h) != nil || h.OpCode == ws.OpClose && c.closedByBoth() {
				return
			}
			continue
		}
		if cause := c.objection(h, malformed, len(msg), started); cause != "" {
			c.cut(cause)
			if c.discard(h) != nil {
				return
			}
			continue
		}
		switch h.OpCode {
		case ws.OpPing:
			payload, err := c.payload(h, nil)
			if err != nil {
				return
			}
			c.ping(payload)
		case ws.OpPong:
			if c.discard(h) != nil {
				return
			}
			if c.srv.cfg.CountPongs {
				c.mu.Lock()
				c.touch(false)
				c.mu.Unlock()
			}
		case ws.OpClose:
			payload, err := c.payload(h, nil)
			if err != nil {
				return
			}
			if c.closedByBoth() { // whatever is in it, no other will come
				return
			}
			c.clientClosed(payload)
		default:
			if msg, err = c.payload(h, msg); err != nil {
				return
			}
			if started = !h.Fin; started {
				continue
			}
			if !utf8.Valid(msg) {
				c.cut(CauseEncoding)
				continue
			}
			c.message(msg)
			msg = nil
		}
	}
}

// objection returns why the gateway does not take a frame, judged by its header alone, or nothing. have is the length
// of the fragments before it.
func (c *Conn) objection(h ws.Header, malformed bool, have int, fragmented bool) Cause {
	state := ws.StateServerSide
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	switch {
	case malformed || ws.CheckHeader(h, state) != nil:
		return CauseProtocol
	case h.OpCode == ws.OpBinary:
		return CauseBinary
	case h.Length > int64(c.srv.cfg.MaxFrame):
		return CauseFrameSize
	case !h.OpCode.IsControl() && int64(have)+h.Length > int64(c.srv.cfg.MaxMessage):
		return CauseMessageSize
	}
	return ""
}

// payload appends the payload of a frame to buf.
func (c *Conn) payload(h ws.Header, buf []byte) ([]byte, error) {
	n := len(buf)
	buf = append(buf, make([]byte, h.Length)...)
	if _, err := io.ReadFull(c.in, buf[n:]); err != nil {
		return nil, err
	}
	ws.Cipher(buf[n:], h.Mask, 0)
	return buf, nil
}

// discard reads over the payload of a frame.
func (c *Conn) discard(h ws.Header) error {
	_, err := io.CopyN(io.Discard, c.in, h.Length)
	return err
}

func (c *Conn) ping(payload []byte) {
	c.srv.pings.Add(1)
	c.srv.log.LogAttrs(c.srv.ctx, slog.LevelDebug, "ping", slog.String("conn", c.id))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.srv.cfg.IgnorePings {
		c.touch(c.srv.cfg.ActivePings)
	}
	// A client that does not read gets no more PONGs than fit: its PINGs must not fill the memory.
	if c.srv.cfg.SilentPings || c.state != stateOpen || c.out.bytes > 2*c.srv.cfg.Buffer {
		return
	}
	c.enqueue(outgoing{data: ws.MustCompileFrame(ws.NewPongFrame(payload))}, 0)
}

// closedByBoth notes the client's close frame, and reports whether the gateway's has left. If not, the writer hangs up.
func (c *Conn) closedByBoth() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end.seen = true
	return c.end.sent
}

// clientClosed answers the client's close frame with its own code, and ends the connection.
func (c *Conn) clientClosed(payload []byte) {
	code, reason, answer := codeNoStatus, noStatusReason, ""
	if len(payload) > 0 {
		status, text := ws.ParseCloseFrameData(payload)
		if ws.CheckCloseFrameData(status, text) != nil {
			c.cut(CauseProtocol)
			return
		}
		code, reason, answer = int(status), text, text
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leave(code, reason) {
		c.enqueue(outgoing{data: closeFrame(code, answer), closing: true}, 0)
	}
}

// noStatusReason is what the backend is told of a client that closed without a status.
const noStatusReason = "Client-side close frame status not set"

// message takes in a complete message.
func (c *Conn) message(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen {
		return
	}
	c.srv.messages.Add(1)
	c.touch(true)
	c.history.add(data, c.srv.cfg.MaxReceived)
	c.changed.send()
	// Back-pressure: a backend that cannot keep up stops the reading in the end.
	t := task{data: data}
	for c.state == stateOpen && c.todo.bytes > 0 && c.todo.bytes+t.size() > mostWaiting {
		c.todo.stalled = true
		c.room.Wait()
	}
	if c.todo.stalled {
		c.todo.stalled = false
		c.touch(true)
		c.timer.Reset(c.untilCut(c.lastActive))
	}
	if c.state == stateOpen {
		c.addTask(t)
	}
}
