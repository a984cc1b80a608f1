package sigv4

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/aws/aws-sdk-go-v2/aws"
)

type ctx = context.Context

const apiURL = "https://abc123.execute-api.eu-west-1.amazonaws.com/prod"

func TestRegionOf(t *testing.T) {
	for host, want := range map[string]string{
		"abc123.execute-api.eu-west-1.amazonaws.com":            "eu-west-1",
		"ABC123.Execute-API.EU-West-1.amazonaws.com":            "eu-west-1",
		"abc123.execute-api.eu-west-1.amazonaws.com:8443":       "eu-west-1",
		"abc123.execute-api.cn-north-1.amazonaws.com.cn":        "cn-north-1",
		"abc123.execute-api.us-gov-west-1.amazonaws.com":        "us-gov-west-1",
		"abc123.execute-api-fips.us-east-1.amazonaws.com":       "us-east-1",
		"abc123.execute-api.eusc-de-east-1.amazonaws.eu":        "eusc-de-east-1",
		"abc123.execute-api.us-isob-east-1.sc2s.sgov.gov":       "us-isob-east-1",
		"vpce-0123-ab.execute-api.eu-west-1.vpce.amazonaws.com": "eu-west-1",
		"abc123-vpce-0123.execute-api.ap-southeast-5.api.aws":   "ap-southeast-5",
		"d-abc123.execute-api.eu-central-2.amazonaws.com":       "eu-central-2",
		"ws.example.com":                                    "",
		"ws.example.com:443":                                "",
		"execute-api.example.com":                           "",
		"eu-west-1.example.com":                             "",
		"abc123.execute-api.eu-west-1-attacker.example.com": "",
		"abc123.execute-api":                                "",
		"127.0.0.1:8080":                                    "",
		"[::1]:8080":                                        "",
		"localhost":                                         "",
		"":                                                  "",
		"abc123.execute-api.localhost.localstack.cloud:4566":      "",
		"abc123.my-execute-api.eu-west-1.amazonaws.com":           "",
		"abc123.execute-api.us-east-1.localhost.localstack.cloud": "us-east-1",
	} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// Mistakes that no retry mends are an OptionError, which ends Dial.
func TestOptionErrors(t *testing.T) {
	tests := []struct {
		name, url   string
		credentials aws.CredentialsProvider
		opts        Options
		want        string
	}{
		{"no credentials", apiURL, nil, Options{}, "apigws: sigv4 credentials are missing"},
		{"anonymous", apiURL, aws.AnonymousCredentials{}, Options{}, "apigws: sigv4 credentials are missing"},
		{"no region", "https://ws.example.com/", newStatic(published), Options{},
			"apigws: sigv4.Options.Region is needed: the host ws.example.com names none"},
		{"other region", apiURL, newStatic(published), Options{Region: "us-east-1"},
			"apigws: sigv4.Options.Region is us-east-1, and the host abc123.execute-api.eu-west-1.amazonaws.com is in eu-west-1"},
		{"expires", apiURL, newStatic(published), Options{Query: true, Expires: time.Millisecond},
			"apigws: sigv4.Options.Expires must be at least a second"},
		{"signed already", apiURL + "?X-Amz-Signature=0123", newStatic(published), Options{}, "apigws: url is signed already"},
		{"query", apiURL + "?a;b", newStatic(published), Options{}, "apigws: url has a query that cannot be parsed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := newRequest(t, test.url)
			err := Prepare(test.credentials, &test.opts)(req)
			var option *apigws.OptionError
			if !errors.As(err, &option) || err.Error() != test.want {
				t.Errorf("Prepare: %v, want %s", err, test.want)
			}
			if apigws.Retryable(err) {
				t.Error("worth retrying")
			}
			if len(req.Header) > 0 {
				t.Errorf("headers were set: %v", req.Header)
			}
			if _, err := Presign(t.Context(), test.credentials, test.url, &test.opts); !errors.As(err, &option) || err.Error() != test.want {
				t.Errorf("Presign: %v, want %s", err, test.want)
			}
		})
	}
	for _, raw := range []string{"ftp://ws.example.com", "wss://%zz?token=hush-hush"} {
		_, err := Presign(t.Context(), newStatic(published), raw, nil)
		var option *apigws.OptionError
		if !errors.As(err, &option) || strings.Contains(err.Error(), "hush") {
			t.Errorf("Presign(%s): %v", raw, err)
		}
	}
}

