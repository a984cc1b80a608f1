package gatewaytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// A listener serves HTTP/1.1. It stands in for http.Server, whose Close does not wait for the
// goroutines of connections: those of half-made handshakes and of idle sockets went on after
// Server.Close.
type listener struct {
	s   *Server
	l   net.Listener
	tls *tls.Config    // nil: none
	run sync.WaitGroup // of serve

	mu     sync.Mutex // guards all below
	closed bool
	conns  map[net.Conn]bool // that no WebSocket has taken over
}

func newListener(s *Server, l net.Listener, config *tls.Config) *listener {
	return &listener{s: s, l: l, tls: config, conns: map[net.Conn]bool{}}
}

// serve accepts connections until close.
func (l *listener) serve() {
	for {
		conn, err := l.l.Accept()
		switch {
		case err == nil && l.add(conn):
			l.s.wg.Go(func() { l.serveConn(conn) })
		case err == nil:
			conn.Close()
		case l.isClosed():
			return
		default: // out of file descriptors, for example
			l.s.log.Error("accept", "error", err)
			select {
			case <-time.After(10 * time.Millisecond):
			case <-l.s.ctx.Done():
			}
		}
	}
}

// close ends everything but what WebSockets have taken over.
func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	for conn := range l.conns {
		conn.Close()
	}
	l.mu.Unlock()
	l.l.Close()
	l.run.Wait()
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// add reports whether there is still somebody to serve conn.
func (l *listener) add(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *listener) remove(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

const (
	mostHeader = 1 << 20  // bytes of the line and the header of a request
	mostUnread = 64 << 20 // bytes of a body that nobody wanted to read
)

// serveConn serves the requests of a connection, one after the other.
func (l *listener) serveConn(raw net.Conn) {
	defer l.remove(raw)
	e := &exchange{s: l.s, conn: raw}
	defer func() {
		if p := recover(); p != nil {
			l.s.log.Error("panic", "panic", p, "stack", string(debug.Stack()))
		}
		if !e.hijacked {
			raw.Close()
		}
	}()
	if l.tls != nil {
		secure := tls.Server(raw, l.tls)
		if err := secure.HandshakeContext(l.s.ctx); err != nil {
			l.s.log.Debug("TLS handshake", "error", err)
			var plain tls.RecordHeaderError
			if errors.As(err, &plain) && plain.Conn != nil {
				io.WriteString(raw, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			}
			return
		}
		state := secure.ConnectionState()
		e.conn, e.state = secure, &state
	}
	limit := &io.LimitedReader{R: e.conn}
	e.in = bufio.NewReader(limit)
	for more := true; more; {
		limit.N = mostHeader
		r, err := http.ReadRequest(e.in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				io.WriteString(e.conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			}
			return
		}
		limit.N = math.MaxInt64
		more = e.serve(r)
	}
}

// An exchange is a request and its answer. It implements http.ResponseWriter and http.Hijacker.
type exchange struct {
	s        *Server
	conn     net.Conn
	in       *bufio.Reader
	state    *tls.ConnectionState
	header   http.Header
	status   int
	body     bytes.Buffer
	hijacked bool
	stop     func() // ends the watch over the client
}

// serve answers a request. It reports whether there may be another.
func (e *exchange) serve(r *http.Request) bool {
	e.header, e.status = http.Header{}, 0
	e.body.Reset()
	ctx, cancel := context.WithCancel(context.WithValue(e.s.ctx, http.LocalAddrContextKey, e.conn.LocalAddr()))
	defer cancel()
	r = r.WithContext(ctx)
	r.RemoteAddr, r.TLS = e.conn.RemoteAddr().String(), e.state
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		io.WriteString(e.conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	e.stop = func() {}
	if r.Body == http.NoBody {
		e.stop = e.watch(cancel)
	}
	e.s.serve(e, r)
	e.stop()
	if e.hijacked || e.status == 0 && ctx.Err() != nil { // there is nobody to answer
		return false
	}
	// The rest of the body, so that the answer is not lost in the reset of an early close.
	n, err := io.Copy(io.Discard, io.LimitReader(r.Body, mostUnread))
	e.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	resp := http.Response{
		StatusCode: e.status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: e.header,
		Body: io.NopCloser(&e.body), ContentLength: int64(e.body.Len()),
		Close: r.Close || !r.ProtoAtLeast(1, 1) || n == mostUnread || err != nil,
	}
	if e.status == 0 {
		resp.StatusCode = http.StatusOK
	}
	return resp.Write(e.conn) == nil && !resp.Close
}

// watch calls cancel if the client hangs up. What it sends meanwhile stays where it is. The
// function that it returns ends the watch.
func (e *exchange) watch(cancel func()) (stop func()) {
	done := make(chan struct{})
	e.s.wg.Go(func() {
		defer close(done)
		var timeout net.Error
		if _, err := e.in.Peek(1); err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			cancel()
		}
	})
	return sync.OnceFunc(func() {
		e.conn.SetReadDeadline(time.Unix(1, 0)) // long ago
		<-done
		e.conn.SetReadDeadline(time.Time{})
	})
}

func (e *exchange) Header() http.Header { return e.header }

func (e *exchange) WriteHeader(status int) {
	if e.status == 0 {
		e.status = status
	}
}

func (e *exchange) Write(p []byte) (int, error) { return e.body.Write(p) }

// Hijack hands the connection over.
func (e *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	e.stop()
	e.hijacked = true
	return e.conn, bufio.NewReadWriter(e.in, bufio.NewWriter(e.conn)), nil
}
