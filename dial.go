package apigws

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/handshake"
	"github.com/apigws/apigws/internal/redact"
)

// A dialer makes the connections of a client, one at a time.
type dialer struct {
	opts *Options
	url  *url.URL // in its https form
}

func newDialer(opts *Options, u *url.URL) *dialer { return &dialer{opts, u} }

// dial makes one handshake, Prepare included, within HandshakeTimeout. It returns the connection
// and the secrets of the handshake. Its errors are *HandshakeError or *OptionError and hold no
// secret.
func (d *dialer) dial(ctx context.Context) (*handshake.Conn, *redact.Secrets, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opts.HandshakeTimeout)
	defer cancel()
	req, err := d.request(ctx)
	if err != nil {
		return nil, nil, err
	}
	dialled, failure := handshake.Do(ctx, d.opts.HTTPClient, req, d.opts.Subprotocols)
	secrets := d.secrets(req)
	if failure != nil {
		return nil, nil, handshakeError(failure, secrets)
	}
	secrets.AddCookies(dialled.Cookies)
	return dialled, secrets, nil
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
		return nil, &HandshakeError{Err: newHookError("Prepare", err, d.secrets(req))}
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
func (d *dialer) secrets(req *http.Request) *redact.Secrets {
	s := &redact.Secrets{}
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
func handshakeError(f *handshake.Failure, secrets *redact.Secrets) *HandshakeError {
	told := f.Err
	if f.StatusCode == 0 && told != nil {
		told = secrets.Transport(f.Err)
		if f.Step != "" {
			told = fmt.Errorf("%s: %w", f.Step, told)
		}
	}
	return &HandshakeError{StatusCode: f.StatusCode, Header: f.Header, Body: f.Body, Err: told}
}
