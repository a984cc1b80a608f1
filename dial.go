package apigws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"

	"github.com/coder/websocket"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/redact"
)

// A dialer makes the connections of a client, one at a time.
type dialer struct {
	opts *Options
	url  *url.URL // in its https form
}

func newDialer(opts *Options, u *url.URL) *dialer { return &dialer{opts, u} }

// A stream is a connection whose handshake is done. The errors of its Read and Write hold no
// secret.
type stream struct {
	io.ReadWriteCloser
	socket   *net.TCPConn   // under it; nil when the transport hides it
	protocol string         // the subprotocol that the gateway has picked
	secrets  redact.Secrets // of the handshake
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	return n, transportError(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(p)
	return n, transportError(err)
}

// transportError returns what may be told of an error of the connection.
func transportError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var none redact.Secrets
	return none.Transport(err)
}

// dial makes one handshake, Prepare included, within HandshakeTimeout. Its errors are
// *HandshakeError or *OptionError and hold no secret.
func (d *dialer) dial(ctx context.Context) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opts.HandshakeTimeout)
	defer cancel()
	req, err := d.request(ctx)
	if err != nil {
		return nil, err
	}

	up := &upgrade{base: d.opts.HTTPClient.Transport}
	if up.base == nil {
		up.base = http.DefaultTransport
	}
	client := *d.opts.HTTPClient
	client.Transport = up
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	progress := &progress{host: req.URL.Host}
	ws, resp, err := websocket.Dial(httptrace.WithClientTrace(ctx, progress.trace()), req.URL.String(),
		&websocket.DialOptions{
			HTTPClient:   &client,
			HTTPHeader:   req.Header,
			Host:         req.Host,
			Subprotocols: d.opts.Subprotocols,
		})
	if up.unusable != nil {
		return nil, up.unusable
	}
	secrets := d.secrets(req)
	if err != nil {
		return nil, handshakeError(resp, err, progress, &secrets)
	}
	secrets.AddCookies(resp.Cookies())
	// From here on the connection is ours; what is closed is coder's view of it, which gives its
	// buffers back.
	up.body.kept = true
	ws.CloseNow()
	return &stream{
		ReadWriteCloser: up.body.ReadWriteCloser,
		socket:          progress.socket(up.base),
		protocol:        ws.Subprotocol(),
		secrets:         secrets,
	}, nil
}

// request returns the request of one handshake as Prepare leaves it.
func (d *dialer) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return nil, &OptionError{"url", "cannot be parsed"} // it has been, by parseURL
	}
	if d.opts.Header != nil {
		req.Header = d.opts.Header.Clone()
	}
	if d.opts.Prepare == nil {
		return req, nil
	}
	// Empty means the host of the URL, also after Prepare has changed that.
	req.Host = ""
	if callback.Do(func() { err = d.opts.Prepare(req) }) != nil {
		err = errHookGoexit
	}
	if err != nil {
		secrets := d.secrets(req)
		return nil, &HandshakeError{Err: newHookError("Prepare", err, &secrets)}
	}
	if req.URL == nil {
		return nil, &OptionError{"Prepare", "has set the URL of the request to nil"}
	}
	if host, err := url.Parse("https://" + req.Host); req.Host != "" && (err != nil || host.Host != req.Host) {
		return nil, &OptionError{"Prepare", "has set the Host of the request to something that is none"}
	}
	// What is checked is what is dialled: an Opaque, for one, changes what the URL means.
	if req.URL, err = d.opts.parseURL(req.URL.String()); err == nil {
		err = checkHeader(req.Header)
	}
	if err != nil {
		return nil, errorf("after Prepare: %w", err)
	}
	return req, nil
}

// secrets returns what the errors of a handshake must not show: what the options hold, and what
// Prepare has made of it.
func (d *dialer) secrets(req *http.Request) redact.Secrets {
	var s redact.Secrets
	s.AddSubprotocols(d.opts.Subprotocols)
	s.AddHeader(d.opts.Header)
	s.AddHeader(req.Header)
	for _, u := range []*url.URL{d.url, req.URL} {
		s.AddURL(u)
		if u != nil && d.opts.HTTPClient.Jar != nil {
			s.AddCookies(d.opts.HTTPClient.Jar.Cookies(u))
		}
	}
	return s
}

