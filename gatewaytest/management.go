package gatewaytest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// An APIError is an answer of @connections that is not a success.
type APIError struct {
	StatusCode int    // of the HTTP answer
	Type       string // as in the header X-Amzn-ErrorType: "GoneException" ...
}

// Error returns status and type.
func (e *APIError) Error() string { return fmt.Sprintf("gatewaytest: %d %s", e.StatusCode, e.Type) }

var (
	errGoneException = &APIError{http.StatusGone, "GoneException"}
	errTooLarge      = &APIError{http.StatusRequestEntityTooLarge, "PayloadTooLargeException"}
	errLimitExceeded = &APIError{http.StatusTooManyRequests, "LimitExceededException"}
	errBadID         = &APIError{http.StatusBadRequest, "BadRequestException"}
	errForbidden     = &APIError{http.StatusForbidden, "ForbiddenException"}
	// As for all that the real API lacks.
	errNoMethod = &APIError{http.StatusForbidden, "MissingAuthenticationTokenException"}
)

// Post sends a text message to a client, as POST @connections does, and fails as that does, with an
// *APIError: 400 if the id is malformed, 410 if there is no such connection or $connect has not
// returned yet, 413 if the message is larger than Config.MaxMessage, 429 if the client's buffer is
// full (Config.Buffer).
func (s *Server) Post(connectionID string, data []byte) error {
	if len(data) > s.cfg.MaxMessage {
		return errTooLarge
	}
	c, err := s.target(connectionID)
	if err != nil {
		return err
	}
	switch c.out.push(Pushed, data, false) {
	case errGone:
		return errGoneException
	case errFull:
		return errLimitExceeded
	}
	return nil
}

// target finds the open connection that @connections is asked for.
func (s *Server) target(id string) (*Conn, error) {
	if b, err := base64.URLEncoding.DecodeString(id); err != nil || len(b) == 0 {
		return nil, errBadID
	}
	c := s.conns.get(id)
	if c == nil || !c.open() {
		return nil, errGoneException
	}
	return c, nil
}

// manage serves @connections/{id}. The id has been unescaped by net/http, as has the "@".
func (s *Server) manage(w http.ResponseWriter, r *http.Request, id string) {
	w.Header().Set("X-Amzn-RequestId", newID())
	// One byte more than is allowed tells too much from enough.
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(s.cfg.MaxMessage)+1))
	if err != nil {
		return // the backend has gone
	}
	// Before AuthorizeManagement, for which the rest of the body is missing.
	if len(body) > s.cfg.MaxMessage {
		s.deny(w, r, errTooLarge)
		return
	}
	if f := s.cfg.AuthorizeManagement; f != nil {
		r.Body = io.NopCloser(bytes.NewReader(body)) // signatures cover it
		if status := f(r); status != 0 && status != http.StatusOK {
			denied := *errForbidden
			if denied.StatusCode = s.usable(status); status == http.StatusTooManyRequests {
				denied.Type = errLimitExceeded.Type
			}
			s.deny(w, r, &denied)
			return
		}
	}
	switch r.Method {
	case http.MethodPost:
		err = s.Post(id, body)
	case http.MethodGet:
		var c *Conn
		if c, err = s.target(id); err == nil {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(c.info())
		}
	case http.MethodDelete:
		var c *Conn
		if c, err = s.target(id); err == nil {
			c.cut(CauseDelete)
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		err = errNoMethod
	}
	if err != nil {
		s.deny(w, r, err.(*APIError))
		return
	}
	s.log.Debug("management", "conn", id, "method", r.Method)
}

// deny answers with an error. That of a connection which is gone has no body.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, e *APIError) {
	s.log.Info("management denied", "method", r.Method, "status", e.StatusCode, "type", e.Type)
	w.Header().Set("X-Amzn-ErrorType", e.Type)
	if e.StatusCode == http.StatusGone {
		w.WriteHeader(e.StatusCode)
		return
	}
	writeMessage(w, e.StatusCode, http.StatusText(e.StatusCode))
}

// connInfo is what GET @connections tells.
type connInfo struct {
	ConnectedAt  string   `json:"connectedAt"`
	LastActiveAt string   `json:"lastActiveAt"`
	Identity     Identity `json:"identity"`
}

func (c *Conn) info() connInfo {
	const iso8601 = "2006-01-02T15:04:05.000Z"
	c.mu.Lock()
	defer c.mu.Unlock()
	return connInfo{
		ConnectedAt:  c.origin.connectedAt.UTC().Format(iso8601),
		LastActiveAt: c.clock.lastData.UTC().Format(iso8601),
		Identity:     c.origin.identity,
	}
}
