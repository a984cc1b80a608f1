package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// received returns a request as a server gets it.
func received(req *http.Request) *http.Request {
	got := httptest.NewRequest(req.Method, req.URL.RequestURI(), req.Body)
	got.Host = req.Host
	if got.Host == "" {
		got.Host = req.URL.Host
	}
	got.Header = req.Header.Clone()
	got.ContentLength = req.ContentLength
	return got
}

// What the verifier says to each way of getting it wrong, by header and by
// query. The signature is made by the code under test or by AWS's signer, and
// then something is changed.
func TestVerify(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	temporary := aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: "token",
		CanExpire: true, Expires: at.Add(time.Hour)}
	expired := aws.Credentials{AccessKeyID: "ASIAEXPIRED", SecretAccessKey: "secret", SessionToken: "token",
		CanExpire: true, Expires: at}
	verifier := &Verifier{
		Region:      "eu-west-1",
		Credentials: []aws.Credentials{published, temporary, expired},
		now:         func() time.Time { return at },
	}
	// Only the verifier knows when these expire.
	unaware := func(c aws.Credentials) aws.Credentials {
		c.CanExpire = false
		return c
	}
	wrongKey := published
	wrongKey.SecretAccessKey += "?"
	unknown := published
	unknown.AccessKeyID = "AKIDUNKNOWN"
	setQuery := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			query := r.URL.Query()
			query.Set(name, value)
			r.URL.RawQuery = query.Encode()
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const host = "https://ws.example.com/prod"

	tests := []struct {
		name, url   string
		credentials aws.Credentials
		opts        Options
		service     string
		off         time.Duration         // of the client's clock
		change      func(r *http.Request) // after signing
		want        string                // "" if it is good
	}{
		{name: "good", credentials: published},
		{name: "good, in the query", credentials: published, opts: Options{Query: true}},
		{name: "temporary", credentials: temporary},
		{name: "temporary, in the query", credentials: temporary, opts: Options{Query: true}},
		{name: "query of its own", url: apiURL + "?b=2&a=x+y&a=%2F&empty", credentials: temporary},
		{name: "query of its own, in the query", url: apiURL + "?b=2&a=x+y&a=%2F&empty", credentials: temporary, opts: Options{Query: true}},
		{name: "custom domain", url: host, credentials: published, opts: Options{Region: "eu-west-1"}},
		{name: "without expiry", credentials: published, opts: Options{Query: true}, change: func(r *http.Request) {
			// As some browser libraries sign.
			r.URL.RawQuery = ""
			uri, _, err := v4.NewSigner().PresignHTTP(context.Background(), published, r, emptyHash, "execute-api", "eu-west-1", at)
			if err != nil {
				t.Fatal(err)
			}
			_, r.URL.RawQuery, _ = strings.Cut(uri, "?")
		}},
		{name: "header of its own, in the query", credentials: published, opts: Options{Query: true}, change: func(r *http.Request) {
			r.URL.RawQuery = ""
			r.Header.Set("X-Amz-Meta", "x")
			sdk := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableHeaderHoisting = true })
			uri, _, err := sdk.PresignHTTP(context.Background(), published, r, emptyHash, "execute-api", "eu-west-1", at)
			if err != nil {
				t.Fatal(err)
			}
			_, r.URL.RawQuery, _ = strings.Cut(uri, "?")
		}},

		{name: "slow clock, just", credentials: published, off: -5 * time.Minute},
		{name: "slow clock", credentials: published, off: -5*time.Minute - time.Second,
			want: "wrong clock: signed at 2026-11-23T11:54:59Z, and it is already 2026-11-23T12:00:00Z"},
		{name: "fast clock, just", credentials: published, off: 5 * time.Minute},
		{name: "fast clock", credentials: published, off: 5*time.Minute + time.Second,
			want: "wrong clock: signed at 2026-11-23T12:05:01Z, and it is only 2026-11-23T12:00:00Z"},
		{name: "fast clock, in the query", credentials: published, opts: Options{Query: true}, off: 5*time.Minute + time.Second,
			want: "wrong clock: signed at 2026-11-23T12:05:01Z, and it is only 2026-11-23T12:00:00Z"},
		{name: "presigned, just", credentials: published, opts: Options{Query: true, Expires: time.Minute}, off: -time.Minute},
		{name: "presigned too long ago", credentials: published, opts: Options{Query: true, Expires: time.Minute}, off: -61 * time.Second,
			want: "presigned URL expired: signed at 2026-11-23T11:58:59Z for 1m0s, and it is 2026-11-23T12:00:00Z"},
		{name: "wrong region", url: host, credentials: published, opts: Options{Region: "us-east-1"},
			want: `wrong region: signed for "us-east-1", and the API is in eu-west-1`},
		{name: "wrong service", credentials: published, service: "apigateway",
			want: `wrong service: signed for "apigateway", and an API is execute-api`},
		{name: "wrong key", credentials: wrongKey, want: "wrong signature: the secret key is not that of access key AKIDEXAMPLE"},
		{name: "wrong key, in the query", credentials: wrongKey, opts: Options{Query: true},
			want: "wrong signature: the secret key is not that of access key AKIDEXAMPLE"},
		{name: "unknown key", credentials: unknown, want: `unknown access key "AKIDUNKNOWN"`},
		{name: "expired", credentials: unaware(expired),
			want: "expired credentials: those of access key ASIAEXPIRED expired at 2026-11-23T12:00:00Z"},
		{name: "wrong token", credentials: withToken(unaware(temporary), "other"),
			want: "wrong session token: it is not that of access key ASIAEXAMPLE"},
		{name: "no token", credentials: withToken(unaware(temporary), ""), want: "no session token: access key ASIAEXAMPLE is temporary"},
		{name: "needless token", credentials: withToken(published, "token"),
			want: "wrong session token: it is not that of access key AKIDEXAMPLE"},

		{name: "unsigned", credentials: published, change: func(r *http.Request) { r.Header.Del("Authorization") },
			want: "the request is not signed"},
		{name: "other path", credentials: published, change: func(r *http.Request) { r.URL.Path = "/dev" }, want: "wrong signature"},
		{name: "other host", credentials: published, change: func(r *http.Request) { r.Host = "ws.example.com" }, want: "wrong signature"},
		{name: "more query", credentials: published, change: setQuery("admin", "1"), want: "wrong signature"},
		{name: "more query, in the query", credentials: published, opts: Options{Query: true}, change: setQuery("admin", "1"), want: "wrong signature"},
		{name: "other date", credentials: published, change: header("X-Amz-Date", "20261123T120001Z"), want: "wrong signature"},
		{name: "longer expiry", credentials: published, opts: Options{Query: true}, change: setQuery("X-Amz-Expires", "604800"), want: "wrong signature"},
		{name: "other method", credentials: published, change: func(r *http.Request) { r.Method = http.MethodPost }, want: "wrong signature"},
		{name: "body", credentials: published, change: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }, want: "wrong signature"},
		{name: "unsigned header", credentials: published, change: header("X-Amz-Meta", "x"), want: "the header x-amz-meta is not signed"},

		{name: "basic", credentials: published, change: header("Authorization", "Basic QTpC"), want: "the algorithm is not AWS4-HMAC-SHA256"},
		{name: "no credential", credentials: published, change: header("Authorization", "AWS4-HMAC-SHA256"), want: "the credential is not of the form"},
		{name: "date of the credential", credentials: published, change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/20261123/", "/20261122/", 1))
		}, want: `the credential is of "20261122", and X-Amz-Date says 2026-11-23T12:00:00Z`},
		{name: "no date", credentials: published, change: header("X-Amz-Date", "today"), want: "X-Amz-Date is missing"},
		{name: "no expiry", credentials: published, opts: Options{Query: true}, change: setQuery("X-Amz-Expires", "soon"), want: "X-Amz-Expires is not a number of seconds"},
		{name: "host not signed", credentials: published, change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "=host;", "=", 1))
		}, want: "the header host is not signed"},
		{name: "a header that the SDK leaves out", credentials: published, change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "=host;", "=host;user-agent;", 1))
		}, want: "the signed headers are [host user-agent x-amz-date], and should be [host x-amz-date]"},
		{name: "hash", credentials: published, change: func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "=host;", "=host;x-amz-content-sha256;", 1))
		}, want: "X-Amz-Content-Sha256 is not the hash of the body"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSigner(newStatic(test.credentials), &test.opts)
			s.now = func() time.Time { return at.Add(test.off) }
			if test.service != "" {
				s.service = test.service
			}
			if test.url == "" {
				test.url = apiURL
			}
			req := newRequest(t, test.url)
			if test.credentials.CanExpire {
				test.credentials.Expires = at.Add(24 * time.Hour)
			}
			if err := s.prepare(req); err != nil {
				t.Fatal(err)
			}
			r := received(req)
			if test.change != nil {
				test.change(r)
			}
			err := verifier.Verify(r)
			if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), "sigv4: "+test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "token\"") || strings.Contains(err.Error(), published.SecretAccessKey)) {
				t.Errorf("%v holds a secret", err)
			}

			// Authorize says the same with a status, and the log why.
			var log bytes.Buffer
			logging := *verifier
			logging.Logger = slog.New(slog.NewTextHandler(&log, nil))
			status := logging.Authorize(r)
			if test.want == "" && (status != http.StatusOK || log.Len() > 0) {
				t.Errorf("Authorize: %d, log %s", status, &log)
			}
			if test.want != "" && (status != http.StatusForbidden || !strings.Contains(log.String(), "signature refused")) {
				t.Errorf("Authorize: %d, log %s", status, &log)
			}
		})
	}
}

