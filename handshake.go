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

	conn := c.newConn()
	upgrade := &upgrade{conn: conn, base: c.opts.HTTPClient.Transport}
	if upgrade.base == nil {
		upgrade.base = http.DefaultTransport
	}
	httpClient := *c.opts.HTTPClient
	httpClient.Transport = upgrade
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	conn.secrets = secretsOf(req.URL, req.Header)
	ws, resp, err := websocket.Dial(ctx, req.URL.String(), &websocket.DialOptions{
		HTTPClient:   &httpClient,
		HTTPHeader:   req.Header,
		Host:         req.Host,
		Subprotocols: c.opts.Subprotocols,
		// Called by the reader.
		OnPongReceived: func(_ context.Context, payload []byte) { conn.ponged(payload) },
	})
	if err != nil {
		return nil, handshakeError(resp, err, conn.secrets)
	}
	conn.start(ws, upgrade.wire)
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

// An upgrade is the transport of one handshake. It puts a wire under the
// connection that results: above TLS and proxies, whatever transport made it.
type upgrade struct {
	conn *Conn
	base http.RoundTripper
	wire *wire // set when the protocol was switched
}

func (u *upgrade) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
		u.wire = u.conn.client.newWire(rwc, u.conn.announce)
		resp.Body = u.wire
	}
	return resp, nil
}
