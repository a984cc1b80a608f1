package request

import (
	"net/http"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	for raw, want := range map[string]string{
		"wss://example.com/prod":      "https://example.com/prod",
		"ws://example.com":            "http://example.com",
		"https://example.com:444/a?b": "https://example.com:444/a?b",
		"http://[::1]:80/":            "http://[::1]:80/",
		"WSS://example.com/":          "https://example.com/",
		"wss://user@example.com/":     "https://user@example.com/",
		"wss://example.com/%23":       "https://example.com/%23",
	} {
		u, err := URL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if u.String() != want {
			t.Errorf("%s becomes %s, want %s", raw, u, want)
		}
		if got, want := Len(u), len(strings.Replace(want, "http", "ws", 1)); got != want {
			t.Errorf("%s is %d bytes long, want %d", raw, got, want)
		}
	}
	for raw, want := range map[string]string{
		"":                          "must begin with wss:// or ws://",
		"example.com/prod":          "must begin with wss:// or ws://",
		"ftp://example.com/prod":    "must begin with wss:// or ws://",
		"wss:///prod":               "has no host",
		"wss://:443/prod":           "has no host",
		"wss:example.com":           "has no host",
		"wss://exa mple.com/prod":   "cannot be parsed",
		"wss://example.com/%zz":     "cannot be parsed",
		"wss://example.com/\x00":    "cannot be parsed",
		"wss://example.com/a#token": "must not have a fragment (RFC 6455, section 3)",
	} {
		if u, err := URL(raw); u != nil || err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v, want %q", raw, u, err, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "::1": true, "localhost": true, "LOCALHOST": true,
		"localhost.": true, "api.localhost": true, "a.b.Localhost.": true,

		"": false, ".": false, "10.0.0.1": false, "128.0.0.1": false, "::": false, "::2": false,
		"localhost.example.com": false, "notlocalhost": false, "localhost..": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %v", host, got)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	const host = "must not hold Host: net/http does not send it; set the Host of the request in Prepare"
	for _, test := range []struct {
		name, value string
		want        string // of the error; none if empty
	}{
		{"Authorization", "Bearer x", ""},
		{"x-api-key", "", ""},
		{"X", "a\tb \x80ÿ~", ""},
		{"Sec-WebSocket-Accept", "x", ""},

		{"", "x", "has a name that is not a token (RFC 9110, section 5.1)"},
		{"X Token", "x", "has a name that is not a token (RFC 9110, section 5.1)"},
		{"Host", "x", host},
		{"hOST", "x", host},
		{"Connection", "x", "must not hold Connection: the handshake sets it"},
		{"upgrade", "x", "must not hold upgrade: the handshake sets it"},
		{"Sec-WebSocket-Key", "x", "must not hold Sec-WebSocket-Key: the handshake sets it"},
		{"sec-websocket-version", "x", "must not hold sec-websocket-version: the handshake sets it"},
		{"Sec-WebSocket-Extensions", "x", "must not hold Sec-WebSocket-Extensions: the handshake sets it"},
		{"Sec-WebSocket-Protocol", "x", "must not hold Sec-WebSocket-Protocol: the handshake sets it"},
		{"Authorization", "a token\n", "has a control character in Authorization"},
		{"Authorization", "\x00", "has a control character in Authorization"},
		{"Authorization", "\x1f", "has a control character in Authorization"},
		{"Authorization", "\x7f", "has a control character in Authorization"},
	} {
		// The first value is looked at as the second is.
		for _, values := range [][]string{{test.value}, {"fine", test.value}, {test.value, "fine"}} {
			text := ""
			if err := CheckHeader(http.Header{"Origin": {"fine"}, test.name: values}); err != nil {
				text = err.Error()
			}
			if text != test.want {
				t.Errorf("%q: %q: %q, want %q", test.name, values, text, test.want)
			}
		}
	}
	if err := CheckHeader(nil); err != nil {
		t.Errorf("no header: %v", err)
	}
}

// Every byte is a character of tokens or not, as RFC 9110, section 5.6.2 says.
func TestTokens(t *testing.T) {
	const digits = "0123456789"
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for b := range 256 {
		want := strings.IndexByte("!#$%&'*+-.^_`|~"+digits+letters, byte(b)) >= 0
		p := "a" + string([]byte{byte(b)}) + "b"
		err := CheckSubprotocols([]string{"chat", p})
		if got := err == nil; got != want {
			t.Errorf("%q: %v", p, err)
		}
		if err != nil && err.Error() != "must be tokens (RFC 6455, section 4.1)" {
			t.Errorf("%q: %v", p, err)
		}
	}
	if CheckSubprotocols([]string{"chat", "é"}) == nil || CheckSubprotocols([]string{""}) == nil {
		t.Error("what is not ASCII, or empty, is taken for a token")
	}
	if err := CheckSubprotocols(nil); err != nil {
		t.Errorf("no subprotocols: %v", err)
	}
}
