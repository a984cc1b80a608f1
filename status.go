package apigws

import (
	"fmt"
	"sync"
	"time"
)

// State is what a client is doing.
type State int

const (
	StateConnecting State = iota // a handshake, or OnConnect, is under way
	StateOpen                    // messages flow
	StateBackoff                 // waiting before the next attempt to connect
	StateClosed                  // ended; it does not connect again
)

// String returns the name in lower case.
func (s State) String() string {
	switch s {
	case StateConnecting:
		return "connecting"
	case StateOpen:
		return "open"
	case StateBackoff:
		return "backoff"
	case StateClosed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// A StateChange tells OnState what happened.
type StateChange struct {
	// From and To differ, except after a rotation, which goes from StateOpen to StateOpen, and
	// where an OnState that blocked gets several changes as one.
	From, To State
	// Generation is that of the connection in use, or of the last one that was.
	Generation int
	// Err is why: what ended the connection, or the attempt before; nil if nothing failed.
	Err error
	// RetryIn is how long the client waits; set when To is StateBackoff.
	RetryIn time.Duration
}

// A status is what a client says of itself.
type status struct {
	mu         sync.Mutex // guards what follows
	state      State
	since      time.Time // when state was entered
	generation int       // of the connection in use, or of the last one
	lost       time.Time // when the last connection was lost; zero while one is in use
	last       error     // why there is no connection; nil when there is one
	ended      time.Time // when end was called; zero before
	why        error     // why the client ends
}

// now returns the state, when it was entered, and the generation.
func (s *status) now() (State, time.Time, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.since, s.generation
}

// change notes a new state, and returns what OnState is to be told.
func (s *status) change(to State, err error, retryIn time.Duration) StateChange {
	s.mu.Lock()
	defer s.mu.Unlock()
	change := StateChange{From: s.state, To: to, Generation: s.generation, Err: err, RetryIn: retryIn}
	if s.state != to {
		s.state, s.since = to, time.Now()
	}
	s.last = err
	return change
}

// opened notes which connection is in use.
func (s *status) opened(generation int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation, s.lost = generation, time.Time{}
}

// connectionLost notes that there is none in use any more.
func (s *status) connectionLost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = time.Now()
}

// gap returns how long no connection has been in use, since one was lost.
func (s *status) gap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.IsZero() {
		return 0
	}
	return time.Since(s.lost)
}

func (s *status) lastFailure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// end notes that the client ends, and why, if it is the first to say so.
func (s *status) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.IsZero() {
		s.why, s.ended = why, time.Now()
	}
}

// sinceEnd returns how long ago end was called.
func (s *status) sinceEnd() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.ended)
}

// failure returns what was given to end.
func (s *status) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// reason returns why the client ends, after end was called, as an error that wraps ErrClosed.
func (s *status) reason() error {
	if why := s.failure(); why != ErrClosed {
		return &endedError{why}
	}
	return ErrClosed
}
