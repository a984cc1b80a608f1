package session

import (
	"errors"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/ws"
)

// closeWait is how long a session that has sent a CLOSE leaves it to the peer to close the stream
// first, as RFC 6455, section 7.1.1, asks of clients.
const closeWait = 250 * time.Millisecond

// A TooLargeError takes the place of a message of Size bytes that was skipped.
type TooLargeError struct {
	Size int64 // in bytes
}

// Error implements error.
func (e *TooLargeError) Error() string { return "message is too large" }

// read passes on what the stream brings until it ends, and then says why.
func (s *Session) read() {
	err := errGoexit // unless readMessages returns
	defer func() {
		s.in.Release()
		s.announce()
		s.readEnded(err)
	}()
	err = s.readMessages()
}

// readEnded ends the session, because of err, and closes the stream.
func (s *Session) readEnded(err error) {
	frame, _ := err.(*CloseFrame)
	s.end(s.cfg.Cause(err), frame)
	close(s.readDone)
	var breach *ws.Error
	switch {
	case !s.answered:
		s.closeStream(true)
	case frame != nil:
		s.awaitEOF(false)
		s.closeStream(false)
	case errors.As(err, &breach):
		s.awaitEOF(true)
		s.closeStream(true)
	default:
		s.closeStream(true)
	}
}

// awaitEOF leaves it to the peer to close the stream, for a moment.
func (s *Session) awaitEOF(drop bool) {
	limit := time.AfterFunc(closeWait, func() { s.closeStream(drop) })
	defer limit.Stop()
	var dropped [512]byte
	for {
		if _, err := s.stream.Read(dropped[:]); err != nil {
			return
		}
	}
}

// A source is the stream as the frame reader sees it.
type source struct{ s *Session }

// Read reads from the stream, and notes that the peer is alive.
func (r source) Read(p []byte) (int, error) {
	r.s.announce() // all that has come in is used up: this may have to wait
	n, err := r.s.stream.Read(p)
	if n > 0 {
		r.s.heard.Store(r.s.now())
		r.s.reads.Add(1)
	}
	return n, err
}

// announce lets those who wait for messages know of those pushed since it was last called. To wake
// them for each of many messages that came in one packet would cost more than the messages.
func (s *Session) announce() {
	if s.unannounced {
		s.unannounced = false
		s.to.Announce()
	}
}

// readMessages returns what ended the reading: an error of ws.Reader, or a *CloseFrame.
func (s *Session) readMessages() error {
	for {
		m, err := s.in.Next()
		if err != nil {
			var breach *ws.Error
			if errors.As(err, &breach) {
				s.answerClose(breach.Code)
			}
			return err
		}
		if m.Op.Control() {
			if err := s.control(m); err != nil {
				return err
			}
			continue
		}
		s.deliver(m)
	}
}

// deliver passes a message on, waiting for room if need be.
func (s *Session) deliver(m ws.Message) {
	s.cfg.Traffic.MessagesReceived.Add(1)
	s.cfg.Traffic.BytesReceived.Add(m.Size)
	if s.cfg.TrackData {
		s.data.Store(s.now())
	}
	item := queue.Item{Data: m.Data, Size: m.Size}
	switch {
	case m.Size > int64(s.cfg.Message):
		item.Err = &TooLargeError{m.Size}
	case s.cfg.Intercept != nil && s.cfg.Intercept(s, m.Data):
		return
	}
	if s.to.TryPush(item) {
		s.unannounced = true
		return
	}
	s.Hold(func() {
		var added bool
		if s.to, added = s.to.Push(item, s.dead); !added {
			s.cfg.Traffic.Dropped.Add(1)
		}
	})
}

// control does what a control frame asks for. The error is the end of the reading.
func (s *Session) control(m ws.Message) error {
	s.announce() // an answer may have to wait for the path
	switch m.Op {
	case ws.Ping:
		s.out.pong(m.Data)
	case ws.Pong:
		s.pong(m.Data)
	case ws.Close:
		code, reason, err := ws.ParseClose(m.Data)
		if err != nil {
			var breach *ws.Error
			if errors.As(err, &breach) {
				s.answerClose(breach.Code)
			}
			return err
		}
		s.answerClose(code) // nothing is sent if it is an answer itself
		return &CloseFrame{code, reason}
	}
	return nil
}

// pong notes a PONG.
func (s *Session) pong(payload []byte) {
	answered, more, ok := s.out.acknowledge(payload)
	if !ok {
		return
	}
	sent := answered.sent()
	s.cfg.Traffic.Pongs.Add(1)
	s.cfg.Traffic.RTT.Store(int64(time.Since(sent)))
	if more && s.cfg.Window != nil {
		s.start(func() { s.sendPing(nil) })
	}
}

// answerClose sends a CLOSE frame. Behind a write that is stuck it does not wait long: why the
// session ends must not be lost over it.
func (s *Session) answerClose(code int) {
	sent := make(chan struct{})
	s.start(func() {
		defer close(sent)
		s.out.close(code) // if it fails, the session is ending anyway
	})
	late := time.NewTimer(causeWait)
	defer late.Stop()
	select {
	case <-sent:
		s.answered = true
	case <-s.dead:
	case <-late.C:
	}
}
