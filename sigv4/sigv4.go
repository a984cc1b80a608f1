// Package sigv4 connects to WebSocket APIs of Amazon API Gateway that use IAM
// authorization: it signs each handshake with Signature Version 4, by the
// signer of the AWS SDK for Go.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	...
//	c, err := apigws.Dial(ctx, "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod", &apigws.Options{
//		Prepare: sigv4.Prepare(cfg.Credentials, nil),
//	})
//
// The gateway checks a signature at the handshake only: an open connection
// outlives the credentials it was opened with, and every reconnect needs a
// signature of its own, which [Prepare] makes with the credentials of that
// moment. [Presign] makes a URL for somebody else to dial, such as a browser.
// [Explain] says what a refusal is probably about. [Verifier] checks
// signatures in tests, with the fake gateway of package gatewaytest.
//
// No error made here holds a secret key, a session token or a signature; that
// of a credentials provider is passed on as it is.
package sigv4

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/apigws/apigws"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	// executeAPI is the service that calls of an API are signed for.
	executeAPI = "execute-api"

	// emptyHash is the SHA-256 of an empty body: handshakes have none.
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	// maxURL is the gateway's limit for the URL of a handshake, in characters.
	maxURL = 4096

	// tolerance is how far AWS lets the clock of a client be off.
	tolerance = 5 * time.Minute
)

// Options say how to sign. A nil *Options and the zero value of every field
// mean the defaults.
type Options struct {
	// Region is that of the API. Default: read from the host, as in
	// abc123.execute-api.eu-west-1.amazonaws.com. The host of a custom domain
	// names none, so there it must be given.
	Region string

	// Host is the host that the gateway sees, when it is not the one that is
	// dialled: behind a CloudFront distribution or another proxy that sends a
	// Host header of its own. Default: that of the request.
	Host string

	// Query makes Prepare sign in the query string rather than in headers,
	// for paths on which headers get lost. The session token makes the URL
	// long, and the gateway takes 4096 characters.
	Query bool

	// Expires is how long a signature in the query is valid, in whole
	// seconds. Default 5 minutes, which is also what AWS grants to headers.
	// That the gateway honours more is not documented.
	Expires time.Duration
}

// Prepare returns a function for Options.Prepare of package apigws. It signs
// each handshake with what the provider returns at that moment, for which it
// waits until the handshake's context ends; it may be used by several clients.
//
// Host, path, query and time are signed, and no other header, because
// something on the path may change those. The query is sent in its canonical
// form, sorted by name. To add a token to the query or to set the Host, wrap
// the function and do that first.
//
// A permanent failure, such as a host that names no region, is an
// *apigws.OptionError, and ends Dial and the client at once. A provider that
// fails, or that returns expired credentials, is asked again by the next
// attempt.
func Prepare(credentials aws.CredentialsProvider, opts *Options) func(*http.Request) error {
	return newSigner(credentials, opts).prepare
}

// Presign returns rawURL with a signature in its query: whoever has it can
// connect as the owner of the credentials until Options.Expires has passed, so
// treat it as a password. It is for clients that cannot set headers, such as
// browsers. An apigws client that reconnects needs Prepare instead.
func Presign(ctx context.Context, credentials aws.CredentialsProvider, rawURL string, opts *Options) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", &apigws.OptionError{Field: "url", Problem: "cannot be parsed"} // the text of err holds the query
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return "", &apigws.OptionError{Field: "url", Problem: "must begin with wss:// or ws://"}
	}
	signed, err := newSigner(credentials, opts).sign(ctx, u, "", true)
	if err != nil {
		return "", err
	}
	u.RawQuery = signed.URL.RawQuery
	return u.String(), nil
}

// A signer signs handshakes. It may be used concurrently.
type signer struct {
	credentials aws.CredentialsProvider
	opts        Options
	sdk         *v4.Signer // caches the keys that it derives
	service     string     // other than execute-api in tests with AWS's values
	now         func() time.Time
}

func newSigner(credentials aws.CredentialsProvider, opts *Options) *signer {
	s := &signer{credentials: credentials, sdk: v4.NewSigner(), service: executeAPI, now: time.Now}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Expires == 0 {
		s.opts.Expires = tolerance
	}
	return s
}

