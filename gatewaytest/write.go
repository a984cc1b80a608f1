package gatewaytest

import (
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

// push sends a message. While the buffer is full it waits, or returns errFull.
func (c *Conn) push(data []byte, wait bool) error {
	frame := ws.MustCompileFrame(ws.NewTextFrame(data))
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.state == stateOpen && c.outBytes > 0 && c.outBytes+len(frame) > c.srv.cfg.Buffer {
		if !wait {
			return errFull
		}
		c.room.Wait()
	}
	if c.state != stateOpen {
		return errGone
	}
	c.touch(true)
	_, delay, copies := c.wire.delays()
	for range 1 + copies {
		c.enqueue(outgoing{data: frame}, delay)
	}
	return nil
}

// enqueue puts a frame in line, with mu held and the connection not closed.
func (c *Conn) enqueue(f outgoing, delay time.Duration) {
	latency, _, _ := c.wire.delays()
	if at := time.Now().Add(latency); at.After(c.heldUntil) { // else Latency has become less: no frame overtakes another
		c.heldUntil = at
	}
	f.at = c.heldUntil.Add(delay)
	i := len(c.out)
	for i > 0 && c.out[i-1].at.After(f.at) {
		i--
	}
	c.out = slices.Insert(c.out, i, f)
	c.outBytes += len(f.data)
	if f.closing {
		c.linger()
	}
	c.room.Broadcast() // for a writer that waits for a later frame
	c.startWriter()
}

// startWriter starts the goroutine that empties the queue, if there is need of one, with mu held. A silent connection
// has none.
func (c *Conn) startWriter() {
	if c.started && !c.writing && len(c.out) > 0 {
		c.writing = true
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
	defer func() { c.writing = false }()
	for len(c.out) > 0 && c.state != stateClosed {
		f := c.out[0]
		if wait := time.Until(f.at); wait > 0 {
			c.waitFor(wait)
			continue
		}
		if c.out = c.out[1:]; len(c.out) == 0 {
			c.out = nil // an idle connection holds no queue
		}
		c.mu.Unlock()
		_, err := c.wire.Write(f.data)
		c.mu.Lock()
		c.outBytes -= len(f.data)
		c.room.Broadcast()
		if err != nil {
			c.leave(codeAbnormal, "") // the reading goroutine may wait for room, which nobody makes any more
			return true
		}
		if f.closing {
			c.closeSent = true
			c.linger()
			return c.closeSeen
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
