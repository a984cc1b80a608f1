package apigws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"
)

// handshake makes one connection. Its errors are *HandshakeError or
// *OptionError, and hold no secret.
func (c *Client) handshake(ctx context.Context) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.HandshakeTimeout)
	defer cancel()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url.String(), nil)
	if err != nil {
		return nil, &HandshakeError{Err: redact(err, secretsOf(c.url, nil))}
	}
	if c.opts.Header != nil {
		req.Header = c.opts.Header.Clone()
	}
	if c.opts.Prepare != nil {
		runHook(func() { err = c.opts.Prepare(req) })
		if err != nil {
			return nil, &HandshakeError{Err: redact(fmt.Errorf("in Prepare: %w", err), secretsOf(req.URL, req.Header))}
		}
		if err := c.opts.checkURL(req.URL); err != nil {
			return nil, err
		}
	}

	upgrade := &upgrade{base: c.opts.HTTPClient.Transport}
	if upgrade.base == nil {
		upgrade.base = http.DefaultTransport
	}
	httpClient := *c.opts.HTTPClient
	httpClient.Transport = upgrade
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	ws, resp, err := websocket.Dial(ctx, req.URL.String(), &websocket.DialOptions{
		HTTPClient:   &httpClient,
		HTTPHeader:   req.Header,
		Host:         req.Host,
		Subprotocols: c.opts.Subprotocols,
	})
	if err != nil {
		return nil, handshakeError(resp, err, secretsOf(req.URL, req.Header))
	}
	// From here on the stream is ours; what is closed is coder's view of it,
	// which gives its buffers back.
	upgrade.stream.kept = true
	ws.CloseNow()
	conn := c.start(upgrade.stream.ReadWriteCloser)
	conn.protocol = ws.Subprotocol()
	conn.secrets = secretsOf(req.URL, req.Header)
	return conn, nil
}

func handshakeError(resp *http.Response, err error, secrets []string) error {
	if resp == nil {
		return &HandshakeError{Err: redact(err, secrets)}
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

// An upgrade is the transport of one handshake. It gets hold of the stream that
// results: above TLS and proxies, whatever transport made it.
type upgrade struct {
	base   http.RoundTripper
	stream *stream // set when the protocol was switched
}

func (u *upgrade) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
		u.stream = &stream{ReadWriteCloser: rwc}
		resp.Body = u.stream
	}
	return resp, nil
}

// A stream is what coder/websocket gets to see of a connection.
type stream struct {
	io.ReadWriteCloser
	kept bool // closing it does not end the connection
}

func (s *stream) Close() error {
	if s.kept {
		return nil
	}
	return s.ReadWriteCloser.Close()
}