// prepare signs a handshake.
func (s *signer) prepare(req *http.Request) error {
	signed, err := s.sign(req.Context(), req.URL, req.Host, s.opts.Query)
	if err != nil {
		return err
	}
	// What is sent must be what was signed, to the byte.
	req.URL.RawQuery = signed.URL.RawQuery
	if s.opts.Host == "" {
		req.Host = signed.Host
	}
	maps.Copy(req.Header, signed.Header)
	return nil
}

// sign returns the signed form of a handshake with u: what it has in its query
// and its header, and nothing else, is what the signature covers. host is that
// of the Host header, if it is not that of u.
func (s *signer) sign(ctx context.Context, u *url.URL, host string, inQuery bool) (*http.Request, error) {
	r, region, err := s.bare(u, host)
	if err != nil {
		return nil, err
	}
	credentials, err := s.retrieve(ctx)
	if err != nil {
		return nil, err
	}
	if !inQuery {
		return r, s.sdk.SignHTTP(ctx, credentials, r, emptyHash, s.service, region, s.now())
	}

	if s.opts.Expires < time.Second {
		return nil, &apigws.OptionError{Field: "sigv4.Options.Expires", Problem: "must be at least a second"}
	}
	query := r.URL.Query()
	query.Set("X-Amz-Expires", strconv.FormatInt(int64(s.opts.Expires/time.Second), 10))
	r.URL.RawQuery = query.Encode()
	signed, _, err := s.sdk.PresignHTTP(ctx, credentials, r, emptyHash, s.service, region, s.now())
	if err != nil {
		return nil, err
	}
	if len(signed) > maxURL {
		// The client would notice too, and not know what to do about it.
		return nil, fmt.Errorf("%w: %w", &apigws.OptionError{
			Field: "url",
			Problem: fmt.Sprintf("is too long with a signature in its query: the session token takes %d characters; sign headers",
				len(url.QueryEscape(credentials.SessionToken))),
		}, &apigws.TooLargeError{Size: len(signed), Limit: maxURL})
	}
	_, r.URL.RawQuery, _ = strings.Cut(signed, "?")
	return r, nil
}

// bare returns what is to be signed of a handshake, its URL in the wss form,
// and the region to sign it for.
func (s *signer) bare(u *url.URL, host string) (*http.Request, string, error) {
	dialled := *u
	dialled.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	// The SDK drops in silence what it cannot parse.
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, "", &apigws.OptionError{Field: "url", Problem: "has a query that cannot be parsed"}
	}
	if query.Has("X-Amz-Signature") {
		return nil, "", &apigws.OptionError{Field: "url", Problem: "is signed already"}
	}
	if host == "" {
		host = u.Host
	}
	if s.opts.Host != "" {
		host = s.opts.Host
	}
	// AWS signs no default port, and net/http would send it.
	switch dialled.Scheme {
	case "wss":
		host = strings.TrimSuffix(host, ":443")
	case "ws":
		host = strings.TrimSuffix(host, ":80")
	}
	region, err := s.region(host)
	return &http.Request{Method: http.MethodGet, URL: &dialled, Host: host, Header: http.Header{}}, region, err
}

// retrieve returns credentials that can sign.
func (s *signer) retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.credentials == nil || aws.IsCredentialsProvider(s.credentials, aws.AnonymousCredentials{}) {
		return aws.Credentials{}, &apigws.OptionError{Field: "sigv4 credentials", Problem: "are missing"}
	}
	credentials, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("sigv4: no credentials: %w", err)
	}
	if !credentials.HasKeys() {
		return aws.Credentials{}, fmt.Errorf("sigv4: the credentials from %q have no key", credentials.Source)
	}
	if now := s.now(); credentials.CanExpire && !credentials.Expires.After(now) {
		return aws.Credentials{}, fmt.Errorf("sigv4: the credentials from %q expired at %s, and the clock says %s",
			credentials.Source, stamp(credentials.Expires), stamp(now))
	}
	return credentials, nil
}

// stamp writes a time as people and AWS's messages do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
