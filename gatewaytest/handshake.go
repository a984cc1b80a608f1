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
	if id, ok := strings.CutPrefix(r.URL.Path, "/"+s.cfg.Stage+"/@connections/"); ok {
		s.manage(w, r, id)
		return
	}
	if s.handling.pass(r.Context()) {
		(&attempt{s: s, a: s.api.Load(), w: w, r: r}).run()
	}
}

// An attempt is a handshake under way.
type attempt struct {
	s      *Server
	a      *api // at the beginning
	w      http.ResponseWriter
	r      *http.Request
	id     string // of the connection, once it is known that the gateway itself has no objection
	origin origin
}

// run answers the client once it is decided whether it may come in: the authorizer and $connect run
// meanwhile.
func (t *attempt) run() {
	if status := t.admit(); status != 0 {
		t.refuse(status)
		return
	}
	t.id = newID()
	t.origin = newOrigin(t.a, t.r)
	status := t.authorize()
	var resp *Response
	if status == 0 {
		resp, status = t.connect()
	}
	switch {
	case t.r.Context().Err() != nil: // the client gave up, or the Server is being closed
	case status != 0:
		t.refuse(status)
	default:
		t.upgrade(resp)
	}
}

// admit decides what needs no event. It returns the status of a refusal, or 0.
func (t *attempt) admit() int {
	s, r := t.s, t.r
	if status := s.handling.refusal(); status != 0 {
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
	case t.a.authorizeFunc != nil:
		if status := t.a.authorizeFunc(r); status != http.StatusOK {
			return s.usable(status)
		}
	}
	return 0
}

// connect runs $connect. It returns the status of a refusal, or 0.
func (t *attempt) connect() (*Response, int) {
	route := t.a.routes["$connect"]
	switch {
	case !route.limit.take(time.Now()):
		return nil, http.StatusTooManyRequests
	case route.handler == nil:
		return nil, 0
	}
	resp, err := call(t.s, t.r.Context(), route.timeout, route.key, route.handler, t.event())
	switch {
	case err == errTimedOut:
		return nil, http.StatusGatewayTimeout
	case err != nil:
		t.s.log.Info("handler failed", "conn", t.id, "route", "$connect", "error", err)
		return nil, http.StatusBadGateway
	case resp == nil || resp.StatusCode == 0 || resp.StatusCode/100 == 2:
		return resp, 0
	case resp.StatusCode < 200 || resp.StatusCode > 599:
		return nil, http.StatusBadGateway // no answer to a handshake
	}
	return nil, resp.StatusCode
}

// upgrade completes the handshake and starts the connection.
func (t *attempt) upgrade(resp *Response) {
	s := t.s
	conn, rw, err := http.NewResponseController(t.w).Hijack()
	if err != nil {
		t.refuse(http.StatusInternalServerError)
		return
	}
	u := ws.HTTPUpgrader{Header: http.Header{}}
	// Whether the client offered what $connect returned or not: the gateway does not pick.
	subprotocol := resp.header("Sec-WebSocket-Protocol")
	if subprotocol == "" {
		subprotocol = t.a.subprotocol(t.r)
	}
	if subprotocol != "" {
		u.Header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	// The answer goes into a buffer: whoever reads the 101 must find the connection, and it exists
	// only if there is one.
	var answer bytes.Buffer
	to := bufio.NewReadWriter(rw.Reader, bufio.NewWriter(&answer))
	if _, _, _, err := u.Upgrade(t.r, hijacked{t.w, conn, to}); err != nil {
		t.countRefusal(http.StatusBadRequest)
		conn.Write(answer.Bytes())
		conn.Close()
		return
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c := newConn(s, t.id, t.origin, conn)
	if s.conns.add(c) {
		who := t.origin.identity
		s.observer.add(Observation{Kind: Connected, ConnectionID: t.id, SourceIP: who.SourceIP, UserAgent: who.UserAgent})
	} else {
		c.Drop()
	}
	conn.Write(answer.Bytes()) // if that fails, so does the first read
	c.start(bytes.Clone(early))
}

// refuse answers with a status.
func (t *attempt) refuse(status int) {
	t.countRefusal(status)
	if status == http.StatusUpgradeRequired {
		t.w.Header().Set("Sec-WebSocket-Version", "13") // as RFC 6455 demands
	}
	writeMessage(t.w, status, http.StatusText(status))
}

func (t *attempt) countRefusal(status int) {
	s := t.s
	s.mu.Lock()
	s.refused[status]++
	s.mu.Unlock()
	s.log.Info("refused", "status", status)
	ip, _, _ := net.SplitHostPort(t.r.RemoteAddr)
	s.observer.add(Observation{Kind: Refused, ConnectionID: t.id, SourceIP: ip, Status: status})
}

// usable returns a status that a function of the Config has returned, or 500 if it cannot be that
// of an answer.
func (s *Server) usable(status int) int {
	if status == 0 || status >= http.StatusOK && status <= 599 {
		return status
	}
	s.log.Error("authorizer returned a status that is none", "status", status)
	return http.StatusInternalServerError
}

// scheme returns that of the URL that the client dialled.
func scheme(r *http.Request) string {
	if r.TLS != nil || r.Context().Value(http.LocalAddrContextKey) == memSecureAddr {
		return "wss:"
	}
	return "ws:"
}

func upgrades(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// malformed returns the status for a handshake that is none, or 0. The upgrader looks at the same,
// but only once the backend has let the client in.
func malformed(r *http.Request) int {
	version := r.Header.Get("Sec-WebSocket-Version")
	switch {
	case !upgrades(r):
		// As another emulator's tests, which run on AWS, too, expect.
		return http.StatusUpgradeRequired
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

// writeMessage writes an answer with the body that the gateway's own errors have.
func writeMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// hijacked gives the upgrader a connection that has been taken over already.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
	rw   *bufio.ReadWriter
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.rw, nil }
