package gatewaytest

import (
	"context"
	"encoding/json"
	"net/http"
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
		if n := len(s.conns); n != 0 {
			t.Errorf("%d connections kept", n)
		}
	})
}

// A connection that is accepted while the server is being closed is closed, too: else the bubble finds its goroutine.
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

func FuzzSelectKey(f *testing.F) {
	f.Add("$request.body.a.b", []byte(`{"a":{"b":"c"}}`))
	f.Add("${request.body.a}/${request.body.b}", []byte(`{"a":1,"b":true}`))
	f.Add("$request.body.", []byte(`{"":""}`))
	f.Fuzz(func(t *testing.T, expr string, data []byte) {
		selector, err := parseSelector(expr)
		if err != nil {
			return
		}
		r := routes{selector: selector}
		if _, ok := r.selectKey(data); ok && !json.Valid(data) {
			t.Error("a key from what is not JSON")
		}
	})
}
