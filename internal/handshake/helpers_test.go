package handshake

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// get performs the handshake of a GET request through a transport.
func get(t *testing.T, rawURL string, transport http.RoundTripper) (*Conn, *Failure) {
	t.Helper()
	conn, failure := Do(t.Context(), &http.Client{Transport: transport}, request(t, rawURL), nil)
	if (conn == nil) == (failure == nil) {
		t.Fatalf("%v and %v", conn, failure)
	}
	if conn != nil {
		t.Cleanup(func() { conn.Stream.Close() })
	}
	return conn, failure
}

func request(t *testing.T, rawURL string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// greeting is what a server sends in one packet with its answer.
const greeting = "hello"

// answer is the answer of a server to a handshake, and its greeting.
func answer(req *http.Request) string {
	text := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSet-Cookie: session=cookie\r\n"
	if req.Header.Get("Sec-WebSocket-Protocol") != "" {
		text += "Sec-WebSocket-Protocol: two\r\n"
	}
	return text + "Sec-WebSocket-Accept: " + acceptKey(req) + "\r\n\r\n" + greeting
}

// acceptKey is the value of Sec-WebSocket-Accept in the answer to a handshake.
func acceptKey(req *http.Request) string {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// accept is a server that performs a handshake, and sends back the bytes that follow.
func accept(w http.ResponseWriter, req *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, answer(req))
	io.Copy(conn, rw)
}

// server serves plain HTTP.
func server(t *testing.T, handler http.HandlerFunc) (rawURL string) {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// secure serves HTTPS. It returns a transport that trusts it, too.
func secure(t *testing.T, handler http.HandlerFunc) (rawURL string, transport *http.Transport) {
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true // which the handshake cannot use
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, s.Client().Transport.(*http.Transport).Clone()
}

// proxy is an HTTP proxy, which answers plain requests itself. It wants the password, if there is
// one.
func proxy(t *testing.T, password string) *url.URL {
	u, err := url.Parse(server(t, func(w http.ResponseWriter, req *http.Request) {
		req.Header.Set("Authorization", req.Header.Get("Proxy-Authorization"))
		if _, got, _ := req.BasicAuth(); got != password {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if req.Method != http.MethodConnect {
			accept(w, req)
			return
		}
		to, err := net.Dial("tcp", req.URL.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(to, from)
			to.Close()
		}()
		io.Copy(from, to)
	}))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// refusing is the address of a port that takes no connection.
func refusing(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// A roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// piped returns a transport to a server in memory that reads one request and answers it. ended
// brings the error with which what follows the request has ended.
func piped(answer func(*http.Request) string) (transport *http.Transport, ended <-chan error) {
	errs := make(chan error, 1)
	return &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			req, err := http.ReadRequest(bufio.NewReader(server))
			if err != nil {
				errs <- fmt.Errorf("the request: %w", err)
				return
			}
			io.WriteString(server, answer(req))
			_, err = io.Copy(io.Discard, server)
			errs <- err
		}()
		return client, nil
	}}, errs
}

// answering is piped with an answer that is always the same.
func answering(answer string) (transport *http.Transport, ended <-chan error) {
	return piped(func(*http.Request) string { return "HTTP/1.1 " + answer + "\r\n\r\n" })
}
