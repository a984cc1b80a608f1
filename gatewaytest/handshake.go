package gatewaytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// serve takes every request: handshakes on /{stage}, @connections below it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	defer s.wg.Done()
	if id, ok := strings.CutPrefix(r.URL.Path, "/"+s.cfg.Stage+"/@connections/"); ok {
		s.manage(w, r, id)
		return
	}
	s.handshake(w, r)
}

// handshake answers the client once it is decided whether it may come in: the authorizer and $connect run meanwhile.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	if !s.pass(r) {
		return
	}
	if status := s.admit(r); status != 0 {
		s.refuse(w, status)
		return
	}
	o := s.newOrigin(r)
	id := newID()
	resp, status := s.connect(r, id, o)
	if r.Context().Err() != nil {
		return // the client gave up, or the Server is being closed
	}
	if status != 0 {
		s.refuse(w, status)
		return
	}
	s.upgrade(w, r, id, o, resp)
}

// pass waits while handshakes are held. It reports whether there is still somebody to answer.
func (s *Server) pass(r *http.Request) bool {
	for {
		s.mu.Lock()
		gate := s.gate
		s.mu.Unlock()
		if gate == nil {
			return r.Context().Err() == nil
		}
		select {
		case <-gate:
		case <-r.Context().Done():
			return false
		}
	}
}

// admit decides what the gateway decides by itself. It returns the status of a refusal, or 0.
func (s *Server) admit(r *http.Request) int {
	if status := s.refusal(); status != 0 {
		return status
	}
	if strings.TrimSuffix(r.URL.Path, "/") != "/"+s.cfg.Stage {
		return http.StatusForbidden
	}
	if status := malformed(r); status != 0 {
		return status
	}
	scheme, _, _ := strings.Cut(s.URL, "//")
	switch {
	case len(scheme+"//"+r.Host+r.RequestURI) > s.cfg.MaxURL:
		return http.StatusRequestURITooLong
	case !s.connects.take(time.Now()):
		return http.StatusTooManyRequests
	case s.cfg.Authorize != nil:
		if status := s.cfg.Authorize(r); status != http.StatusOK {
			return status
		}
	}
	return 0
}

// malformed returns the status for a handshake that is none, or 0. The upgrader looks at the same, but only once the
// backend has let the client in.
func malformed(r *http.Request) int {
	version := r.Header.Get("Sec-WebSocket-Version")
	switch {
	case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return http.StatusUpgradeRequired // what the real one says to plain HTTP is not known
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed
	case !r.ProtoAtLeast(1, 1):
		return http.StatusHTTPVersionNotSupported
	case version != "" && version != "13":
		return http.StatusUpgradeRequired
	case version == "" || r.Host == "" || len(r.Header.Get("Sec-WebSocket-Key")) != 24:
		return http.StatusBadRequest
	}
	for token := range strings.SplitSeq(r.Header.Get("Connection"), ",") {
		if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
			return 0
		}
	}
	return http.StatusBadRequest
}

// refusal takes one from what Refuse has ordered.
func (s *Server) refusal() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusing.left == 0 {
		return 0
	}
	if s.refusing.left > 0 {
		s.refusing.left--
	}
	return s.refusing.status
}

func (s *Server) refuse(w http.ResponseWriter, status int) {
	s.countRefusal(status)
	if status == http.StatusUpgradeRequired {
		w.Header().Set("Sec-WebSocket-Version", "13") // as RFC 6455 demands
	}
	writeMessage(w, status, http.StatusText(status))
}

func (s *Server) countRefusal(status int) {
	s.mu.Lock()
	s.refused[status]++
	s.mu.Unlock()
	s.log.Info("refused", "status", status)
}

// writeMessage writes an answer with the body that the gateway's own errors have.
func writeMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// upgrade completes the handshake and starts the connection.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id string, o origin, resp *Response) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.refuse(w, http.StatusInternalServerError)
		return
	}
	u := ws.HTTPUpgrader{Header: http.Header{}}
	if p := resp.header("Sec-WebSocket-Protocol"); p != "" {
		u.Header.Set("Sec-WebSocket-Protocol", p) // whether the client offered it or not: the gateway does not pick
	}
	// The answer goes into a buffer: whoever reads the 101 must find the connection, and it exists only if there is one.
	var answer bytes.Buffer
	to := bufio.NewReadWriter(rw.Reader, bufio.NewWriter(&answer))
	if _, _, _, err := u.Upgrade(r, hijacked{w, conn, to}); err != nil {
		s.countRefusal(http.StatusBadRequest)
		conn.Write(answer.Bytes())
		conn.Close()
		return
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c := newConn(s, id, o, conn, early)
	if !s.add(c) {
		c.Drop()
	}
	conn.Write(answer.Bytes()) // if that fails, so does the first read
	c.start()
}

// hijacked gives the upgrader a connection that has been taken over already.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
	rw   *bufio.ReadWriter
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.rw, nil }
