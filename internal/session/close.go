package session

import "time"

// Shut performs the close handshake with status 1000 and returns when the session has ended, at the
// latest after the timeout. It reports whether the peer has answered. An answer acknowledges no
// message, because a CLOSE of the peer that has crossed ours looks the same; the PONG of the PING
// before our CLOSE does. The answer may be behind messages that nobody reads: the caller has to
// make room for them.
func (s *Session) Shut(timeout time.Duration) (answered bool) {
	if s.IsDead() {
		return false // a CLOSE that came before ours answers nothing
	}
	limit := time.AfterFunc(timeout, func() { s.Abort(ErrCloseTimeout) })
	defer limit.Stop()
	if err := s.out.close(1000); err != nil {
		s.writeFailed(err)
	}
	<-s.dead
	return s.frame != nil && s.frame.Code == 1000
}
