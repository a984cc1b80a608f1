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
	a := s.api.Load()
	if status := s.admit(a, r); status != 0 {
		s.refuse(w, r, "", status)
		return
	}
	o := newOrigin(a, r)
	id := newID()
	resp, status := s.ask(a, r, id, &o)
	if r.Context().Err() != nil {
		return // the client gave up, or the Server is being closed
	}
	if status != 0 {
		s.refuse(w, r, id, status)
		return
	}
	s.upgrade(w, r, id, o, resp, a.subprotocol(r))
}

// ask lets the user's functions decide: the authorizer, then $connect. It returns the status of a refusal, or 0.
func (s *Server) ask(a *api, r *http.Request, id string, o *origin) (*Response, int) {
	var status int
	if o.authorizer, status = s.authorize(a, r, id, *o); status != 0 {
		return nil, status
	}
	return s.connect(a, r, id, *o)
}

// pass waits while handshakes are held. It reports whether there is still somebody to answer.
func (s *Server) pass(r *http.Request) bool {
	for {
		s.mu.Lock()
		gate := s.handling.gate
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

// admit decides what needs no event. It returns the status of a refusal, or 0.
func (s *Server) admit(a *api, r *http.Request) int {
	if status := s.refusal(); status != 0 {
		return status
	}
	stage := "/" + s.cfg.Stage
	path := strings.TrimSuffix(r.URL.Path, "/")
	if below := strings.HasPrefix(path, stage+"/"); path != stage && (!below || upgrades(r)) {
		return http.StatusForbidden
	}
	if status := malformed(r); status != 0 {
		return status
	}
	switch {
	case len(scheme(r)+"//"+r.Host+r.RequestURI) > s.cfg.MaxURL:
		return http.StatusRequestURITooLong
	case !s.connects.take(time.Now()):
		return http.StatusTooManyRequests
	case a.authorizeFunc != nil:
		if status := a.authorizeFunc(r); status != http.StatusOK {
			return status
		}
	}
	return 0
}

// scheme returns that of the URL that the client dialled.
func scheme(r *http.Request) string {
	if r.TLS != nil || r.Context().Value(http.LocalAddrContextKey) == memSecureAddr {
		return "wss:"
	}
	return "ws:"
}

func upgrades(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// malformed returns the status for a handshake that is none, or 0. The upgrader looks at the same, but only once the
// backend has let the client in.
func malformed(r *http.Request) int {
	version := r.Header.Get("Sec-WebSocket-Version")
	switch {
	case !upgrades(r):
		return http.StatusUpgradeRequired // as another emulator's tests, which run on AWS, too, expect
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
	if s.handling.left == 0 {
		return 0
	}
	if s.handling.left > 0 {
		s.handling.left--
	}
	return s.handling.status
}

// refuse answers a handshake; id is "" if none was given yet.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, id string, status int) {
	s.countRefusal(r, id, status)
	if status == http.StatusUpgradeRequired {
		w.Header().Set("Sec-WebSocket-Version", "13") // as RFC 6455 demands
	}
	writeMessage(w, status, http.StatusText(status))
}

func (s *Server) countRefusal(r *http.Request, id string, status int) {
	s.mu.Lock()
	s.refused[status]++
	s.mu.Unlock()
	s.log.Info("refused", "status", status)
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.observer.add(Observation{Kind: Refused, ConnectionID: id, SourceIP: ip, Status: status})
}

// writeMessage writes an answer with the body that the gateway's own errors have.
func writeMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// upgrade completes the handshake and starts the connection.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id string, o origin, resp *Response, subprotocol string) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.refuse(w, r, id, http.StatusInternalServerError)
		return
	}
	u := ws.HTTPUpgrader{Header: http.Header{}}
	if p := resp.header("Sec-WebSocket-Protocol"); p != "" {
		subprotocol = p // whether the client offered it or not: the gateway does not pick
	}
	if subprotocol != "" {
		u.Header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	// The answer goes into a buffer: whoever reads the 101 must find the connection, and it exists only if there is one.
	var answer bytes.Buffer
	to := bufio.NewReadWriter(rw.Reader, bufio.NewWriter(&answer))
	if _, _, _, err := u.Upgrade(r, hijacked{w, conn, to}); err != nil {
		s.countRefusal(r, id, http.StatusBadRequest)
		conn.Write(answer.Bytes())
		conn.Close()
		return
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c := newConn(s, id, o, conn, early)
	if s.conns.add(c) {
		s.observer.add(Observation{Kind: Connected, ConnectionID: id, SourceIP: o.identity.SourceIP})
	} else {
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
