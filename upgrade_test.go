package apigws

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/apigws/apigws/gatewaytest"
)

// secure returns the URL of a gateway behind TLS, and a transport that trusts it.
func secure(t *testing.T) (rawURL string, transport *http.Transport) {
	gw := gatewaytest.NewServer(nil)
	t.Cleanup(gw.Close)
	target, err := url.Parse(strings.Replace(gw.URL, "ws", "http", 1))
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(forward(target.Host))
	front.EnableHTTP2 = true // which the handshake cannot use
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	return strings.Replace(front.URL, "http", "ws", 1) + target.Path, front.Client().Transport.(*http.Transport).Clone()
}

// forward copies the bytes of a request, and of what follows it, to an address and back.
func forward(addr string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", addr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		r.Write(to)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		go func() {
			io.Copy(to, from)
			to.Close()
		}()
		io.Copy(from, to)
	}
}

// proxy is an HTTP proxy for CONNECT and for ws. It wants the password, if there is one.
func proxy(t *testing.T, password string) *url.URL {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if _, got, _ := r.BasicAuth(); got != password {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			forward(r.URL.Host)(w, r)
			return
		}
		to, err := net.Dial("tcp", r.URL.Host)
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
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// transportFunc is a transport that is a function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// The socket under a connection is found wherever the transport shows it.
func TestSocket(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	secureURL, secureTransport := secure(t)
	through := func(t *http.Transport, u *url.URL) *http.Transport {
		t = t.Clone()
		t.Proxy = http.ProxyURL(u)
		return t
	}
	dialTLS := secureTransport.Clone()
	dialTLS.TLSClientConfig.NextProtos = nil
	dialTLS.ForceAttemptHTTP2 = false
	dialTLS.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&tls.Dialer{Config: dialTLS.TLSClientConfig}).DialContext(ctx, network, addr)
	}
	wrapping := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return counted{conn}, err
	}}
	hiding := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return hidden{conn}, err
	}}
	plain := &http.Transport{}
	tests := map[string]struct {
		url       string
		transport http.RoundTripper
		want      bool
	}{
		"ws":                      {gw.URL, plain, true},
		"wss":                     {secureURL, secureTransport, true},
		"wss with DialTLSContext": {secureURL, dialTLS, true},
		"ws through a proxy":      {gw.URL, through(plain, proxy(t, "")), true},
		"wss through a proxy":     {secureURL, through(secureTransport, proxy(t, "")), true},
		"conn with NetConn":       {gw.URL, wrapping, true},
		"conn that hides it":      {gw.URL, hiding, false},
		"wrapped transport":       {gw.URL, transportFunc(plain.RoundTrip), true},
		"transport without traces": {gw.URL, transportFunc(func(req *http.Request) (*http.Response, error) {
			return plain.RoundTrip(req.Clone(context.Background()))
		}), false},
		// It is not known which is which.
		"transport with two requests": {gw.URL, transportFunc(func(req *http.Request) (*http.Response, error) {
			if resp, err := plain.RoundTrip(req.Clone(req.Context())); err == nil {
				defer resp.Body.Close()
			}
			return plain.RoundTrip(req)
		}), false},
	}
	for name, test := range tests {
		s, err := dialOnce(t, test.url, &Options{HTTPClient: &http.Client{Transport: test.transport}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := s.socket != nil; got != test.want {
			t.Errorf("%s: found = %v, want %v", name, got, test.want)
		}
		// It is the right one.
		if s.socket != nil {
			s.socket.Close()
			if _, err := s.Write(make([]byte, 1)); err == nil {
				t.Errorf("%s: the connection has another socket", name)
			}
		}
	}
}

// counted and hidden wrap a connection, with and without a way to it.
type counted struct{ net.Conn }

func (c counted) NetConn() net.Conn { return c.Conn }

type hidden struct{ net.Conn }

// A body that cannot be written to is told as what it is, at once.
func TestReadOnlyBody(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	type readOnly struct{ io.ReadCloser }
	_, err := dialOnce(t, gw.URL, &Options{HTTPClient: &http.Client{Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Body = readOnly{resp.Body}
		}
		return resp, err
	})}})
	var failed *HandshakeError
	if !errors.As(err, &failed) || failed.StatusCode != 101 || failed.Header.Get("Sec-Websocket-Accept") == "" || Retryable(err) ||
		!strings.Contains(err.Error(), "Transport") || !strings.Contains(err.Error(), "readOnly, is not an io.ReadWriteCloser") {
		t.Errorf("a read-only body: %v", err)
	}
}

// Transports that break the rules make errors, and nothing worse.
func TestOddTransports(t *testing.T) {
	for name, transport := range map[string]transportFunc{
		"nothing":          func(*http.Request) (*http.Response, error) { return nil, nil },
		"101 without body": func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 101}, nil },
		"200 without body": func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
		"both": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 101, Body: http.NoBody}, errors.New("failed")
		},
	} {
		_, err := dialOnce(t, "ws://127.0.0.1", &Options{HTTPClient: &http.Client{Transport: transport}})
		var failed *HandshakeError
		if !errors.As(err, &failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A connection that is of no use is closed.
func TestUselessConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // for coder/websocket waits for 3 s for the rest of an answer
		for name, answer := range map[string]string{
			"read-only": "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket",
			"invalid":   "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other",
			"refused":   "403 Forbidden\r\nContent-Length: 0",
		} {
			ended := make(chan error, 1)
			transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					http.ReadRequest(bufio.NewReader(server))
					io.WriteString(server, "HTTP/1.1 "+answer+"\r\n\r\n")
					_, err := server.Read(make([]byte, 1))
					ended <- err
				}()
				return client, nil
			}}
			_, err := dialOnce(t, "ws://127.0.0.1", &Options{HTTPClient: &http.Client{
				Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := transport.RoundTrip(req)
					if err == nil && name == "read-only" {
						resp.Body = struct{ io.ReadCloser }{resp.Body}
					}
					return resp, err
				})}})
			if end := <-ended; err == nil || end != io.EOF {
				t.Errorf("%s: %v, then %v", name, err, end)
			}
		}
	})
}
