package redact

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// leaked returns the first of the secrets that text holds. The mark itself is none, nor is what it
// makes with its neighbours.
func leaked(text string, secrets ...string) string {
	for _, part := range strings.Split(text, Mark) {
		for _, secret := range secrets {
			if len(secret) >= shortest && strings.Contains(part, secret) {
				return secret
			}
		}
	}
	return ""
}

// spellings are ways in which a text may have a secret.
func spellings(s string) []string {
	asJSON := []byte(s)
	if utf8.ValidString(s) { // else it replaces what it cannot hold
		asJSON, _ = json.Marshal(s)
	}
	lower := func(s string) string {
		parts := strings.Split(s, "%")
		for i := 1; i < len(parts); i++ {
			parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
		}
		return strings.Join(parts, "%")
	}
	each := ""
	for i := range len(s) {
		each += fmt.Sprintf("%%%02x", s[i])
	}
	return []string{
		s,
		url.QueryEscape(s),
		url.PathEscape(s),
		lower(url.QueryEscape(s)),
		url.QueryEscape(url.QueryEscape(s)),
		url.PathEscape(lower(url.QueryEscape(url.PathEscape(s)))),
		each,
		fmt.Sprintf("%q", s),
		fmt.Sprintf("%q", fmt.Sprintf("%q", s)),
		fmt.Sprintf("%+q", s),
		string(asJSON),
		html.EscapeString(s),
	}
}

// shows reports whether text has a secret in any spelling: it is decoded in every way as often as
// there is anything to decode.
func shows(text, secret string) bool {
	for _, part := range strings.Split(text, Mark) {
		for _, form := range spellings(secret) {
			if strings.Contains(part, strings.Trim(form, `"`)) {
				return true
			}
		}
	}
	return false
}