// A call of @connections, signed by AWS's signer: the body is covered, and can
// be read afterwards; an id has a "=", which comes escaped.
func TestVerifyManagement(t *testing.T) {
	verifier := &Verifier{Region: "eu-west-1", Credentials: []aws.Credentials{published}}
	const body = `{"hello":"world"}`
	for _, path := range []string{"/prod/@connections/JC1dgf9yoAMCK-g=", "/prod/%40connections/JC1dgf9yoAMCK-g%3D"} {
		for _, withHash := range []bool{false, true} {
			u, err := url.Parse("https://abc123.execute-api.eu-west-1.amazonaws.com" + path)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest(http.MethodPost, u.String(), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/octet-stream")
			sum := sha256.Sum256([]byte(body))
			hash := hex.EncodeToString(sum[:])
			if withHash {
				req.Header.Set("X-Amz-Content-Sha256", hash)
			}
			if err := v4.NewSigner().SignHTTP(t.Context(), published, req, hash, "execute-api", "eu-west-1", time.Now()); err != nil {
				t.Fatal(err)
			}
			r := received(req)
			if err := verifier.Verify(r); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
				t.Errorf("the body is %q afterwards (%v)", got, err)
			}
			r.Body = io.NopCloser(strings.NewReader(strings.ToUpper(body)))
			if err := verifier.Verify(r); err == nil {
				t.Error("another body is let through")
			}
		}
	}
}
