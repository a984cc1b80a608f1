package gatewaytest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// Handling is how handshakes and new connections are to be treated.
type handling struct {
	mu     sync.Mutex    // guards all below
	status int           // of refusals
	left   int           // so many more are refused; without end if it is negative
	gate   chan struct{} // while handshakes are held; closing it releases them
	faults Faults
}

// pass waits while handshakes are held. It reports whether there is still somebody to answer.
func (h *handling) pass(ctx context.Context) bool {
	for {
		h.mu.Lock()
		gate := h.gate
		h.mu.Unlock()
		if gate == nil {
			return ctx.Err() == nil
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return false
		}
	}
}

// refusal takes one from what Refuse has ordered.
func (h *handling) refusal() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left == 0 {
		return 0
	}
	if h.left > 0 {
		h.left--
	}
	return h.status
}

// newFaults returns those of a new connection.
func (h *handling) newFaults() Faults {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.faults
}

// Refuse answers the next n handshakes with an HTTP status; n < 0: all, until Refuse(0, 0). It
// panics if the status is not that of an answer to a request, 200 to 599.
func (s *Server) Refuse(status, n int) {
	if n != 0 && (status < http.StatusOK || status > 599) {
		panic(fmt.Sprintf("gatewaytest: Refuse: status %d", status))
	}
	h := &s.handling
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.left = status, n
}

// Hold makes handshakes wait, or lets those that wait go on. A client that gives up meanwhile
// counts nowhere.
func (s *Server) Hold(hold bool) {
	h := &s.handling
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case hold && h.gate == nil:
		h.gate = make(chan struct{})
	case !hold && h.gate != nil:
		close(h.gate)
		h.gate = nil
	}
}

// SetFaults makes things go wrong on the connections accepted from now on.
func (s *Server) SetFaults(f Faults) {
	s.handling.mu.Lock()
	defer s.handling.mu.Unlock()
	s.handling.faults = f
}
