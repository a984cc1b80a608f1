package apigws

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/redact"
)

// dialOnce makes one handshake, and returns its secrets.
func dialOnce(t *testing.T, rawURL string, opts *Options) (*redact.Secrets, error) {
	t.Helper()
	o, err := opts.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	u, err := o.parseURL(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	dialled, secrets, err := newDialer(o, u).dial(t.Context())
	if err == nil {
		dialled.Stream.Close()
	}
	return secrets, err
}

// What no retry mends ends Dial at once, with no other attempt.
func TestPermanentFailures(t *testing.T) {
	gw, secure := gatewaytest.NewServer(nil), gatewaytest.NewTLSServer(nil)
	defer gw.Close()
	defer secure.Close()
	trusting := func(change func(*tls.Config)) *http.Client {
		tr := secure.Client().Transport.(*http.Transport).Clone()
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
		"unknown authority": {secure.URL, &http.Client{Transport: &http.Transport{}}, "unknown authority"},
		"other name":        {secure.URL, trusting(func(c *tls.Config) { c.ServerName = "other.example.org" }), "other.example.org"},
		"expired":           {secure.URL, trusting(later), "expired"},
		"own verification":  {secure.URL, own, "unknown authority"},
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
	through := func(proxyURL string) *http.Client {
		return &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxyURL) }}}
	}
	tests := map[string]struct {
		url  string
		opts *Options
		text string
	}{
		"refused":  {"ws://" + addr, &Options{}, "handshake: dial tcp " + addr + ": connection refused"},
		"hangs up": {speaking(t, ""), &Options{}, "EOF"},
		"not HTTP": {speaking(t, "SSH-2.0-OpenSSH_9.9\r\n"), &Options{}, "the answer is not HTTP"},
		"no such host": {"wss://nowhere.invalid", &Options{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "nowhere.invalid", Err: "no such host", IsNotFound: true}}
		}}}}, "dial tcp: lookup nowhere.invalid: no such host"},
		"proxy refuses": {"wss://example.com", &Options{HTTPClient: through(speaking(t, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"))},
			"proxy CONNECT to example.com: 407 Proxy Authentication Required"},
		"no proxy": {"wss://example.com", &Options{HTTPClient: through("http://" + addr)}, "proxyconnect tcp: dial tcp " + addr + ": connection refused"},
		"503":      {speaking(t, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), &Options{}, "503 Service Unavailable"},
		"429":      {speaking(t, "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"), &Options{}, "429 Too Many Requests"},
		"408":      {speaking(t, "HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n"), &Options{}, "408 Request Timeout"},
		"Goexit":   {"ws://127.0.0.1", &Options{Prepare: func(*http.Request) error { runtime.Goexit(); return nil }}, "Prepare: the hook has called runtime.Goexit"},
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

// transportFunc is a transport that is a function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// What a transport does against the rules is told, at once.
func TestOddTransports(t *testing.T) {
	for text, resp := range map[string]*http.Response{
		"apigws: handshake: status 101: the http.Client's Transport has returned a 101 whose Body, a http.noBody, is not an io.ReadWriteCloser": {
			StatusCode: 101, Header: http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}, Body: http.NoBody},
		"apigws: handshake refused: 0": {Header: http.Header{"Upgrade": {"websocket"}}, Body: http.NoBody},
	} {
		_, err := dialOnce(t, "ws://127.0.0.1", &Options{HTTPClient: &http.Client{Transport: transportFunc(func(*http.Request) (*http.Response, error) {
			return resp, nil
		})}})
		var failed *HandshakeError
		if !errors.As(err, &failed) || err.Error() != text || failed.StatusCode != resp.StatusCode || failed.Header.Get("Upgrade") != "websocket" ||
			Retryable(err) != (resp.StatusCode == 0) {
			t.Errorf("Retryable = %v, %v, want %q", Retryable(err), err, text)
		}
	}
}
