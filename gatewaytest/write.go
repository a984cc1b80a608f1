package gatewaytest

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/gobwas/ws"
)

// An outgoing is a compiled frame on its way to the client.
type outgoing struct {
	data    []byte
	at      time.Time // not before
	closing bool      // a close frame: the last of all
}

var errFull = errors.New("gatewaytest: the client's buffer is full")

// An outbox is what waits to be sent, guarded by the mutex of its Conn.
type outbox struct {
	queue     []outgoing // ordered by time, then as they came
	bytes     int        // in the queue and under way
	heldUntil time.Time  // by Latency: the last frame, and all before it
	writing   bool       // a goroutine empties the queue
}

// push sends a message. While the buffer is full it waits, or returns errFull.
func (c *Conn) push(kind Kind, data []byte, wait bool) error {
	frames := compile(data, c.srv.cfg.PushFrame)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.state == stateOpen && c.out.bytes > 0 && c.out.bytes+len(frames) > c.srv.cfg.Buffer {
		if !wait {
			return errFull
		}
		c.room.Wait()
	}
	if c.state != stateOpen {
		return errGone
	}
	c.touch(true)
	if o := c.srv.observer; o != nil {
		o.add(Observation{Kind: kind, ConnectionID: c.id, Data: bytes.Clone(data)})
	}
	_, delay, copies := c.wire.delays()
	for range 1 + copies {
		c.enqueue(outgoing{data: frames}, delay)
	}
	return nil
}

// compile makes a text message of data, in one frame or in several with at most so many bytes each.
func compile(data []byte, most int) []byte {
	if most == 0 || len(data) <= most {
		return ws.MustCompileFrame(ws.NewTextFrame(data))
	}
	var frames []byte
	op := ws.OpText
	for first := true; first || len(data) > 0; first = false {
		n := min(most, len(data))
		frames = append(frames, ws.MustCompileFrame(ws.NewFrame(op, n == len(data), data[:n]))...)
		op, data = ws.OpContinuation, data[n:]
	}
	return frames
}

// enqueue puts a frame in line, with mu held and the connection not closed.
func (c *Conn) enqueue(f outgoing, delay time.Duration) {
	latency, _, _ := c.wire.delays()
	if at := time.Now().Add(latency); at.After(c.out.heldUntil) { // else Latency has become less: no frame overtakes another
		c.out.heldUntil = at
	}
	f.at = c.out.heldUntil.Add(delay)
	i := len(c.out.queue)
	for i > 0 && c.out.queue[i-1].at.After(f.at) {
		i--
	}
	c.out.queue = slices.Insert(c.out.queue, i, f)
	c.out.bytes += len(f.data)
	if f.closing {
		c.linger()
	}
	c.room.Broadcast() // for a writer that waits for a later frame
	c.startWriter()
}

// startWriter starts the goroutine that empties the queue, if there is need of one, with mu held. A silent connection
// has none.
func (c *Conn) startWriter() {
	if c.started && !c.out.writing && len(c.out.queue) > 0 {
		c.out.writing = true
		c.srv.wg.Go(c.write)
	}
}

// write sends what is in the queue, one Write a frame, and ends when there is no more. Being apart from the reader it
// lets a client that reads nothing still be read.
func (c *Conn) write() {
	if c.writeQueue() {
		c.wire.close() // the reading goroutine does the rest
	}
}

// writeQueue reports whether the connection is over: broken, or closed by both sides.
func (c *Conn) writeQueue() (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.out.writing = false }()
	for len(c.out.queue) > 0 && c.state != stateClosed {
		f := c.out.queue[0]
		if wait := time.Until(f.at); wait > 0 {
			c.waitFor(wait)
			continue
		}
		if c.out.queue = c.out.queue[1:]; len(c.out.queue) == 0 {
			c.out.queue = nil // an idle connection holds no queue
		}
		c.mu.Unlock()
		_, err := c.wire.Write(f.data)
		c.mu.Lock()
		c.out.bytes -= len(f.data)
		c.room.Broadcast()
		if err != nil {
			c.leave(codeAbnormal, "") // the reading goroutine may wait for room, which nobody makes any more
			return true
		}
		if f.closing {
			c.end.sent = true
			c.linger()
			return c.end.seen
		}
	}
	return false
}

// waitFor waits for a time, or for a change before that, with mu held.
func (c *Conn) waitFor(d time.Duration) {
	t := time.AfterFunc(d, func() {
		c.mu.Lock()
		c.room.Broadcast()
		c.mu.Unlock()
	})
	c.room.Wait()
	t.Stop()
}
