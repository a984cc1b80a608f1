package gatewaytest

import (
	"context"
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
