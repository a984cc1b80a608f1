package apigws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"

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
