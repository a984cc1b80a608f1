package session

import "time"

// A writeLimiter bounds the time of the write under way.
type writeLimiter struct {
	timer   *time.Timer // nil before the first write
	running bool        // a write is under way
}

// start begins the time of a write of s, which is always the same session. When it has run out,
// Session.late is called, and calls overdue.
func (l *writeLimiter) start(s *Session) {
	l.running = true
	if l.timer == nil {
		l.timer = time.AfterFunc(s.cfg.WriteTimeout, s.late)
	} else {
		l.timer.Reset(s.cfg.WriteTimeout)
	}
}

// stop ends the time of a write, if one is under way.
func (l *writeLimiter) stop() {
	if l.running {
		l.timer.Stop()
		l.running = false
	}
}

// overdue reports whether a write is under way that has no time left. more, if above 0, is how much
// more time it has.
func (l *writeLimiter) overdue(more time.Duration) bool {
	if l.running && more > 0 {
		l.timer.Reset(more)
		return false
	}
	return l.running
}
