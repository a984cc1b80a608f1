package sigv4

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// A Verifier checks signatures as the gateway does, for tests: it signs again
// with the SDK's signer and compares. Its method Authorize fits
// gatewaytest.Config:
//
//	v := &sigv4.Verifier{Region: "eu-west-1", Credentials: []aws.Credentials{credentials}}
//	gw := gatewaytest.NewInMemory(&gatewaytest.Config{
//		Authorize:           v.Authorize,
//		AuthorizeManagement: v.Authorize,
//	})
//
// It knows no policies: whoever has a key may do everything. Its methods may
// be called concurrently.
type Verifier struct {
	// Region is that of the API.
	Region string

	// Credentials are those of the callers that are let in. One that
	// CanExpire is let in until then.
	Credentials []aws.Credentials

	// Logger is told why a request was refused: the gateway tells its caller
	// little. Default: silent.
	Logger *slog.Logger

	now func() time.Time // nil: time.Now
}

// Authorize returns 200 when the request is signed as it must be, and else
// logs what is wrong and returns 403.
func (v *Verifier) Authorize(r *http.Request) int {
	err := v.Verify(r)
	if err == nil {
		return http.StatusOK
	}
	if v.Logger != nil {
		v.Logger.Warn("signature refused", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return http.StatusForbidden
}

// Verify returns nil when the request is signed as it must be, by headers or
// by query, and else an error that says what is wrong. It may be called before
// the body has been read, and leaves it to be read again.
func (v *Verifier) Verify(r *http.Request) error {
	err := v.verify(r)
	if err != nil {
		return fmt.Errorf("sigv4: %w", err)
	}
	return nil
}

func (v *Verifier) verify(r *http.Request) error {
	got, err := parseSignature(r)
	if err != nil {
		return err
	}
	if err := v.checkScope(got); err != nil {
		return err
	}
	if err := v.checkTime(got); err != nil {
		return err
	}
	credentials, err := v.find(got)
	if err != nil {
		return err
	}
	if err := checkHeaders(got, r.Header); err != nil {
		return err
	}
	return v.compare(got, r, credentials)
}

// A signature is what a request says about how it was signed.
type signature struct {
	keyID, date, region, service string // of the credential
	at                           time.Time
	expires                      time.Duration // in the query only
	headers                      []string      // that were signed, in lower case
	token                        string
	value                        string
	query                        bool // it was in the query
}

var errUnsigned = errors.New("the request is not signed: it has neither an Authorization header nor X-Amz-Signature in its query")

// parseSignature takes the signature out of the header or the query.
func parseSignature(r *http.Request) (*signature, error) {
	var algorithmName, credential, headers, date string
	s := &signature{}
	query := r.URL.Query()
	switch {
	case query.Has("X-Amz-Signature"):
		s.query = true
		algorithmName = query.Get("X-Amz-Algorithm")
		credential = query.Get("X-Amz-Credential")
		headers = query.Get("X-Amz-SignedHeaders")
		date = query.Get("X-Amz-Date")
		s.token = query.Get("X-Amz-Security-Token")
		s.value = query.Get("X-Amz-Signature")
		s.expires = tolerance // some signers set none, and the gateway takes that
		if query.Has("X-Amz-Expires") {
			seconds, err := strconv.ParseInt(query.Get("X-Amz-Expires"), 10, 32)
			if err != nil || seconds < 1 {
				return nil, errors.New("X-Amz-Expires is not a number of seconds")
			}
			s.expires = time.Duration(seconds) * time.Second
		}
	case r.Header.Get("Authorization") != "":
		var fields string
		algorithmName, fields, _ = strings.Cut(r.Header.Get("Authorization"), " ")
		for field := range strings.SplitSeq(fields, ",") {
			switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				headers = value
			case "Signature":
				s.value = value
			}
		}
		date = r.Header.Get("X-Amz-Date")
		s.token = r.Header.Get("X-Amz-Security-Token")
	default:
		return nil, errUnsigned
	}
	if algorithmName != algorithm {
		return nil, fmt.Errorf("the algorithm is not %s", algorithm)
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return nil, errors.New("the credential is not of the form key/date/region/service/aws4_request")
	}
	s.keyID, s.date, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
	s.headers = strings.Split(headers, ";")
	at, err := time.Parse(timeFormat, date)
	if err != nil {
		return nil, errors.New("X-Amz-Date is missing, or not of the form 20060102T150405Z")
	}
	s.at = at
	return s, nil
}

func (v *Verifier) checkScope(s *signature) error {
	switch {
	case s.service != executeAPI:
		return fmt.Errorf("wrong service: signed for %q, and an API is %s", s.service, executeAPI)
	case s.region != v.Region:
		return fmt.Errorf("wrong region: signed for %q, and the API is in %s", s.region, v.Region)
	case s.date != s.at.Format("20060102"):
		return fmt.Errorf("the credential is of %q, and X-Amz-Date says %s", s.date, stamp(s.at))
	}
	return nil
}

// checkTime lets the clock of the client be off by the tolerance, ahead or
// behind; a presigned URL lasts until it expires.
func (v *Verifier) checkTime(s *signature) error {
	now := v.clock()
	last := s.at.Add(tolerance)
	if s.query {
		last = s.at.Add(s.expires)
	}
	switch {
	case now.Before(s.at.Add(-tolerance)):
		return fmt.Errorf("wrong clock: signed at %s, and it is only %s", stamp(s.at), stamp(now))
	case now.After(last) && s.query:
		return fmt.Errorf("presigned URL expired: signed at %s for %v, and it is %s", stamp(s.at), s.expires, stamp(now))
	case now.After(last):
		return fmt.Errorf("wrong clock: signed at %s, and it is already %s", stamp(s.at), stamp(now))
	}
	return nil
}

// find returns the credentials that the request claims to be signed with.
func (v *Verifier) find(s *signature) (aws.Credentials, error) {
	i := slices.IndexFunc(v.Credentials, func(c aws.Credentials) bool { return c.AccessKeyID == s.keyID })
	if i < 0 {
		return aws.Credentials{}, fmt.Errorf("unknown access key %q", s.keyID)
	}
	credentials := v.Credentials[i]
	switch {
	case s.token == "" && credentials.SessionToken != "":
		return credentials, fmt.Errorf("no session token: access key %s is temporary", s.keyID)
	case !hmac.Equal([]byte(s.token), []byte(credentials.SessionToken)):
		return credentials, fmt.Errorf("wrong session token: it is not that of access key %s", s.keyID)
	case credentials.CanExpire && !credentials.Expires.After(v.clock()):
		return credentials, fmt.Errorf("expired credentials: those of access key %s expired at %s", s.keyID, stamp(credentials.Expires))
	}
	return credentials, nil
}

// checkHeaders makes sure that what must be signed is. AWS demands the host
// and whatever is called X-Amz-.
func checkHeaders(s *signature, sent http.Header) error {
	if !slices.Contains(s.headers, "host") {
		return errors.New("the header host is not signed")
	}
	for name := range sent {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(s.headers, name) {
			return fmt.Errorf("the header %s is not signed", name)
		}
	}
	return nil
}

// compare signs what was sent and compares the outcome with the signature that
// was sent.
func (v *Verifier) compare(got *signature, r *http.Request, credentials aws.Credentials) error {
	hash, err := payloadHash(r)
	if err != nil {
		return err
	}
	again := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:   r.Host,
		Header: http.Header{},
	}
	for _, name := range got.headers {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	if err := resign(again, got, credentials, hash); err != nil {
		return err
	}
	want, err := parseSignature(again)
	if err != nil {
		return err
	}
	if !slices.Equal(got.headers, want.headers) {
		return fmt.Errorf("the signed headers are %v, and should be %v", got.headers, want.headers)
	}
	if !hmac.Equal([]byte(got.value), []byte(want.value)) {
		return fmt.Errorf("wrong signature: the secret key is not that of access key %s, or method, host, path, query, "+
			"signed headers or body were changed after signing", got.keyID)
	}
	return nil
}

// resign signs the request with the SDK, in the way of the given signature.
func resign(r *http.Request, like *signature, credentials aws.Credentials, hash string) error {
	ctx := context.Background() // for the SDK's logger, which is off
	sdk := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableHeaderHoisting = true })
	if !like.query {
		return sdk.SignHTTP(ctx, credentials, r, hash, like.service, like.region, like.at)
	}
	query := r.URL.Query()
	query.Del("X-Amz-Signature")
	r.URL.RawQuery = query.Encode()
	uri, _, err := sdk.PresignHTTP(ctx, credentials, r, hash, like.service, like.region, like.at)
	if err != nil {
		return err
	}
	_, r.URL.RawQuery, _ = strings.Cut(uri, "?")
	return nil
}

// payloadHash returns the hash of the body, and puts the body back.
func payloadHash(r *http.Request) (string, error) {
	var body []byte
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return "", fmt.Errorf("the body cannot be read: %w", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if claimed := r.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != hash {
		return "", errors.New("X-Amz-Content-Sha256 is not the hash of the body")
	}
	return hash, nil
}

func (v *Verifier) clock() time.Time {
	if v.now != nil {
		return v.now()
	}
	return time.Now()
}