// handshakeError returns the error for a handshake that came to nothing.
func handshakeError(resp *http.Response, err error, p *progress, secrets *redact.Secrets) error {
	if resp == nil {
		told := secrets.Transport(err)
		if step := p.failed(err); step != "" {
			told = fmt.Errorf("%s: %w", step, told)
		}
		return &HandshakeError{Err: told}
	}
	e := &HandshakeError{StatusCode: resp.StatusCode, Header: resp.Header}
	if resp.Body != nil {
		e.Body, _ = io.ReadAll(resp.Body) // at most 1 KiB, and in memory
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The error's text would hold headers.
		e.Err = errors.New("the answer is not a valid WebSocket handshake (RFC 6455, section 4.1)")
	}
	return e
}

// neverTrusted reports whether err is a permanent failure to trust the server: a certificate that
// does not verify, or an answer in plain text where TLS was dialled.
func neverTrusted(err error) bool {
	var (
		notTLS       tls.RecordHeaderError
		verification *tls.CertificateVerificationError
		hostname     x509.HostnameError // these come unwrapped from a VerifyConnection of the user
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
	)
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &notTLS) || errors.As(err, &verification) ||
		errors.As(err, &hostname) || errors.As(err, &authority) || errors.As(err, &invalid)
}

// An upgrade is the transport of one handshake. It gets hold of the connection that results: above
// TLS and proxies, whatever transport made it.
type upgrade struct {
	base     http.RoundTripper
	body     *body           // set when the protocol was switched
	unusable *HandshakeError // set when it was, and nothing can be written
}

func (u *upgrade) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.base.RoundTrip(req)
	if err != nil || resp == nil {
		return resp, err
	}
	if _, err := req.URL.Parse(resp.Header.Get("Location")); err != nil {
		resp.Header.Del("Location") // over which the http.Client would forget the status
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, nil
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok && resp.Header.Get("Upgrade") == "" {
		return resp, nil // without it, the body is none for net/http
	}
	if !ok {
		if resp.Body != nil {
			resp.Body.Close()
		}
		u.unusable = &HandshakeError{StatusCode: resp.StatusCode, Header: resp.Header, Err: fmt.Errorf(
			"the http.Client's Transport has returned a 101 whose Body, a %T, is not an io.ReadWriteCloser", resp.Body)}
		return nil, u.unusable
	}
	u.body = &body{ReadWriteCloser: rwc}
	resp.Body = u.body
	return resp, nil
}

// A body is what coder/websocket gets to see of a connection.
type body struct {
	io.ReadWriteCloser
	kept bool // closing it does not end the connection
}

func (b *body) Close() error {
	if b.kept {
		return nil
	}
	return b.ReadWriteCloser.Close()
}

// progress follows one handshake through the transport.
type progress struct {
	host string

	mu    sync.Mutex // guards what follows; transports dial on goroutines of their own
	step  string     // what is going on
	conn  net.Conn   // that the request was last given
	conns int        // how many it was given
}

func (p *progress) trace() *httptrace.ClientTrace {
	begin := func(step string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.step = step
	}
	return &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { begin("DNS lookup") },
		ConnectStart: func(_, addr string) { begin("dial " + addr) },
		// If anything comes between a connection or TLS and the next step, it is the CONNECT of a
		// proxy.
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				begin("proxy CONNECT to " + p.host)
			}
		},
		TLSHandshakeStart: func() { begin("TLS handshake with " + p.host) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				begin("proxy CONNECT to " + p.host)
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			begin("request to " + p.host)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.conn = info.Conn
			p.conns++
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				begin("waiting for the answer of " + p.host)
			}
		},
	}
}

// failed returns the step that failed with err, unless err names it itself.
func (p *progress) failed(err error) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &op) && slices.Contains([]string{"dial", "proxyconnect", "socks connect"}, op.Op) || errors.As(err, &dns) {
		return ""
	}
	return p.step
}

// socket returns the TCP connection under the one that base has made, nil if it cannot be told.
func (p *progress) socket(base http.RoundTripper) *net.TCPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Other transports may have sent requests of their own with the context of ours.
	if _, ok := base.(*http.Transport); !ok && p.conns != 1 {
		return nil
	}
	return tcpUnder(p.conn)
}

// tcpUnder returns the TCP connection that conn is or wraps, nil if there is none to be seen.
func tcpUnder(conn net.Conn) *net.TCPConn {
	for range 10 { // one may wrap itself
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
	return nil
}
