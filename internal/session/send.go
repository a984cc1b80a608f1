package session

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/apigws/apigws/internal/ws"
)

// batchLimit is the size at which a batch takes no further messages. writeLimit is the largest
// write: WriteTimeout bounds each of them.
const batchLimit, writeLimit = 64 << 10, 32 << 10

// yieldLimit is how long yield may take. After it took longer, it does nothing for yieldPause.
const yieldLimit, yieldPause = time.Millisecond, time.Second

// A phase says what still goes out on a session. Phases only grow.
type phase int

const (
	open    phase = iota
	sealed        // tracked messages are refused
	closing       // the CLOSE frame is in a batch: nothing follows it
	broken        // the stream is broken or closed
)

// A sender writes the frames of one session. Writers that come while a write is under way share
// the next one: the first of them leads the batch, waits for its turn and writes it; the others
// follow it. A lone writer writes at once, on its own goroutine.
type sender struct {
	session *Session

	turn chan struct{} // holds a token while somebody writes to the stream

	// These belong to whoever holds the turn.
	shared  int       // above 0: several writers shared one of the last two batches
	noYield time.Time // until then, yield does nothing

	mu       sync.Mutex // guards what follows; never held while reading, writing or waiting
	keys     ws.MaskKeys
	pending  *batch // takes frames until its leader has the turn
	last     *batch // the one with our CLOSE; nil before
	limit    writeLimiter
	phase    phase
	err      error // why nothing goes out, when broken
	accounts accounts
}

// A batch is a run of frames that leave together.
type batch struct {
	buf      []byte
	messages int64         // tracked messages in it
	lastPing uint64        // number of the last PING in it
	done     chan struct{} // closed when it has been written or failed; nil if nobody follows
	n        int           // bytes that the socket took
	err      error
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// message sends p as one text message. ctx ends only the wait for a batch with room. The window, if
// there is one, keeps Fresh messages in the order in which they leave.
func (s *sender) message(ctx context.Context, p []byte, kind Kind) (Outcome, error) {
	s.mu.Lock()
	for s.refusal(kind) == nil && s.pending != nil && len(s.pending.buf) >= batchLimit {
		full := s.pending.follow()
		s.mu.Unlock()
		select {
		case <-full:
		case <-ctx.Done():
			return NotSent, ctx.Err()
		}
		s.mu.Lock()
	}
	if err := s.refusal(kind); err != nil {
		s.mu.Unlock()
		return NotSent, err
	}
	b, leads := s.join()
	b.buf = ws.AppendMessage(b.buf, p, s.session.cfg.Frame, &s.keys)
	end := len(b.buf)
	if kind != Untracked {
		s.track(b, p, kind)
	}
	s.mu.Unlock()
	return s.finish(b, leads, end)
}

// track counts a message that has been put into b, and makes sure that a PING follows it; s.mu is
// held.
func (s *sender) track(b *batch, p []byte, kind Kind) {
	b.messages++
	first := s.accounts.addMessage()
	if s.session.cfg.Window == nil {
		if first {
			s.accounts.unfollowed = time.Now()
			s.session.cfg.Notify()
		}
		return
	}
	if kind == Fresh {
		s.session.cfg.Window.Add(p)
	}
	if len(s.accounts.outstanding) == 0 {
		s.appendPing(b, nil) // the next one follows its PONG, see receiver.pong
	}
}

// refusal returns why a message does not go out, or nil; s.mu is held.
func (s *sender) refusal(kind Kind) error {
	switch {
	case s.phase == broken:
		return s.err
	case s.phase == closing, s.phase == sealed && kind != Untracked:
		return ErrSealed
	}
	return nil
}

// ping sends a PING. w, if not nil, waits for the PONG. After a CLOSE of ours the error is
// ErrSealed, which is no failure of the session.
func (s *sender) ping(w *waiter) error {
	s.mu.Lock()
	if err := s.refusal(Untracked); err != nil {
		s.mu.Unlock()
		return err
	}
	b, leads := s.join()
	s.appendPing(b, w)
	end := len(b.buf)
	s.mu.Unlock()
	_, err := s.finish(b, leads, end)
	return err
}

// appendPing appends a PING to b; s.mu is held.
func (s *sender) appendPing(b *batch, w *waiter) {
	s.session.cfg.Traffic.Pings.Add(1)
	b.lastPing = s.accounts.addPing(time.Now(), w)
	var payload [20]byte
	b.buf = ws.AppendControl(b.buf, ws.Ping, strconv.AppendUint(payload[:0], b.lastPing, 10), &s.keys)
}

// pong sends the PONG to a PING. It returns no error, because the caller is the reader, and what
// has arrived has to be read even if nothing can be written any more. Other writes meet the error.
func (s *sender) pong(payload []byte) {
	s.mu.Lock()
	if s.refusal(Untracked) != nil {
		s.mu.Unlock()
		return
	}
	b, leads := s.join()
	b.buf = ws.AppendControl(b.buf, ws.Pong, payload, &s.keys)
	end := len(b.buf)
	s.mu.Unlock()
	s.finish(b, leads, end)
}

// close sends a CLOSE frame, or waits for the one that was sent before, and returns nil once it has
// left. If anything is not acknowledged, a PING goes before the CLOSE: its PONG comes before the
// answer to the CLOSE, and also from a peer that answers no CLOSE.
func (s *sender) close(code int) error {
	s.mu.Lock()
	if b := s.last; b != nil {
		s.mu.Unlock()
		<-b.done
		return b.err
	}
	if err := s.refusal(Untracked); err != nil {
		s.mu.Unlock()
		return err
	}
	b, leads := s.join()
	if s.accounts.unacknowledged() > 0 {
		s.appendPing(b, nil)
	}
	b.buf = ws.AppendClose(b.buf, code, &s.keys)
	b.follow()
	s.last, s.phase = b, closing
	end := len(b.buf)
	s.mu.Unlock()
	_, err := s.finish(b, leads, end)
	return err
}

// seal refuses tracked messages from now on.
func (s *sender) seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = max(s.phase, sealed)
}

