package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errFailed = errors.New("failed")

// The step that has failed is the last one that has begun.
func TestStep(t *testing.T) {
	const host = "example.com:81"
	var (
		lookup    = func(tr *httptrace.ClientTrace) { tr.DNSStart(httptrace.DNSStartInfo{Host: "proxy"}) }
		dial      = func(tr *httptrace.ClientTrace) { tr.ConnectStart("tcp", "10.0.0.1:3128") }
		connected = func(tr *httptrace.ClientTrace) { tr.ConnectDone("tcp", "10.0.0.1:3128", nil) }
		refused   = func(tr *httptrace.ClientTrace) { tr.ConnectDone("tcp", "10.0.0.1:3128", errFailed) }
		shake     = func(tr *httptrace.ClientTrace) { tr.TLSHandshakeStart() }
		shaken    = func(tr *httptrace.ClientTrace) { tr.TLSHandshakeDone(tls.ConnectionState{}, nil) }
		untrusted = func(tr *httptrace.ClientTrace) { tr.TLSHandshakeDone(tls.ConnectionState{}, errFailed) }
		got       = func(tr *httptrace.ClientTrace) { tr.GotConn(httptrace.GotConnInfo{}) }
		wrote     = func(tr *httptrace.ClientTrace) { tr.WroteRequest(httptrace.WroteRequestInfo{}) }
		stuck     = func(tr *httptrace.ClientTrace) { tr.WroteRequest(httptrace.WroteRequestInfo{Err: errFailed}) }
	)
	for _, test := range []struct {
		want  string
		hooks []func(*httptrace.ClientTrace)
	}{
		{"", nil},
		{"DNS lookup", []func(*httptrace.ClientTrace){lookup}},
		{"dial 10.0.0.1:3128", []func(*httptrace.ClientTrace){lookup, dial}},
		{"dial 10.0.0.1:3128", []func(*httptrace.ClientTrace){lookup, dial, refused}},
		{"proxy CONNECT to " + host, []func(*httptrace.ClientTrace){lookup, dial, connected}},
		{"TLS handshake with " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, shake}},
		{"TLS handshake with " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, shake, untrusted}},
		{"proxy CONNECT to " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, shake, shaken}},
		{"TLS handshake with " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, shake, shaken, shake}},
		{"request to " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, got}},
		{"request to " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, got, stuck}},
		{"waiting for the answer of " + host, []func(*httptrace.ClientTrace){lookup, dial, connected, got, wrote}},
	} {
		p := &progress{host: host}
		for _, hook := range test.hooks {
			hook(p.trace())
		}
		if step := p.failed(errFailed); step != test.want {
			t.Errorf("after %d hooks: %q, want %q", len(test.hooks), step, test.want)
		}
	}
}

// An error that names its step is not told with another.
func TestErrorsThatNameTheirStep(t *testing.T) {
	for want, errs := range map[string][]error{
		"": {
			&net.OpError{Op: "dial", Err: errFailed},
			&net.OpError{Op: "proxyconnect", Err: errFailed},
			&net.OpError{Op: "socks connect", Err: errFailed},
			&net.DNSError{},
			fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: errFailed}),
		},
		"DNS lookup": {
			errFailed,
			&net.OpError{Op: "read", Err: errFailed},
			context.DeadlineExceeded,
		},
	} {
		for _, err := range errs {
			p := &progress{}
			p.trace().DNSStart(httptrace.DNSStartInfo{})
			if step := p.failed(err); step != want {
				t.Errorf("%v: %q, want %q", err, step, want)
			}
		}
	}
}

// A transport may go on, on goroutines of its own, when the handshake has failed.
func TestStepsOfAnotherGoroutine(t *testing.T) {
	p := &progress{}
	trace := p.trace()
	var transport sync.WaitGroup
	transport.Go(func() {
		trace.DNSStart(httptrace.DNSStartInfo{})
		trace.GotConn(httptrace.GotConnInfo{})
	})
	p.failed(errFailed)
	p.socket(http.DefaultTransport)
	transport.Wait()
}

// Whatever a real transport meets, the step is the one at which it was.
func TestStepOfTransport(t *testing.T) {
	secureURL, transport := secure(t, accept)
	through := func(u *url.URL) *http.Transport {
		tr := transport.Clone()
		tr.Proxy = http.ProxyURL(u)
		return tr
	}
	nobody := refusing(t)
	bare := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, err := (&net.Dialer{}).DialContext(ctx, network, addr); err == nil {
			t.Error("a port that is not open takes connections")
		}
		return nil, errFailed
	}}
	host := secureURL[len("https://"):]
	for name, test := range map[string]struct {
		url       string
		transport *http.Transport
		want      string
	}{
		"refused":       {"http://" + nobody, &http.Transport{}, ""},
		"bare error":    {"http://" + nobody, bare, "dial " + nobody},
		"no proxy":      {secureURL, through(&url.URL{Scheme: "http", Host: nobody}), ""},
		"proxy refuses": {secureURL, through(proxy(t, "password")), "proxy CONNECT to " + host},
		"not trusted":   {secureURL, &http.Transport{}, "TLS handshake with " + host},
	} {
		if _, failure := get(t, test.url, test.transport); failure == nil || failure.Err == nil || failure.Step != test.want {
			t.Errorf("%s: %+v, want the step %q", name, failure, test.want)
		}
	}
}

