// Package request checks what is to go into the request of a handshake. The texts of its errors
// begin with a verb, for whoever names the field in front of them, and show no values: those may be
// credentials.
package request

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// URL parses the URL to dial and returns it in its https form: with the scheme https for wss, and
// http for ws.
func URL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("cannot be parsed") // the text of err holds the URL
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, errors.New("must begin with wss:// or ws://")
	}
	if u.Fragment != "" {
		return nil, errors.New("must not have a fragment (RFC 6455, section 3)")
	}
	if u.Hostname() == "" {
		return nil, errors.New("has no host")
	}
	return u, nil
}

// Len returns how long the wss form of a URL is that URL has returned.
func Len(u *url.URL) int { return len(u.String()) - len("http") + len("ws") }

// IsLoopback reports whether a host, by its name or address, is this machine.
func IsLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// CheckHeader checks a header that is sent beside what the handshake sets.
func CheckHeader(header http.Header) error {
	for field, values := range header {
		if !isToken(field) {
			return errors.New("has a name that is not a token (RFC 9110, section 5.1)")
		}
		switch http.CanonicalHeaderKey(field) {
		case "Host":
			return errors.New("must not hold Host: net/http does not send it; set the Host of the request in Prepare")
		case "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version",
			"Sec-Websocket-Extensions", "Sec-Websocket-Protocol":
			return errors.New("must not hold " + field + ": the handshake sets it")
		}
		// Every attempt would fail. A token that was read from a file often ends in a newline.
		if slices.ContainsFunc(values, hasControl) {
			return errors.New("has a control character in " + field)
		}
	}
	return nil
}

// CheckSubprotocols checks the subprotocols to offer.
func CheckSubprotocols(subprotocols []string) error {
	for _, p := range subprotocols {
		if !isToken(p) {
			return errors.New("must be tokens (RFC 6455, section 4.1)")
		}
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
