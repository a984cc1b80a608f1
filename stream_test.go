package apigws

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
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
		s, err := dialOnce(t, gw.URL+test.query, test.opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := "no " + secret + " here"
		if hidden := s.secrets.Text(text) != text; hidden != (name != "cookie of another server") {
			t.Errorf("%s: %q", name, s.secrets.Text(text))
		}
	}
}

// odd is a connection that fails in words of its own.
type odd struct {
	io.ReadWriteCloser
	err error
}

func (o *odd) Read([]byte) (int, error)  { return 0, o.err }
func (o *odd) Write([]byte) (int, error) { return 0, o.err }

// The errors of a connection are told by what is known to be safe, too.
func TestStreamErrors(t *testing.T) {
	told := errors.New("lost https://example.com/?token=secret")
	s := &stream{ReadWriteCloser: &odd{err: told}}
	for _, f := range []func([]byte) (int, error){s.Read, s.Write} {
		if _, err := f(nil); !errors.Is(err, told) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q", err)
		}
	}
	s = &stream{ReadWriteCloser: &odd{err: io.EOF}}
	if _, err := s.Read(nil); err != io.EOF {
		t.Errorf("%v, want io.EOF itself", err)
	}
	if err := transportError(nil); err != nil {
		t.Error(err)
	}
}
