package gatewaytest

import (
	"fmt"
	"net/http"
)

// An APIError is an answer of @connections that is not a success.
type APIError struct {
	StatusCode int
	Type       string // as in the header X-Amzn-ErrorType: GoneException ...
}

func (e *APIError) Error() string { return fmt.Sprintf("gatewaytest: %d %s", e.StatusCode, e.Type) }

// Post sends a text message to a client, as POST @connections does, and fails as it does, with an *APIError: 410 if
// there is no such connection, 413 if the message is larger than Config.Message, 429 if the client's buffer is full.
func (s *Server) Post(connectionID string, data []byte) error {
	c := s.lookup(connectionID)
	if c == nil {
		return &APIError{http.StatusGone, "GoneException"}
	}
	if len(data) > s.cfg.Message {
		return &APIError{http.StatusRequestEntityTooLarge, "PayloadTooLargeException"}
	}
	switch c.push(data, false) {
	case errGone:
		return &APIError{http.StatusGone, "GoneException"}
	case errFull:
		return &APIError{http.StatusTooManyRequests, "LimitExceededException"}
	}
	return nil
}

func (s *Server) manage(w http.ResponseWriter, r *http.Request, id string) {
	w.WriteHeader(404)
}
