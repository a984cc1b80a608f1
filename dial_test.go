package apigws

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// dialOnce makes one handshake.
func dialOnce(t *testing.T, rawURL string, opts *Options) (*stream, error) {
	t.Helper()
	o, err := opts.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	u, err := o.parseURL(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newDialer(o, u).dial(t.Context())
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

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

// endless wraps itself.
type endless struct{ net.Conn }

func (e endless) NetConn() net.Conn { return e }

func TestSocketOfEndless(t *testing.T) {
	if got := tcpUnder(endless{}); got != nil {
		t.Error(got)
	}
	if got := tcpUnder(nil); got != nil {
		t.Error(got)
	}
}

// What no retry mends ends Dial at once, with no other attempt.
func TestPermanentFailures(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	secureURL, transport := secure(t)
	trusting := func(change func(*tls.Config)) *http.Client {
		tr := transport.Clone()
		change(tr.TLSClientConfig)
		return &http.Client{Transport: tr}
	}
	own := trusting(func(c *tls.Config) {
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: x509.NewCertPool()})
			return err
		}
	})
	later := func(c *tls.Config) { c.Time = func() time.Time { return time.Now().AddDate(500, 0, 0) } }
	tests := map[string]struct {
		url    string
		client *http.Client
		text   string
	}{
		"unknown authority": {secureURL, &http.Client{Transport: &http.Transport{}}, "unknown authority"},
		"other name":        {secureURL, trusting(func(c *tls.Config) { c.ServerName = "other.example.org" }), "other.example.org"},
		"expired":           {secureURL, trusting(later), "expired"},
		"own verification":  {secureURL, own, "unknown authority"},
		"no TLS":            {strings.Replace(gw.URL, "ws://", "wss://", 1), trusting(func(*tls.Config) {}), "HTTP response to HTTPS client"},
		"not even HTTP":     {strings.Replace(speaking(t, "SSH-2.0-OpenSSH_9.9\r\n"), "http", "wss", 1), trusting(func(*tls.Config) {}), "not TLS"},
	}
	for name, test := range tests {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		c, err := Dial(ctx, test.url, &Options{HTTPClient: test.client})
		cancel()
		var failed *HandshakeError
		if err == nil {
			c.Close()
		}
		if !errors.As(err, &failed) || ctx.Err() == context.DeadlineExceeded {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if Retryable(err) || !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "apigws: handshake: TLS handshake with 127.0.0.1:") {
			t.Errorf("%s: Retryable = %v, %v", name, Retryable(err), err)
		}
	}
}

// speaking is a server that says something when it has been spoken to, and nothing else.
func speaking(t *testing.T, text string) (rawURL string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1<<10))
			io.WriteString(conn, text)
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	return "http://" + ln.Addr().String()
}

// What may go away by itself is retried, and says what has failed.
func TestPassingFailures(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := refusing.Addr().String()
	refusing.Close()
	secureURL, transport := secure(t)
	through := func(u *url.URL) *http.Client {
		tr := transport.Clone()
		tr.Proxy = http.ProxyURL(u)
		return &http.Client{Transport: tr}
	}
	tests := map[string]struct {
		url  string
		opts *Options
		text string
	}{
		"refused":  {"ws://" + addr, &Options{}, "dial tcp " + addr + ": connection refused"},
		"hangs up": {speaking(t, ""), &Options{}, "EOF"},
		"not HTTP": {speaking(t, "SSH-2.0-OpenSSH_9.9\r\n"), &Options{}, "the answer is not HTTP"},
		"no such host": {"wss://nowhere.invalid", &Options{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "nowhere.invalid", Err: "no such host", IsNotFound: true}}
		}}}}, "dial tcp: lookup nowhere.invalid: no such host"},
		"proxy refuses": {secureURL, &Options{HTTPClient: through(proxy(t, "password"))}, "proxy CONNECT to 127.0.0.1:"},
		"proxy's words": {secureURL, &Options{HTTPClient: through(proxy(t, "password"))}, "407 Proxy Authentication Required"},
		"no proxy":      {secureURL, &Options{HTTPClient: through(&url.URL{Scheme: "http", Host: addr})}, "proxyconnect tcp: dial tcp " + addr + ": connection refused"},
		"503":           {speaking(t, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), &Options{}, "503 Service Unavailable"},
		"429":           {speaking(t, "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"), &Options{}, "429 Too Many Requests"},
		"408":           {speaking(t, "HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n"), &Options{}, "408 Request Timeout"},
		"Goexit":        {"ws://127.0.0.1", &Options{Prepare: func(*http.Request) error { runtime.Goexit(); return nil }}, "Prepare: the hook has called runtime.Goexit"},
	}
	for name, test := range tests {
		_, err := dialOnce(t, test.url, test.opts)
		if err == nil || !Retryable(err) || !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "apigws: handshake") {
			t.Errorf("%s: Retryable = %v, %v, want %q", name, Retryable(err), err, test.text)
		}
	}
}

// A handshake that times out says what it was waiting for.
func TestStepThatTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			t.Cleanup(func() { server.Close() })
			return client, nil
		}
		transport := &http.Transport{DialContext: stuck}
		for rawURL, want := range map[string]string{
			"ws://127.0.0.1":       "apigws: handshake: waiting for the answer of 127.0.0.1: context deadline exceeded",
			"wss://example.com:81": "apigws: handshake: TLS handshake with example.com:81: context deadline exceeded",
		} {
			_, err := dialOnce(t, rawURL, &Options{HTTPClient: &http.Client{Transport: transport}})
			if err == nil || err.Error() != want || !Retryable(err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		transport.TLSHandshakeTimeout = time.Second
		transport.ResponseHeaderTimeout = time.Second
		for rawURL, want := range map[string]string{
			"ws://127.0.0.1":       "apigws: handshake: waiting for the answer of 127.0.0.1: timeout",
			"wss://example.com:81": "apigws: handshake: TLS handshake with example.com:81: net/http: TLS handshake timeout",
		} {
			_, err := dialOnce(t, rawURL, &Options{HTTPClient: &http.Client{Transport: transport}})
			if err == nil || err.Error() != want || !Retryable(err) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}

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

// A refusal is a refusal, whatever its Location says; and an answer of 101 that lacks the headers
// of a handshake is the server's fault, not the transport's.
func TestOddAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"302 Found\r\nLocation: ://%zz":              "apigws: handshake refused: 302 Found",
		"302 Found\r\nLocation: https://127.0.0.1:1": "apigws: handshake refused: 302 Found",
		"302 Found":               "apigws: handshake refused: 302 Found",
		"499 Strange":             "apigws: handshake refused: 499",
		"101 Switching Protocols": "apigws: handshake: status 101: the answer is not a valid WebSocket handshake (RFC 6455, section 4.1)",
	} {
		client := &http.Client{Transport: answering("HTTP/1.1 " + answer + "\r\nContent-Length: 0\r\n\r\n")}
		_, err := dialOnce(t, "ws://127.0.0.1", &Options{HTTPClient: client})
		if err == nil || err.Error() != want || Retryable(err) {
			t.Errorf("%q: Retryable = %v, %v", answer, Retryable(err), err)
		}
	}
}

// answering is a transport that gets this answer to every request.
func answering(answer string) http.RoundTripper {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			http.ReadRequest(bufio.NewReader(server))
			io.WriteString(server, answer)
			server.Close()
		}()
		return client, nil
	}}
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
