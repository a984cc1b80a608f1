package apigws

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Error texts of net/http and net/url carry the whole URL, and WebSocket URLs
// carry tokens in their query; so may the errors of a Prepare function. What
// passes through here keeps its identity for errors.Is and errors.As, but its
// text has lost what must not be seen.

const redactedMark = "REDACTED"

// redact returns err with a text that holds none of the secrets, and no query,
// fragment or user part of any URL.
func redact(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	return &redactedError{text: redactText(err.Error(), secrets), err: err}
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

// Is and As instead of Unwrap: the text of the wrapped error must stay out of
// reach.
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

func (e *redactedError) As(target any) bool {
	// A *url.Error would hand out the URL, and an interface, such as
	// net.Error, whatever error implements it.
	if _, ok := target.(**url.Error); ok || reflect.TypeOf(target).Elem().Kind() == reflect.Interface {
		return false
	}
	return errors.As(e.err, target)
}

// Timeout and Temporary make it a net.Error, for those who ask for one.
func (e *redactedError) Timeout() bool {
	var err interface{ Timeout() bool }
	return errors.As(e.err, &err) && err.Timeout()
}

func (e *redactedError) Temporary() bool {
	var err interface{ Temporary() bool }
	return errors.As(e.err, &err) && err.Temporary()
}

// secretsOf lists what a handshake must keep to itself: its query, the values
// in it, its user part, and the values of its headers. Longer ones come first:
// redactText prefers them to those that they begin with.
func secretsOf(u *url.URL, header http.Header) []string {
	var secrets []string
	add := func(all ...string) {
		for _, s := range all {
			// Very short values cannot be a token, and to blank them would
			// garble the text.
			if len(s) >= 6 {
				secrets = append(secrets, s)
			}
		}
	}
	add(u.RawQuery)
	add(split(u.RawQuery, "&;=")...) // as they were written
	for _, values := range u.Query() {
		for _, v := range values {
			add(v, url.QueryEscape(v))
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		add(u.User.String(), password)
	}
	for _, values := range header {
		for _, v := range values {
			add(v)
			// "Bearer abc", "session=abc; theme=dark": the token alone is a
			// secret too.
			add(strings.Fields(v)...)
			add(split(v, " \t,;=")...)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return secrets
}

func split(s, separators string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) })
}

// redactText replaces all secrets at once: what one leaves behind must not be
// taken for another.
func redactText(s string, secrets []string) string {
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, redactedMark)
		}
	}
	return redactURLs(strings.NewReplacer(pairs...).Replace(s))
}

// redactURLs cuts the user part, the query and the fragment out of everything
// in s that looks like a URL.
func redactURLs(s string) string {
	var out strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i+3])
		s = s[i+3:]
		end := strings.IndexAny(s, " \t\r\n\"'`<>")
		if end < 0 {
			end = len(s)
		}
		out.WriteString(redactURLRest(s[:end]))
		s = s[end:]
	}
}

// redactURLRest redacts what follows the "://" of a URL.
func redactURLRest(rest string) string {
	suffix := ""
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest, suffix = rest[:i], rest[i:i+1]+redactedMark
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		slash = len(rest)
	}
	if at := strings.LastIndexByte(rest[:slash], '@'); at >= 0 {
		rest = redactedMark + rest[at:]
	}
	return rest + suffix
}
