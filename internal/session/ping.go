package session

import (
	"context"
	"time"
)

// Health is what a session knows of its peer and its path at one moment.
type Health struct {
	Heard time.Time // when bytes last came in
	Data  time.Time // when a message last came or went; with Config.TrackData

	// Blocked says that the reader waits for room, and sees no PONG meanwhile. Otherwise Freed is
	// when it last went on.
	Blocked bool
	Freed   time.Time

	// Pinged is when the newest PING was sent whose PONG is awaited, Oldest when the oldest was;
	// zero if there is none. A PING counts as sent when the socket has taken it.
	Pinged, Oldest time.Time
	// Silent is when the oldest PING was sent after which nothing at all came in; zero if there is
	// none.
	Silent time.Time
	// Carried is when the peer's kernel last acknowledged bytes up to the PING of Silent, at the
	// latest; Carrying says that there are more of them. It is zero if none were since that PING,
	// or if the system does not tell.
	Carried  time.Time
	Carrying bool
	// Unfollowed is when the first message was written that no PING follows; zero if there is none.
	Unfollowed time.Time
	// Unacknowledged says that messages were written that no PONG has acknowledged.
	Unacknowledged bool
}

// Health returns what the session knows at this moment.
func (s *Session) Health() Health {
	since := func(d int64) time.Time { return s.opened.Add(time.Duration(d)) }
	h := Health{Heard: since(s.heard.Load()), Data: since(s.data.Load())}
	if freed := s.freed.Load(); freed < 0 {
		h.Blocked = true
	} else {
		h.Freed = since(freed)
	}
	reads := s.reads.Load()
	s.out.health(&h, reads)
	if !h.Silent.IsZero() {
		p := s.socket.Progress()
		h.Carried, h.Carrying = p.Marked, p.Pending
	}
	return h
}

// health fills in what the accounts know, given how often bytes have come in.
func (s *sender) health(h *Health, reads int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.accounts
	if n := len(a.outstanding); n > 0 {
		h.Pinged, h.Oldest = a.outstanding[n-1].sent(), a.outstanding[0].sent()
	}
	h.Silent = a.silentSince(reads)
	h.Unfollowed = a.unfollowed
	h.Unacknowledged = a.unacknowledged() > 0
}

// Ping sends a PING, waits for its PONG, and returns how long that took. ctx ends the wait, also
// behind a write that is stuck; the PING may still leave then.
func (s *Session) Ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	w := newWaiter()
	defer w.gone.Store(true)
	s.tasks.start(func() { s.sendPing(w) })
	select {
	case <-w.answered:
		return time.Since(start), nil
	case <-s.dead:
		return 0, s.cause
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// sendPing sends a PING. w, if not nil, waits for its PONG. A failed write ends the session.
func (s *Session) sendPing(w *waiter) {
	if err := s.out.ping(w); err != nil && err != ErrSealed {
		s.writeFailed(err)
	}
}

// Tick sends, on a goroutine of its own, a keepalive message if message is not nil, then a PING if
// ping is true. It calls sent when the message was sent. Tick does nothing and returns false while
// the writes of an earlier Tick are under way.
func (s *Session) Tick(message []byte, ping bool, sent func()) (started bool) {
	if s.pinging.Swap(true) {
		return false
	}
	s.tasks.start(func() {
		defer s.pinging.Store(false)
		if message != nil {
			if outcome, _ := s.Send(context.Background(), message, Untracked); outcome == Sent {
				sent()
			}
		}
		if ping {
			s.sendPing(nil)
		}
	})
	return true
}

// Hold calls wait, which waits for somebody who takes messages, and lets Health say so: no PONG is
// read meanwhile. Only the goroutine that reads may call it.
func (s *Session) Hold(wait func()) {
	s.in.flush()
	s.freed.Store(-1)
	defer func() { s.freed.Store(int64(time.Since(s.opened))) }()
	wait()
}
