package gatewaytest

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"
)

// A server that runs for long forgets what is over.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewInMemory(nil)
		defer s.Close()
		for range 3 {
			conn, _, _, err := (&ws.Dialer{NetDial: s.Client().Transport.(*http.Transport).DialContext}).Dial(t.Context(), s.URL)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		synctest.Wait()
		if n := len(s.conns.live); n != 0 {
			t.Errorf("%d connections kept", n)
		}
	})
}

// A connection that is accepted while the server is being closed is closed, too: else the bubble
// finds its goroutine.
func TestCloseWhileAccepting(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			s := NewInMemory(nil)
			dial := s.Client().Transport.(*http.Transport).DialContext
			go dial(context.Background(), "tcp", "")
			s.Close()
		})
	}
}

func FuzzSelector(f *testing.F) {
	f.Add("$request.body.a.b", []byte(`{"a":{"b":"c"}}`))
	f.Add("${request.body.a}/${request.body.b}", []byte(`{"a":1,"b":true}`))
	f.Add("${request.body}", []byte(`{"":""}`))
	f.Add(`x${request.body.a.b}y\$z`, []byte(`{"a":{"b":21000000,"b":1e999}}`))
	f.Add("$request.body.a", []byte(`{"a":"\u20ac\ud800"} {}`))
	f.Add("$request.body.a", []byte(`[{"a":null}]`))
	f.Add("$request.body.a[1][-1]['b c']", []byte(`{"a":[0,[{"b c":[{},{"d":[1,null]}]}]]}`))
	f.Fuzz(func(t *testing.T, expr string, data []byte) {
		selector, err := parseSelector(expr)
		if err != nil {
			return
		}
		key, ok := selector.key(data)
		if ok != json.Valid(data) {
			t.Errorf("%t for %q", ok, data)
		}
		if want, comparable := keyByText(expr, data); ok && comparable && key != want {
			t.Errorf("%q, want %q", key, want)
		}
	})
}

// keyByText does what selector.key does in another way: it puts the values in where the expression
// has their paths, and takes them from the JSON as it is written. It reports whether the expression
// and the values are simple enough for it.
func keyByText(expr string, data []byte) (string, bool) {
	if !regexp.MustCompile(`^([\w/-]|\$\{request\.body(\.\w+)+\})*$`).MatchString(expr) {
		return "", false
	}
	simple := true
	variable := regexp.MustCompile(`\$\{request\.body\.([^}]+)\}`)
	key := variable.ReplaceAllStringFunc(expr, func(v string) string {
		raw := data
		for name := range strings.SplitSeq(variable.FindStringSubmatch(v)[1], ".") {
			var object map[string]json.RawMessage
			json.Unmarshal(raw, &object)
			raw = object[name]
		}
		switch text := strings.TrimSpace(string(raw)); {
		case strings.HasPrefix(text, `"`):
			var s string
			json.Unmarshal(raw, &s)
			return s
		case text == "" || text == "null":
			return ""
		case strings.ContainsAny(text[:1], "[{"):
			simple = false
			return ""
		default:
			return text
		}
	})
	return key, simple
}
