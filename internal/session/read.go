package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/ws"
)

// closeWait is how long a session that has sent a CLOSE waits for the peer to close the stream
// first, as RFC 6455, section 7.1.1, asks of clients.
const closeWait = 250 * time.Millisecond

// A receiver reads the stream of a session, on a goroutine of its own, and passes on what it reads.
//
// To take the lock of the queue, to count, and to wake those who wait for each of many messages of
// one packet would cost more than the messages. So deliver keeps them, and flush passes them on:
// before the stream is read again, and before whatever else may have to wait.
type receiver struct {
	s        *Session
	frames   ws.Reader
	to       *queue.Queue
	answered bool        // a CLOSE of ours has left
	quiet    bool        // what came last was not for Read; true at the beginning
	finished atomic.Bool // both CLOSE frames were sent: only the reader closes the stream

	// What has come in since the last flush.
	count, size int64     // messages and their bytes
	kept        *arrivals // kept[:n] are for the queue; nil if n is 0
	n           int
}

// arrivals are messages that a receiver keeps. It borrows them only while it has some, so that an
// idle session does without.
type arrivals [queue.Messages]queue.Item

var arrivalsPool = sync.Pool{New: func() any { return new(arrivals) }}

// run reads until the stream ends, and ends the session; or until the session is idle, and lets
// awaitInput wait: see idle.go.
func (r *receiver) run() {
	err := errGoexit // unless readMessages returns
	defer func() {
		if err != nil {
			r.readEnded(err)
		} else {
			r.s.tasks.replace(r.awaitInput)
		}
	}()
	err = r.readMessages()
}

// readEnded ends the session, because of err, and closes the stream.
func (r *receiver) readEnded(err error) {
	r.frames.Release()
	r.flush()
	frame, _ := err.(*CloseFrame)
	r.finished.Store(frame != nil && r.answered)
	r.s.end(r.s.cfg.Cause(err), frame)
	r.s.reading.Done()
	var breach *ws.Error
	switch {
	case r.finished.Load():
		r.awaitEOF(false)
		r.s.closeStream(false)
	case r.answered && errors.As(err, &breach):
		r.awaitEOF(true)
		r.s.closeStream(true)
	default:
		r.s.closeStream(true)
	}
}

// awaitEOF waits for the peer to close the stream, and closes it itself after closeWait.
func (r *receiver) awaitEOF(drop bool) {
	limit := time.AfterFunc(closeWait, func() { r.s.closeStream(drop) })
	defer limit.Stop()
	var dropped [512]byte
	for {
		if _, err := r.s.stream.Read(dropped[:]); err != nil {
			return
		}
	}
}

// Read reads from the stream for frames, and notes that the peer is alive.
func (r *receiver) Read(p []byte) (int, error) {
	r.flush() // everything that has come in is used up, so the read may have to wait
	n, err := r.s.stream.Read(p)
	if n > 0 {
		r.s.heard.Store(int64(time.Since(r.s.opened)))
		r.s.reads.Add(1)
	}
	return n, err
}

// flush passes on what has come in since it was last called, waiting for room if need be.
func (r *receiver) flush() {
	if r.count == 0 {
		return
	}
	r.s.cfg.Traffic.MessagesReceived.Add(r.count)
	r.s.cfg.Traffic.BytesReceived.Add(r.size)
	r.count, r.size = 0, 0
	if r.s.cfg.TrackData {
		r.s.data.Store(int64(time.Since(r.s.opened)))
	}
	if r.n == 0 {
		return
	}
	kept, items := r.kept, r.kept[:r.n]
	r.kept, r.n = nil, 0
	if added := r.to.TryPush(items); added < len(items) {
		r.s.Hold(func() {
			var dropped int
			r.to, dropped = r.to.Push(items[added:], r.s.dead)
			r.s.cfg.Traffic.Dropped.Add(int64(dropped))
		})
	}
	clear(items)
	arrivalsPool.Put(kept)
}

// readMessages returns what ended the reading: an error of ws.Reader, or a *CloseFrame; nil if the
// session is idle.
func (r *receiver) readMessages() error {
	for {
		if r.isIdle() {
			return nil
		}
		// Without TLS an idle session waits here, and not in Next, which would need 4 KB of stack.
		r.frames.Await()
		if err := r.readMessage(); err != nil {
			return err
		}
	}
}

// readMessage reads a message or a control frame. An error ends the reading.
func (r *receiver) readMessage() error {
	m, err := r.frames.Next()
	if err != nil {
		var breach *ws.Error
		if errors.As(err, &breach) {
			r.answerClose(breach.Code)
		}
		return err
	}
	if m.Op.Control() {
		return r.control(m)
	}
	r.deliver(m)
	return nil
}

// deliver keeps a message for flush, unless Intercept does.
func (r *receiver) deliver(m ws.Message) {
	r.count++
	r.size += m.Size
	intercept := r.s.cfg.Intercept
	r.quiet = intercept != nil && m.Data != nil && intercept(r.s, m.Data)
	if r.quiet {
		return
	}
	if r.kept == nil {
		r.kept = arrivalsPool.Get().(*arrivals)
	}
	r.kept[r.n] = queue.Item{Data: m.Data, Size: m.Size}
	r.n++
	if r.n == len(r.kept) {
		r.flush()
	}
}

// control handles a control frame. An error ends the reading.
func (r *receiver) control(m ws.Message) error {
	r.flush() // an answer may have to wait behind a write
	r.quiet = true
	switch m.Op {
	case ws.Ping:
		r.s.out.pong(m.Data)
	case ws.Pong:
		r.pong(m.Data)
	case ws.Close:
		code, reason, err := ws.ParseClose(m.Data)
		if err != nil {
			var breach *ws.Error
			if errors.As(err, &breach) {
				r.answerClose(breach.Code)
			}
			return err
		}
		r.answerClose(code) // sends nothing if the frame is an answer itself
		return &CloseFrame{code, reason}
	}
	return nil
}

// pong handles a PONG. With a window, the next PING follows at once if messages are left for it.
func (r *receiver) pong(payload []byte) {
	sent, more, ok := r.s.out.acknowledge(payload)
	if !ok {
		return
	}
	r.s.cfg.Traffic.Pongs.Add(1)
	r.s.cfg.Traffic.RTT.Store(int64(time.Since(sent)))
	if more && r.s.cfg.Window != nil {
		r.s.tasks.start(func() { r.s.sendPing(nil) })
	}
}

// answerClose sends a CLOSE frame, unless one was sent before. It waits for it to leave for at most
// causeWait: a stuck write must not keep the reason why the session ends from the caller of Send.
func (r *receiver) answerClose(code int) {
	r.flush()
	sent := make(chan error, 1)
	r.s.tasks.start(func() { sent <- r.s.out.close(code) })
	select {
	case err := <-sent:
		r.answered = err == nil // otherwise the session is ending anyway
	case <-r.s.dead:
	case <-time.After(causeWait):
	}
}
