package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The key of all examples that AWS publishes.
var published = aws.Credentials{
	AccessKeyID:     "AKIDEXAMPLE",
	SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}

// static provides the same credentials always.
type static struct{ aws.CredentialsProvider }

func newStatic(c aws.Credentials) static {
	return static{aws.CredentialsProviderFunc(func(ctx ctx) (aws.Credentials, error) { return c, ctx.Err() })}
}

// withToken returns c as temporary credentials.
func withToken(c aws.Credentials, token string) aws.Credentials {
	c.SessionToken = token
	return c
}

// newRequest makes a handshake as the client does: in the https form.
func newRequest(t *testing.T, rawURL string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// field returns the value of a field of the Authorization header.
func field(req *http.Request, name string) string {
	_, rest, _ := strings.Cut(req.Header.Get("Authorization"), name+"=")
	value, _, _ := strings.Cut(rest, ",")
	return value
}

// AWS's signature test suite, as far as it has what a handshake can have: GET
// without a body, no headers of its own. The values are those of
// tests/aws-signing-test-suite/v4 in https://github.com/awslabs/aws-c-auth:
// header-signed-request.txt and query-signed-request.txt of each case. They
// are for a service called "service".
func TestPublishedSignatures(t *testing.T) {
	const token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
	tests := []struct {
		name, query   string
		credentials   aws.Credentials
		header, inURL string // signatures; "" where there is none
	}{
		{"get-vanilla-query", "", published,
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
			"e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"},
		{"get-vanilla-with-session-token", "", withToken(published, token),
			"07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
			"7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c"},
		{"get-vanilla-query-order-key-case", "Param2=value2&Param1=value1", published,
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", ""},
		{"get-vanilla-query-order-encoded", "Param-3=Value3&Param=Value2&%E1%88%B4=Value1", published,
			"371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
			"c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			prepare := func(opts Options) *http.Request {
				opts.Region, opts.Expires = "us-east-1", time.Hour
				s := newSigner(newStatic(test.credentials), &opts)
				s.service = "service"
				s.now = func() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) }
				req := newRequest(t, "https://example.amazonaws.com/?"+test.query)
				if err := s.prepare(req); err != nil {
					t.Fatal(err)
				}
				return req
			}
			if got := field(prepare(Options{}), "Signature"); got != test.header {
				t.Errorf("by header: %s, AWS says %s", got, test.header)
			}
			if got := prepare(Options{Query: true}).URL.Query().Get("X-Amz-Signature"); test.inURL != "" && got != test.inURL {
				t.Errorf("by query: %s, AWS says %s", got, test.inURL)
			}
		})
	}
}

// A second implementation, for the service that AWS publishes no values for.
// It is itself tested against AWS's documented example.

func hmacSHA256(key []byte, data string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(data))
	return mac.Sum(nil)
}

func signingKey(secret, date, region, service string) []byte {
	key := []byte("AWS4" + secret)
	for _, data := range []string{date, region, service, "aws4_request"} {
		key = hmacSHA256(key, data)
	}
	return key
}

func signatureOf(key []byte, at time.Time, region, service, hashOfCanonical string) string {
	date := at.Format("20060102")
	return hex.EncodeToString(hmacSHA256(key, strings.Join([]string{
		"AWS4-HMAC-SHA256", at.Format(timeFormat), date + "/" + region + "/" + service + "/aws4_request", hashOfCanonical,
	}, "\n")))
}

// The example of "Calculate the signature for AWS Signature Version 4" in
// AWS's General Reference:
// https://docs.aws.amazon.com/general/latest/gr/sigv4-calculate-signature.html
func TestPublishedSigningKey(t *testing.T) {
	key := signingKey(published.SecretAccessKey, "20150830", "us-east-1", "iam")
	if got, want := hex.EncodeToString(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; got != want {
		t.Errorf("signing key %s, AWS says %s", got, want)
	}
	got := signatureOf(key, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), "us-east-1", "iam",
		"f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59")
	if want := "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"; got != want {
		t.Errorf("signature %s, AWS says %s", got, want)
	}
}

// What is signed of a handshake, spelt out.
func TestCanonicalRequest(t *testing.T) {
	const (
		api   = "abc123.execute-api.eu-west-1.amazonaws.com"
		token = "IQoJ+/b3=="
		date  = "20261123T120000Z"
	)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, url    string
		hostHeader   string // set by somebody before
		credentials  aws.Credentials
		opts         Options
		path, query  string // canonical
		host, sent   string // signed, and sent as Host
		region, more string // more signed headers
	}{
		{name: "default", url: "https://" + api + "/prod", credentials: published,
			path: "/prod", host: api, sent: api, region: "eu-west-1"},
		{name: "session token", url: "https://" + api + "/prod", credentials: withToken(published, token),
			path: "/prod", host: api, sent: api, region: "eu-west-1", more: "x-amz-security-token:" + token + "\n"},
		{name: "query", url: "https://" + api + "/prod?b=2&a=x+y&a=%2F&empty", credentials: published,
			path: "/prod", query: "a=%2F&a=x%20y&b=2&empty=", host: api, sent: api, region: "eu-west-1"},
		{name: "default port", url: "https://" + api + ":443/prod", credentials: published,
			path: "/prod", host: api, sent: api, region: "eu-west-1"},
		{name: "custom domain", url: "https://ws.example.com", credentials: published, opts: Options{Region: "ap-northeast-1"},
			path: "/", host: "ws.example.com", sent: "ws.example.com", region: "ap-northeast-1"},
		{name: "behind a proxy", url: "https://ws.example.com/prod", credentials: published, opts: Options{Host: api},
			path: "/prod", host: api, sent: "ws.example.com", region: "eu-west-1"},
		{name: "through a tunnel", url: "http://127.0.0.1:8443/prod", hostHeader: api, credentials: published,
			path: "/prod", host: api, sent: api, region: "eu-west-1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSigner(newStatic(test.credentials), &test.opts)
			s.now = func() time.Time { return at }
			req := newRequest(t, test.url)
			if test.hostHeader != "" {
				req.Host = test.hostHeader
			}
			req.Header.Set("Origin", "https://example.com")
			if err := s.prepare(req); err != nil {
				t.Fatal(err)
			}
			names := "host;x-amz-date"
			if test.more != "" {
				names += ";x-amz-security-token"
			}
			canonical := sha256.Sum256([]byte("GET\n" + test.path + "\n" + test.query + "\n" +
				"host:" + test.host + "\n" + "x-amz-date:" + date + "\n" + test.more + "\n" + names + "\n" + emptyHash))
			key := signingKey(test.credentials.SecretAccessKey, "20261123", test.region, "execute-api")
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/" + test.region + "/execute-api/aws4_request, " +
				"SignedHeaders=" + names + ", Signature=" + signatureOf(key, at, test.region, "execute-api", hex.EncodeToString(canonical[:]))
			if got := req.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization\n%s, want\n%s", got, want)
			}
			if got := req.Header.Get("X-Amz-Date"); got != date {
				t.Errorf("X-Amz-Date %s, want %s", got, date)
			}
			if got := req.Header.Get("X-Amz-Security-Token"); got != test.credentials.SessionToken {
				t.Errorf("X-Amz-Security-Token %s", got)
			}
			if req.Host != test.sent {
				t.Errorf("Host %s, want %s", req.Host, test.sent)
			}
			if req.Header.Get("Origin") == "" {
				t.Error("the header Origin is lost")
			}
			// What is sent is what was signed, to the byte.
			if req.URL.RawQuery != test.query {
				t.Errorf("query %s, want %s", req.URL.RawQuery, test.query)
			}
		})
	}
}
