// Package redact keeps secrets out of the texts of errors. The errors of a network are told by what
// is known to be safe of them, see [Secrets.Transport]; those of a user's own functions, whose
// texts may hold anything, are filtered, see [Secrets.Hook].
package redact

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shortest is the length of the shortest secret. What is shorter cannot be a token, and to blank it
// would garble the text.
const shortest = 6

// Secrets are what no text may show. The zero value holds none. Once filled, it may be used
// concurrently.
type Secrets struct{ values []string }

// AddURL adds the query, the values in it, and the user part.
func (s *Secrets) AddURL(u *url.URL) {
	if u == nil {
		return
	}
	s.add(u.RawQuery, unescape(u.RawQuery, true))
	for _, pair := range split(u.RawQuery, "&;") {
		s.addPair(pair)
	}
	if u.User == nil {
		return
	}
	password, ok := u.User.Password()
	if !ok {
		s.add(u.User.Username()) // a token
		return
	}
	both := u.User.Username() + ":" + password
	s.add(both, password, base64.StdEncoding.EncodeToString([]byte(both)))
}

// AddHeader adds all values, and the parts of each: in "Bearer abc" or "theme=dark; session=abc"
// the token alone is a secret, too.
func (s *Secrets) AddHeader(header http.Header) {
	for _, values := range header {
		for _, v := range values {
			s.AddValue(v)
			if scheme, rest, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "Basic") {
				both, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
				if _, password, ok := strings.Cut(string(both), ":"); err == nil && ok {
					s.add(string(both), password)
				}
			}
		}
	}
}

// AddCookies adds the values of cookies.
func (s *Secrets) AddCookies(cookies []*http.Cookie) {
	for _, cookie := range cookies {
		s.AddValue(cookie.Value)
	}
}

// AddSubprotocols adds subprotocols, in which some APIs expect a token, often behind a word and a
// dot.
func (s *Secrets) AddSubprotocols(protocols []string) {
	for _, p := range protocols {
		s.AddValue(p)
		s.add(split(p, ".")...)
	}
}

// AddValue adds v and its parts.
func (s *Secrets) AddValue(v string) {
	s.add(v)
	s.add(strings.Fields(v)...)
	for _, quoted := range quotedStrings(v) {
		s.add(quoted)
	}
	for _, part := range split(v, " \t,;&{}[]()<>\"'") {
		s.addPair(part)
	}
}

// addPair adds the value of "name=value". "abc==" is no pair but the end of a base64 text.
func (s *Secrets) addPair(pair string) {
	_, value, ok := strings.Cut(pair, "=")
	if !ok || strings.Trim(value, "=") == "" {
		value = pair
	} else if plain := unescape(value, true); plain != value {
		s.AddValue(plain) // it may have parts itself
	}
	s.add(value, unescape(value, true), strings.TrimRight(value, "="))
	s.add(split(value, "=:")...)
	for _, part := range split(value, ".") {
		if len(part) >= 16 { // of a JWT, not of a host name
			s.add(part)
		}
	}
}

// add adds values, as they are and without their escapes: what is escaped twice may be shown
// unescaped once.
func (s *Secrets) add(values ...string) {
	for _, v := range values {
		for range 3 {
			if len(v) >= shortest && !slices.Contains(s.values, v) {
				s.values = append(s.values, v)
			}
			v = unescape(v, false)
		}
	}
}

// unescape replaces each %XX, and with plus each "+", and leaves what is no escape.
func unescape(s string, plus bool) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		b, ok := hexByte(s[min(i+1, len(s)):])
		switch {
		case s[i] == '%' && ok:
			out.WriteByte(b)
			i += 2
		case s[i] == '+' && plus:
			out.WriteByte(' ')
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

// hexByte returns the byte whose two hexadecimal digits s begins with.
func hexByte(s string) (b byte, ok bool) {
	if len(s) < 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:2], 16, 8)
	return byte(n), err == nil
}

// quotedStrings returns the contents of the quoted strings in a header, RFC 9110, section 5.6.4.
func quotedStrings(v string) []string {
	var all []string
	for {
		_, rest, ok := strings.Cut(v, `"`)
		if !ok {
			return all
		}
		var content strings.Builder
		i := 0
		for i < len(rest) && rest[i] != '"' {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			content.WriteByte(rest[i])
			i++
		}
		all = append(all, content.String())
		v = rest[min(i+1, len(rest)):]
	}
}

func split(s, separators string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) })
}