// What has been seen to leak, and what might.
func TestEverySpelling(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("me:basic-password"))
	tests := []struct {
		name   string
		secret string
		fill   func(s *Secrets)
	}{
		{"query", "query+secret/of=the url", func(s *Secrets) {
			s.AddURL(&url.URL{RawQuery: url.Values{"token": {"query+secret/of=the url"}}.Encode()})
		}},
		{"query with %20", "space or plus", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=space%20or%20plus"}) }},
		{"query with both", "space or plus", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=space+or%20plus"}) }},
		{"query with a space first", " a-token", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=+a-token"}) }},
		{"query in lower case", "slash/and+plus", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=slash%2fand%2bplus"}) }},
		{"query escaped twice", "slash/and+plus", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=slash%252Fand%252Bplus"}) }},
		{"needless escape", "needless-escape", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=needless%2Descape"}) }},
		{"bad escape", "%zz-bad-escape", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "token=%zz-bad%2Descape"}) }},
		{"semicolon", "semicolon-secret", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "room=1;token=semicolon-secret"}) }},
		{"only a token", "only-a-token", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "only-a-token"}) }},
		{"base64 alone", "b25seS1hLXRva2Vu", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "b25seS1hLXRva2Vu=="}) }},
		{"base64", "YS10b2tlbi0x", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "room=1&token=YS10b2tlbi0x="}) }},
		{"JSON in a query", "token in JSON", func(s *Secrets) {
			s.AddURL(&url.URL{RawQuery: "auth=" + url.QueryEscape(`{"token":"token in JSON"}`)})
		}},
		{"part of JSON in a query", "json-token", func(s *Secrets) {
			s.AddURL(&url.URL{RawQuery: "auth=" + url.QueryEscape(`{"token":"json-token"}`)})
		}},
		{"prefix of another", "a-secret", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: "access_token=a-secret&access=a-secret-s"}) }},
		{"password", "p:a@s/s?w#o rd", func(s *Secrets) { s.AddURL(&url.URL{User: url.UserPassword("user", "p:a@s/s?w#o rd")}) }},
		{"user without a password", "user-token", func(s *Secrets) { s.AddURL(&url.URL{User: url.User("user-token")}) }},
		{"user as a header", base64.StdEncoding.EncodeToString([]byte("user:password")), func(s *Secrets) {
			s.AddURL(&url.URL{User: url.UserPassword("user", "password")})
		}},
		{"bearer", "bearer-token", func(s *Secrets) { s.AddHeader(http.Header{"Authorization": {"Bearer bearer-token"}}) }},
		{"basic", "basic-password", func(s *Secrets) { s.AddHeader(http.Header{"Authorization": {"Basic " + basic}}) }},
		{"JWT", "signature-of-a-jwt", func(s *Secrets) {
			s.AddHeader(http.Header{"Authorization": {"Bearer header.payload.signature-of-a-jwt"}})
		}},
		{"second value", "second-value", func(s *Secrets) { s.AddHeader(http.Header{"X-Key": {"first", "second-value"}}) }},
		{"parameter", "d1e2adbeef", func(s *Secrets) {
			s.AddHeader(http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=someone, Signature=d1e2adbeef"}})
		}},
		{"quoted parameter", "quoted-token", func(s *Secrets) {
			s.AddHeader(http.Header{"Authorization": {`Digest user="me",response="quoted-token"`}})
		}},
		{"quoted parameter with separators", `quoted, "token"; x=y`, func(s *Secrets) {
			s.AddHeader(http.Header{"Authorization": {`Token token="quoted, \"token\"; x=y", next=1`}})
		}},
		{"quote without an end", "quoted-token", func(s *Secrets) { s.AddHeader(http.Header{"X-Key": {`token="quoted-token`}}) }},
		{"cookie header", "session-token", func(s *Secrets) {
			s.AddHeader(http.Header{"Cookie": {"theme=dark; session=session-token"}})
		}},
		{"escaped cookie", "s:a/b=c", func(s *Secrets) { s.AddHeader(http.Header{"Cookie": {"session=s%3Aa%2Fb%3Dc"}}) }},
		{"cookie of a jar", "jar-token", func(s *Secrets) { s.AddCookies([]*http.Cookie{{Name: "session", Value: "jar-token"}}) }},
		{"subprotocol", "protocol-token", func(s *Secrets) { s.AddSubprotocols([]string{"chat", "protocol-token"}) }},
		{"subprotocol behind a word", "protocol-token", func(s *Secrets) { s.AddSubprotocols([]string{"bearer.protocol-token"}) }},
		{"letters of HTML", "a&b<c>d'e\"f", func(s *Secrets) { s.AddURL(&url.URL{RawQuery: url.Values{"t": {"a&b<c>d'e\"f"}}.Encode()}) }},
		{"backslashes", `a\b\\c\\`, func(s *Secrets) { s.AddValue(`a\b\\c\\`) }},
		{"after a colon", "part-token", func(s *Secrets) { s.AddHeader(http.Header{"X-Key": {"id:part-token"}}) }},
		{"no URL", "another-secret", func(s *Secrets) { s.AddURL(nil); s.AddValue("another-secret") }},
		{"letters of all kinds", "日本語\x00\xff\n'\\%41%", func(s *Secrets) { s.AddValue("日本語\x00\xff\n'\\%41%") }},
	}
	for _, test := range tests {
		var s Secrets
		test.fill(&s)
		for _, form := range spellings(test.secret) {
			for _, around := range [][2]string{{"token ", " has expired"}, {"%", "%"}, {`\`, `\`}, {"=", "&next=1"}, {"x", "x"}} {
				cause := errors.New(around[0] + form + around[1])
				if err := s.Hook(cause); shows(err.Error(), test.secret) {
					t.Errorf("%s: %q is left in %q", test.name, test.secret, err)
				}
			}
		}
	}
}

// What is not secret stays, so that the error says what has failed.
func TestTheRestStays(t *testing.T) {
	var s Secrets
	s.AddURL(&url.URL{RawQuery: "room=7&token=a-secret&a=short"})
	s.AddHeader(http.Header{"Cookie": {"session=session-token; theme=dark"}})
	for text, want := range map[string]string{
		"no room 7, theme dark":                 "no room 7, theme dark",
		"no session for a short token":          "no session for a short token",
		"token a-secret has expired, a-secret!": "token REDACTED has expired, REDACTED!",
		"session-tokens":                        "REDACTEDs",
		"":                                      "",
		"Get https://example.com/prod?token=x: refused":     "Get https://example.com/prod?REDACTED refused",
		"wss://example.com/prod":                            "wss://example.com/prod",
		"wss://example.com/prod#part next":                  "wss://example.com/prod#REDACTED next",
		`"https://me:pw@example.com/prod?x" and "https://"`: `"https://REDACTED@example.com/prod?REDACTED" and "https://"`,
		"http://me:p/w@proxy:3128 and http://other:80/":     "http://REDACTED@proxy:3128 and http://other:80/",
		"http://other:80/ and http://me:p/w@proxy:3128":     "http://other:80/ and http://REDACTED@proxy:3128",
		"http://other:80/\nand me@example.com":              "http://other:80/\nand me@example.com",
		"http://me:p w@proxy:3128 refused":                  "http://REDACTED@proxy:3128 refused",
		"http://me:p?w@proxy:3128 refused":                  "http://REDACTED refused",
		"http://me:p#w@proxy:3128/?x refused":               "http://REDACTED refused",
		"https://example.com/?mail=a@b.com&token=x refused": "https://REDACTED refused",
		"://": "://",
	} {
		if got := s.Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

// Secrets next to each other, one within another, one across another.
func TestOverlaps(t *testing.T) {
	var s Secrets
	for _, v := range []string{"abcdef", "defghi", "cdefgh", "aaaaaa", "abcxyz0123", "cxyz01"} {
		s.add(v)
	}
	for text, want := range map[string]string{
		"xabcdefghiy":    "xREDACTEDy",
		"abcxyz0123 ":    "REDACTED ",
		"abcdefabcdef":   "REDACTEDREDACTED",
		"aaaaaaaa":       "REDACTED",
		"abcde cdefgh d": "abcde REDACTED d",
	} {
		if got := s.Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

// FuzzHook puts secrets into a handshake, and the handshake into errors as hooks write them: none
// of the secrets may be left, in any spelling.
func FuzzHook(f *testing.F) {
	f.Add("token1", "Bearer token2", "token3", "before ", " after")
	f.Add("a+b/c==d", "session=abc123; theme=dark", "p:a@s/s?w#d", "https://example.com/?q=", "\"")
	f.Add("REDACTED", "REDACT", "EDACTE", "RED", "ACTED")
	f.Add("aaaaaaa", "aaaaaa", "aaaaaaaa", "a", "a")
	f.Add("x';\"y z", "tab\tbed", "%41%41%41", "://", "?")
	f.Add("\xff\xfe\x00abc", "ünïcödé", "日本語日本語", "", "")
	f.Add("41 bcdef", `a="b, c\"d"`, `\\\\\\`, "%", "%")
	f.Fuzz(func(t *testing.T, query, header, password, before, after string) {
		u := &url.URL{Scheme: "https", Host: "example.com", Path: "/prod",
			User: url.UserPassword("user", password), RawQuery: url.Values{"token": {query}}.Encode()}
		headers := http.Header{"Authorization": {header}}
		var s Secrets
		s.AddURL(u)
		s.AddHeader(headers)
		secrets := []string{query, header, password, u.RawQuery}
		secrets = append(secrets, strings.Fields(header)...)

		for _, secret := range secrets {
			if len(secret) < shortest {
				continue
			}
			for _, form := range spellings(secret) {
				cause := errors.New(before + form + after)
				err := s.Hook(cause)
				if left := leaked(err.Error(), strings.Trim(form, `"`), secret); left != "" {
					t.Fatalf("%q of %q is left in %q", left, cause, err)
				}
				if !errors.Is(err, cause) {
					t.Fatal("the error has lost its identity")
				}
			}
		}
		for _, cause := range []error{
			&url.Error{Op: "Get", URL: u.String(), Err: errors.New("refused")},
			fmt.Errorf("%s%s%s", before, u, after),
			fmt.Errorf("%s%v%s", before, headers, after),
			fmt.Errorf("%s%q%s", before, headers, after),
			fmt.Errorf("%s%s %s %s%s", before, query, header, password, after),
			fmt.Errorf("%s%s%s%s%s", before, header, password, query, after),
		} {
			if left := leaked(s.Hook(cause).Error(), secrets...); left != "" {
				t.Fatalf("%q of %q is left in %q", left, cause, s.Hook(cause))
			}
		}
		// Without knowing any secret, no query and no password of a URL is left.
		if len(query) < shortest || len(password) < shortest || strings.ContainsAny(before+after, "?#@:") {
			return
		}
		var none Secrets
		text := none.Text(before + " " + u.String() + " " + after)
		if left := leaked(text, url.QueryEscape(query), u.User.String()); left != "" && !strings.Contains(before+after, left) {
			t.Fatalf("%q is left in %q", left, text)
		}
	})
}