// A handshake that times out says what it was waiting for.
func TestStepThatTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			t.Cleanup(func() { server.Close() })
			return client, nil
		}}
		for rawURL, want := range map[string]string{
			"http://127.0.0.1":       "waiting for the answer of 127.0.0.1",
			"https://example.com:81": "TLS handshake with example.com:81",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, failure := Do(ctx, &http.Client{Transport: transport}, request(t, rawURL), nil)
			cancel()
			if failure == nil || failure.Step != want || !errors.Is(failure.Err, context.DeadlineExceeded) {
				t.Errorf("%+v, want the step %q", failure, want)
			}
		}
	})
}

// shown and hidden wrap a connection, with and without a way to it.
type shown struct{ net.Conn }

func (c shown) NetConn() net.Conn { return c.Conn }

type hidden struct{ net.Conn }

// The socket under a connection is found wherever the transport shows it.
func TestSocket(t *testing.T) {
	plainURL := server(t, accept)
	secureURL, secureTransport := secure(t, accept)
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
	shownTLS := dialTLS.Clone()
	shownTLS.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialTLS.DialTLSContext(ctx, network, addr)
		return shown{conn}, err
	}
	shownTCP := secureTransport.Clone()
	shownTCP.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return shown{conn}, err
	}
	older := secureTransport.Clone()
	older.TLSClientConfig.MaxVersion = tls.VersionTLS12
	wrapping := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return shown{conn}, err
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
		tls13     bool
	}{
		"http":                      {plainURL, plain, true, false},
		"https":                     {secureURL, secureTransport, true, true},
		"https with DialTLSContext": {secureURL, dialTLS, true, true},
		"http through a proxy":      {plainURL, through(plain, proxy(t, "")), true, false},
		"https through a proxy":     {secureURL, through(secureTransport, proxy(t, "")), true, true},
		"conn with NetConn":         {plainURL, wrapping, true, false},
		"conn that hides it":        {plainURL, hiding, false, false},
		"default transport":         {plainURL, nil, true, false},
		"wrapped transport":         {plainURL, roundTrip(plain.RoundTrip), true, false},
		"https, wrapped transport":  {secureURL, roundTrip(secureTransport.RoundTrip), true, false},
		"https, TLS 1.2":            {secureURL, older, true, false},
		"https, tls.Conn wrapped":   {secureURL, shownTLS, true, false},
		"https, TCP wrapped":        {secureURL, shownTCP, true, false},
		"transport without traces": {plainURL, roundTrip(func(req *http.Request) (*http.Response, error) {
			return plain.RoundTrip(req.Clone(context.Background()))
		}), false, false},
		// It is not known which is which.
		"transport with two requests": {plainURL, roundTrip(func(req *http.Request) (*http.Response, error) {
			if resp, err := plain.RoundTrip(req.Clone(req.Context())); err == nil {
				defer resp.Body.Close()
			}
			return plain.RoundTrip(req)
		}), false, false},
	}
	for name, test := range tests {
		conn, failure := get(t, test.url, test.transport)
		if failure != nil {
			t.Errorf("%s: %+v", name, failure)
			continue
		}
		if got := conn.Socket != nil; got != test.want {
			t.Errorf("%s: found = %v, want %v", name, got, test.want)
		}
		if conn.TLS13 != test.tls13 {
			t.Errorf("%s: TLS13 = %v, want %v", name, conn.TLS13, test.tls13)
		}
		carries(t, conn)
		// It is the right one.
		if conn.Socket != nil {
			conn.Socket.Close()
			if _, err := conn.Stream.Write(make([]byte, 1)); err == nil {
				t.Errorf("%s: the connection has another socket", name)
			}
		}
	}
}

// An http.Transport that was given a connection which the server had closed sends the request on
// another one. The last one is in use.
func TestSocketOfSecondAttempt(t *testing.T) {
	p := &progress{}
	first, last := new(net.TCPConn), new(net.TCPConn)
	for _, conn := range []net.Conn{first, last} {
		p.trace().GotConn(httptrace.GotConnInfo{Conn: conn})
	}
	if got, _ := p.socket(&http.Transport{}); got != last {
		t.Errorf("%p, want %p", got, last)
	}
	if got, _ := p.socket(roundTrip(nil)); got != nil {
		t.Errorf("of another transport: %p", got)
	}
}
