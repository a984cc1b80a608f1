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

// An outbox is what waits to be sent. The mutex of the Conn guards the fields.
type outbox struct {
	c         *Conn
	started   bool       // the 101 is out, frames may follow
	queue     []outgoing // ordered by time, then as they came
	bytes     int        // in the queue and under way
	heldUntil time.Time  // by Latency: the last frame, and all before it
	writing   bool       // a goroutine empties the queue
}

// push sends a message. While the buffer is full it waits, or returns errFull.
func (o *outbox) push(kind Kind, data []byte, wait bool) error {
	c := o.c
	frames := compile(data, c.srv.cfg.PushFrame)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.state == stateOpen && o.bytes > 0 && o.bytes+len(frames) > c.srv.cfg.Buffer {
		if !wait {
			return errFull
		}
		c.room.Wait()
	}
	if c.state != stateOpen {
		return errGone
	}
	c.clock.touch(true)
	if ob := c.srv.observer; ob != nil {
		ob.add(Observation{Kind: kind, ConnectionID: c.id, Data: bytes.Clone(data)})
	}
	_, delay, copies := c.wire.delays()
	for range 1 + copies {
		o.enqueue(outgoing{data: frames}, delay)
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
func (o *outbox) enqueue(f outgoing, delay time.Duration) {
	c := o.c
	latency, _, _ := c.wire.delays()
	// Else Latency has become less: no frame overtakes another.
	if at := time.Now().Add(latency); at.After(o.heldUntil) {
		o.heldUntil = at
	}
	f.at = o.heldUntil.Add(delay)
	i := len(o.queue)
	for i > 0 && o.queue[i-1].at.After(f.at) {
		i--
	}
	o.queue = slices.Insert(o.queue, i, f)
	o.bytes += len(f.data)
	if f.closing {
		c.clock.linger()
	}
	c.room.Broadcast() // for a writer that waits for a later frame
	o.startWriter()
}

// startWriter starts the goroutine that empties the queue, if there is need of one, with mu held. A
// silent connection has none.
func (o *outbox) startWriter() {
	c := o.c
	if o.started && !o.writing && len(o.queue) > 0 {
		o.writing = true
		c.srv.wg.Go(o.write)
	}
}

// write sends what is in the queue, one Write a frame, and ends when there is no more. Being apart
// from the reader it lets a client that reads nothing still be read.
func (o *outbox) write() {
	c := o.c
	if o.writeQueue() {
		c.wire.close() // the reading goroutine does the rest
	}
}

// writeQueue reports whether the connection is over: lost, or closed by both sides.
func (o *outbox) writeQueue() (over bool) {
	c := o.c
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { o.writing = false }()
	for len(o.queue) > 0 && c.state != stateClosed {
		f := o.queue[0]
		if wait := time.Until(f.at); wait > 0 {
			o.waitFor(wait)
			continue
		}
		if o.queue = o.queue[1:]; len(o.queue) == 0 {
			o.queue = nil // an idle connection holds no queue
		}
		c.mu.Unlock()
		_, err := c.wire.Write(f.data)
		c.mu.Lock()
		o.bytes -= len(f.data)
		c.room.Broadcast()
		if err != nil {
			// The reading goroutine may wait for room, which nobody makes any more.
			c.leave(codeAbnormal, "")
			return true
		}
		if f.closing {
			c.end.sent = true
			c.clock.linger()
			return c.end.seen
		}
	}
	return false
}

// waitFor waits for a time, or for a change before that, with mu held.
func (o *outbox) waitFor(d time.Duration) {
	c := o.c
	t := time.AfterFunc(d, func() {
		c.mu.Lock()
		c.room.Broadcast()
		c.mu.Unlock()
	})
	c.room.Wait()
	t.Stop()
}