// breakOff makes err the reason why nothing goes out any more. A write under way goes on.
func (s *sender) breakOff(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breakLocked(err)
}

func (s *sender) breakLocked(err error) {
	s.phase, s.err = broken, err
}

// acknowledge notes a PONG; see accounts.pong. more reports whether messages are left that no
// outstanding PING will acknowledge.
func (s *sender) acknowledge(payload []byte) (sent time.Time, more, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent, n, ok := s.accounts.pong(payload)
	if !ok {
		return time.Time{}, false, false
	}
	if s.session.cfg.Window != nil {
		s.session.cfg.Window.Acknowledge(int(n))
	}
	s.accounts.tell()
	return sent, len(s.accounts.outstanding) == 0 && s.accounts.unacknowledged() > 0, true
}

// settle waits for the write under way, if any, and returns how many messages are lost. It must be
// called after breakOff, when no PONG is read any more.
func (s *sender) settle() int64 {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts.lost()
}

// join returns the batch to append to, and whether the caller leads it; s.mu is held.
func (s *sender) join() (b *batch, leads bool) {
	if s.pending != nil {
		s.pending.follow()
		return s.pending, false
	}
	s.pending = batches.Get().(*batch)
	return s.pending, true
}

// follow returns a channel that is closed when b has been written; the sender's mu is held.
func (b *batch) follow() <-chan struct{} {
	if b.done == nil {
		b.done = make(chan struct{})
	}
	return b.done
}

// finish writes b, or waits until its leader has, and says what became of the bytes before end.
func (s *sender) finish(b *batch, leads bool, end int) (Outcome, error) {
	if leads {
		s.write(b)
	} else {
		<-b.done
	}
	n, err := b.n, b.err
	if leads {
		recycle(b)
	}
	switch {
	case err == nil:
		return Sent, nil
	case n < end:
		return Truncated, err
	default:
		return Unconfirmed, err
	}
}

// recycle gives the buffer of a written batch to a later one, unless it is so large that keeping
// it would be a waste.
func recycle(b *batch) {
	if cap(b.buf) > 4*batchLimit {
		return
	}
	if b.done != nil { // followers still read its n and err
		b = &batch{buf: b.buf}
	}
	*b = batch{buf: b.buf[:0]}
	batches.Put(b)
}

// yield lets the writers of the last batch, which have only just been woken, join the next one, so
// that a batch holds a message of each. It costs a lone writer nothing. When other goroutines want
// the processors too, it can take long until the caller runs again: yield then does nothing for a
// while, and a batch holds what came during the last write.
func (s *sender) yield() {
	if s.shared == 0 {
		return
	}
	start := time.Now()
	if start.Before(s.noYield) {
		return
	}
	runtime.Gosched()
	if now := time.Now(); now.Sub(start) > yieldLimit {
		s.noYield = now.Add(yieldPause)
	}
}

// write sends b when its turn has come.
func (s *sender) write(b *batch) {
	s.turn <- struct{}{}
	s.yield()
	s.mu.Lock()
	if b.done != nil {
		s.shared = 2 // the scheduler may let nobody in once
	} else if s.shared > 0 {
		s.shared--
	}
	s.pending = nil // from here on, b is the leader's
	err := s.err
	if err == nil {
		s.limit.start(s.session)
	}
	s.mu.Unlock()

	if err == nil {
		b.n, err = s.writeAll(b.buf)
	}

	silent := false
	s.mu.Lock()
	s.limit.stop()
	if err == nil {
		if b.messages > 0 || b.lastPing > 0 {
			silent = s.took(b)
		}
	} else {
		s.breakLocked(err)
		b.err = err // writeFailed puts the cause of the session in its place
	}
	s.mu.Unlock()
	if silent {
		s.session.socket.Mark() // before anything else is written
	}
	<-s.turn
	if b.done != nil {
		close(b.done)
	}
}

// took notes that the socket has taken b; s.mu is held. See accounts.took.
func (s *sender) took(b *batch) (silent bool) {
	var now time.Time
	if b.lastPing > 0 {
		now = time.Now()
	}
	return s.accounts.took(b.messages, b.lastPing, now, s.session.reads.Load())
}

// overdue calls limit.overdue with s.mu held.
func (s *sender) overdue(timeout, silent time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit.overdue(timeout, silent)
}

// writeAll writes p in pieces. The time of the write begins anew with each.
func (s *sender) writeAll(p []byte) (written int, err error) {
	for {
		n, err := s.session.stream.Write(p[written:min(len(p), written+writeLimit)])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
		s.mu.Lock()
		s.limit.start(s.session)
		s.mu.Unlock()
	}
}
