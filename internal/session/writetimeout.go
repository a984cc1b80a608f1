package session

import "time"

// A writeLimiter bounds the time of the write under way.
type writeLimiter struct {
	timer   *time.Timer // nil before the first write
	running bool        // a write is under way
	looked  bool        // the timer has run out once for it
}

// firstLook is after which part of WriteTimeout s.late is called for the first time. What the
// kernel tells of the path is what happened between two looks: without a first one, what came
// before the write would look as if it had come during the write.
const firstLook = 10

// start begins the time of a write of s. After a part of it, and when it runs out, the timer calls
// s.late. s must be the same in every call.
func (l *writeLimiter) start(s *Session) {
	l.running, l.looked = true, false
	if d := s.cfg.WriteTimeout / firstLook; l.timer == nil {
		l.timer = time.AfterFunc(d, s.late)
	} else {
		l.timer.Reset(d)
	}
}

// stop ends the time of a write, if one is under way.
func (l *writeLimiter) stop() {
	if l.running {
		l.timer.Stop()
		l.running = false
	}
}

// overdue reports whether the write under way is out of time, which is timeout, begun anew when the
// path last made progress, as long ago as silent says. If not, the timer is set again. It may have
// run out for the write before: that one took so long that it makes no difference.
func (l *writeLimiter) overdue(timeout, silent time.Duration) bool {
	left := timeout - silent
	if !l.looked {
		l.looked = true
		left = timeout - timeout/firstLook
	}
	if l.running && left > 0 {
		l.timer.Reset(left)
		return false
	}
	return l.running
}
