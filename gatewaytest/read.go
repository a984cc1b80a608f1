package gatewaytest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// A reader takes in what the client sends, on a goroutine that owns the connection.
type reader struct {
	c  *Conn
	in *bufio.Reader
}

// readBuffer is small because most connections are silent, and because payloads bypass it.
const readBuffer = 1 << 10

// newReader returns a reader that begins with early.
func newReader(c *Conn, early []byte) *reader {
	in := io.Reader(c.wire)
	if len(early) > 0 {
		in = io.MultiReader(bytes.NewReader(early), in)
	}
	return &reader{c: c, in: bufio.NewReaderSize(in, readBuffer)}
}

// run reads until the end. It starts with the connection, and its end is the connection's.
func (r *reader) run() {
	c := r.c
	defer c.ended()
	var (
		hdr     [ws.MaxHeaderSize - 2]byte
		msg     []byte // the fragments so far
		started bool   // a fragmented message is under way
	)
	for {
		h, err := ws.ReadHeaderBuffer(r.in, hdr[:])
		malformed := errors.Is(err, ws.ErrHeaderLengthMSB)
		if err != nil && !malformed {
			return
		}
		if !c.open() {
			// After a close frame of either side nothing counts but the client's, which completes
			// the handshake.
			if r.discard(h) != nil || h.OpCode == ws.OpClose && r.closedByBoth() {
				return
			}
			continue
		}
		if cause := r.objection(h, malformed, len(msg), started); cause != "" {
			c.cut(cause)
			if r.discard(h) != nil {
				return
			}
			continue
		}
		switch h.OpCode {
		case ws.OpPing:
			payload, err := r.payload(h, nil)
			if err != nil {
				return
			}
			r.ping(payload)
		case ws.OpPong:
			if r.discard(h) != nil {
				return
			}
			if c.srv.cfg.CountPongs {
				c.mu.Lock()
				c.clock.touch(false)
				c.mu.Unlock()
			}
		case ws.OpClose:
			payload, err := r.payload(h, nil)
			if err != nil {
				return
			}
			if r.closedByBoth() { // whatever is in it, no other will come
				return
			}
			r.clientClosed(payload)
		default:
			if msg, err = r.payload(h, msg); err != nil {
				return
			}
			if started = !h.Fin; started {
				continue
			}
			if !utf8.Valid(msg) {
				c.cut(CauseEncoding)
				continue
			}
			r.message(msg)
			msg = nil
		}
	}
}

// objection returns why the gateway does not take a frame, judged by its header alone, or nothing.
// have is the length of the fragments before it.
func (r *reader) objection(h ws.Header, malformed bool, have int, fragmented bool) Cause {
	state := ws.StateServerSide
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	switch {
	case malformed || ws.CheckHeader(h, state) != nil:
		return CauseProtocol
	case h.OpCode == ws.OpBinary:
		return CauseBinary
	case h.Length > int64(r.c.srv.cfg.MaxFrame):
		return CauseFrameSize
	case !h.OpCode.IsControl() && int64(have)+h.Length > int64(r.c.srv.cfg.MaxMessage):
		return CauseMessageSize
	}
	return ""
}

// payload appends the payload of a frame to buf.
func (r *reader) payload(h ws.Header, buf []byte) ([]byte, error) {
	n := len(buf)
	buf = append(buf, make([]byte, h.Length)...)
	if _, err := io.ReadFull(r.in, buf[n:]); err != nil {
		return nil, err
	}
	ws.Cipher(buf[n:], h.Mask, 0)
	return buf, nil
}

// discard reads over the payload of a frame.
func (r *reader) discard(h ws.Header) error {
	_, err := io.CopyN(io.Discard, r.in, h.Length)
	return err
}

func (r *reader) ping(payload []byte) {
	c := r.c
	c.srv.pings.Add(1)
	c.srv.log.LogAttrs(c.srv.ctx, slog.LevelDebug, "ping", slog.String("conn", c.id))
	c.srv.observer.add(Observation{Kind: Pinged, ConnectionID: c.id})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.srv.cfg.IgnorePings {
		c.clock.touch(c.srv.cfg.ActivePings)
	}
	// A client that does not read gets no more PONGs than fit: its PINGs must not fill the memory.
	if c.srv.cfg.SilentPings || c.state != stateOpen || c.out.bytes > 2*c.srv.cfg.Buffer {
		return
	}
	c.out.enqueue(outgoing{data: ws.MustCompileFrame(ws.NewPongFrame(payload))}, 0)
}

// closedByBoth notes the client's close frame, and reports whether the gateway's has left. If not,
// the writer hangs up.
func (r *reader) closedByBoth() bool {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end.seen = true
	return c.end.sent
}

// clientClosed answers the client's close frame with its own code, and ends the connection.
func (r *reader) clientClosed(payload []byte) {
	c := r.c
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
		c.out.enqueue(outgoing{data: closeFrame(code, answer), closing: true}, 0)
	}
}

// noStatusReason is the reason in the event for a client that closed without a status.
const noStatusReason = "Client-side close frame status not set"

// message takes in a complete message.
func (r *reader) message(data []byte) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen {
		return
	}
	c.srv.messages.Add(1)
	c.clock.touch(true)
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
		c.clock.touch(true)
		c.clock.timer.Reset(c.clock.untilCut(c.clock.lastActive))
	}
	if c.state == stateOpen {
		c.todo.add(t)
	}
}