// A provider may do better next time, so its failures are worth retrying.
func TestProviderErrors(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	expiring := published
	expiring.Source, expiring.CanExpire, expiring.Expires = "EC2RoleProvider", true, at
	broken := errors.New("metadata service: timeout")
	tests := []struct {
		name        string
		credentials aws.CredentialsProvider
		want        string
	}{
		{"failure", aws.CredentialsProviderFunc(func(ctx) (aws.Credentials, error) { return aws.Credentials{}, broken }),
			"sigv4: no credentials: metadata service: timeout"},
		{"empty", newStatic(aws.Credentials{Source: "mine", SecretAccessKey: "hush"}),
			`sigv4: the credentials from "mine" have no key`},
		{"expired", newStatic(expiring),
			`sigv4: the credentials from "EC2RoleProvider" expired at 2026-11-23T12:00:00Z, and the clock says 2026-11-23T12:00:00Z`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSigner(test.credentials, nil)
			s.now = func() time.Time { return at }
			err := s.prepare(newRequest(t, apiURL))
			if err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
			if !apigws.Retryable(err) {
				t.Error("not worth retrying")
			}
		})
	}

	s := newSigner(newStatic(expiring), nil)
	s.now = func() time.Time { return at.Add(-1) }
	if err := s.prepare(newRequest(t, apiURL)); err != nil {
		t.Errorf("a nanosecond before they expire: %v", err)
	}

	// The provider waits for no longer than the handshake may take.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Prepare(newStatic(published), nil)(newRequest(t, apiURL).WithContext(gone)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestPresign(t *testing.T) {
	byDefault, err := Presign(t.Context(), newStatic(published), apiURL, nil)
	if err != nil || !strings.Contains(byDefault, "&X-Amz-Expires=300&") {
		t.Errorf("by default: %s, %v, want five minutes", byDefault, err)
	}
	for _, raw := range []string{
		"wss://abc123.execute-api.eu-west-1.amazonaws.com/prod?room=a+b",
		"ws://127.0.0.1:8080/prod?room=a+b",
	} {
		got, err := Presign(t.Context(), newStatic(withToken(published, "to/ken")), raw,
			&Options{Region: "eu-west-1", Expires: 90*time.Second + time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		before, _ := url.Parse(raw)
		u, err := url.Parse(got)
		if err != nil || u.Scheme != before.Scheme || u.Host != before.Host || u.Path != before.Path {
			t.Errorf("%s became %s (%v)", raw, got, err)
		}
		query := u.Query()
		for name, want := range map[string]string{
			"room": "a b", "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": "90",
			"X-Amz-SignedHeaders": "host", "X-Amz-Security-Token": "to/ken",
		} {
			if query.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, query.Get(name), want)
			}
		}
		v := &Verifier{Region: "eu-west-1", Credentials: []aws.Credentials{withToken(published, "to/ken")}}
		if err := v.Verify(&http.Request{Method: "GET", URL: u, Host: u.Host}); err != nil {
			t.Error(err)
		}
	}
}

// A URL of 4096 characters is signed, one more is refused, with the reason.
func TestLongURL(t *testing.T) {
	sign := func(length int) (string, error) {
		return Presign(t.Context(), newStatic(withToken(published, strings.Repeat("/", length))),
			"wss"+strings.TrimPrefix(apiURL, "https"), nil)
	}
	short, err := sign(1)
	if err != nil {
		t.Fatal(err)
	}
	// Each "/" takes three characters, so the rest goes into the query.
	fits := 1 + (4096-len(short))/3
	long, err := sign(fits)
	if err != nil || len(long) > 4096 || len(long) <= 4093 {
		t.Fatalf("%d characters: %v", len(long), err)
	}
	_, err = sign(fits + 1)
	var tooLarge *apigws.TooLargeError
	if !errors.As(err, &tooLarge) || tooLarge.Size != len(long)+3 || tooLarge.Limit != 4096 || apigws.Retryable(err) {
		t.Errorf("%v, want a TooLargeError that is not worth retrying", err)
	}
	if err == nil || !strings.Contains(err.Error(), "session token") || strings.Contains(err.Error(), "%2F") {
		t.Errorf("%v, want the reason, and no token", err)
	}
}

func TestExplain(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	refusal := func(status int, off time.Duration, body string) error {
		header := http.Header{"Date": {at.Add(-off).Format(http.TimeFormat)}}
		return &apigws.HandshakeError{StatusCode: status, Header: header, Body: []byte(body)}
	}
	const secret = "x-amz-security-token:IQoJb3JpZ2luX2VjE"
	tests := []struct {
		name string
		err  error
		want string // a part of it, or "" for nothing at all
	}{
		{"other error", errors.New("no route to host"), ""},
		{"other status", refusal(500, 0, ""), ""},
		{"fast clock", refusal(403, 5*time.Minute, `{"message":"Forbidden"}`),
			"the clock of this machine says 2026-11-23T12:00:00Z, and that of the gateway 2026-11-23T11:55:00Z"},
		{"slow clock", refusal(403, -7*time.Minute, ""), "that of the gateway 2026-11-23T12:07:00Z"},
		{"clock within tolerance", refusal(403, 5*time.Minute-time.Second, ""), "gives no reason"},
		{"no date", &apigws.HandshakeError{StatusCode: 401}, "gives no reason"},
		{"unsigned", refusal(403, 0, `{"message":"Missing Authentication Token"}`), "found no signature"},
		{"old", refusal(403, 0, `{"message":"Signature expired: 20261123T115400Z is now earlier than …"}`), "too old"},
		{"early", refusal(403, 0, `{"message":"Signature not yet current: …"}`), "fast"},
		{"region", refusal(403, 0, `{"message":"Credential should be scoped to a valid region, not 'us-east-1'. "}`), "another region"},
		{"expired", refusal(403, 0, `{"message":"The security token included in the request is expired"}`), "credentials have expired"},
		{"unknown key", refusal(403, 0, `{"message":"The security token included in the request is invalid."}`), "access key is unknown"},
		{"wrong key", refusal(403, 0, `{"message":"The request signature we calculated does not match the signature you provided. … `+secret+`"}`),
			"secret key is wrong"},
		{"policy", refusal(403, 0, `{"Message":"User: arn:aws:iam::111122223333:user/me is not authorized to perform: execute-api:Invoke on resource: …"}`),
			"no policy allows"},
		{"authorizer", refusal(403, 0, `{"Message":"User is not authorized to access this resource with an explicit deny"}`), "authorizer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := explain(test.err, at)
			if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("%q, want %q", got, test.want)
			}
			if strings.Contains(got, "IQoJ") {
				t.Errorf("%q holds the session token", got)
			}
		})
	}
}
