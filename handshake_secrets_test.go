package apigws

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
)

// cookies is a jar with a cookie for one path.
type cookies struct{ path, value string }

func (c cookies) Cookies(u *url.URL) []*http.Cookie {
	if u.Path != c.path {
		return nil
	}
	return []*http.Cookie{{Name: "session", Value: c.value}}
}

func (cookies) SetCookies(*url.URL, []*http.Cookie) {}

// Each thing that is told to the gateway, or by it, is a secret of the handshake.
func TestSecretsOfAHandshake(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	const secret = "the-secret"
	prepare := func(change func(req *http.Request)) *Options {
		return &Options{Prepare: func(req *http.Request) error {
			change(req)
			return nil
		}}
	}
	removed := prepare(func(req *http.Request) { req.Header = nil })
	removed.Header = http.Header{"X-Key": {secret}}
	answer := transportFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Header.Add("Set-Cookie", "session="+secret)
		}
		return resp, err
	})
	for name, test := range map[string]struct {
		query string
		opts  *Options
	}{
		"query":                    {"?token=" + secret, nil},
		"query taken away":         {"?token=" + secret, prepare(func(req *http.Request) { req.URL.RawQuery = "" })},
		"query of Prepare":         {"", prepare(func(req *http.Request) { req.URL.RawQuery = "token=" + secret })},
		"header":                   {"", &Options{Header: http.Header{"X-Key": {secret}}}},
		"header taken away":        {"", removed},
		"header of Prepare":        {"", prepare(func(req *http.Request) { req.Header.Set("X-Key", secret) })},
		"subprotocol":              {"", &Options{Subprotocols: []string{secret}}},
		"cookie of a jar":          {"", &Options{HTTPClient: &http.Client{Jar: cookies{"/prod", secret}}}},
		"cookie of the answer":     {"", &Options{HTTPClient: &http.Client{Transport: answer}}},
		"cookie of another server": {"", &Options{HTTPClient: &http.Client{Jar: cookies{"/other", secret}}}},
	} {
		secrets, err := dialOnce(t, gw.URL+test.query, test.opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := "no " + secret + " here"
		if hidden := secrets.Text(text) != text; hidden != (name != "cookie of another server") {
			t.Errorf("%s: %q", name, secrets.Text(text))
		}
	}
}

// A told is an error of a transport with words of its own.
type told struct{ text string }

func (e *told) Error() string { return e.text }

// An error that holds a secret of the handshake is not given away, one that holds none is.
func TestErrorsOfATransport(t *testing.T) {
	for text, want := range map[string]bool{"no the-secret here": false, "nothing here": true} {
		transport := transportFunc(func(*http.Request) (*http.Response, error) { return nil, &told{text} })
		_, err := dialOnce(t, "ws://127.0.0.1?token=the-secret", &Options{HTTPClient: &http.Client{Transport: transport}})
		var found *told
		if errors.As(err, &found) != want {
			t.Errorf("%q: found = %v in %v", text, found, err)
		}
	}
}

// A Prepare that leaves no URL and fails makes an error like another one, whatever the jar does
// with a URL.
func TestPrepareFailsWithoutURL(t *testing.T) {
	_, err := dialOnce(t, "ws://127.0.0.1", &Options{
		HTTPClient: &http.Client{Jar: cookies{}},
		Prepare: func(req *http.Request) error {
			req.URL = nil
			return errors.New("no token")
		},
	})
	if err == nil || err.Error() != "apigws: handshake: Prepare: no token" {
		t.Error(err)
	}
}
