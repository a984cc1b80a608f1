package handshake

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// An upgrade is the transport of one handshake. It gets hold of the connection that results: above
// TLS and proxies, whatever transport made it.
type upgrade struct {
	base     http.RoundTripper
	body     *body    // set when the protocol was switched
	unusable *Failure // set when it was, and nothing can be written
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
	if !ok && !switches(resp.Header) {
		return resp, nil // for coder/websocket to refuse
	}
	if !ok {
		if resp.Body != nil {
			resp.Body.Close()
		}
		u.unusable = &Failure{StatusCode: resp.StatusCode, Header: resp.Header, Err: fmt.Errorf(
			"the http.Client's Transport has returned a 101 whose Body, a %T, is not an io.ReadWriteCloser", resp.Body)}
		return nil, u.unusable.Err
	}
	u.body = &body{ReadWriteCloser: rwc}
	resp.Body = u.body
	return resp, nil
}

// switches reports whether a 101 with this header switches the protocol. Of another one, net/http
// makes an answer without a body.
func switches(h http.Header) bool {
	connection := strings.ToLower(strings.Join(h["Connection"], ","))
	return h.Get("Upgrade") != "" && strings.Contains(connection, "upgrade")
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
