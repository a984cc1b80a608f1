package session

import "time"

// A writeLimiter bounds the time of the write under way.
type writeLimiter struct {
	timer   *time.Timer // nil before the first write
	running bool        // a write is under way
}

// start begins the time of a write of s. When it runs out, the timer calls s.late. s must be the
// same in every call.
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

// overdue reports whether the write under way is out of time. If more is above 0, the write gets
// that much more time instead. The timer may have run out for the write before: that one took so
// long that it makes no difference.
func (l *writeLimiter) overdue(more time.Duration) bool {
	if l.running && more > 0 {
		l.timer.Reset(more)
		return false
	}
	return l.running
}
