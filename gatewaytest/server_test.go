package gatewaytest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
)

// dial connects to s and closes the connection with the test.
func dial(t *testing.T, s *gatewaytest.Server) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return c
}

func echo(t *testing.T, c *websocket.Conn, msg string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
		t.Fatal(err)
	}
	_, got, err := c.Read(ctx)
	if err != nil || string(got) != msg {
		t.Fatalf("echo of %q: %q, %v", msg, got, err)
	}
}

func TestNetworks(t *testing.T) {
	for name, start := range map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"TCP": gatewaytest.NewServer, "TLS": gatewaytest.NewTLSServer, "memory": gatewaytest.NewInMemory,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(nil)
			defer s.Close()
			c := dial(t, s)
			echo(t, c, "hello")
			if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
				t.Errorf("close handshake: %v", err)
			}
		})
	}
}

func TestIdleCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gatewaytest.NewInMemory(nil)
		defer s.Close()
		c := dial(t, s)
		time.Sleep(time.Minute)
		echo(t, c, "hello")
		time.Sleep(2*time.Minute - 1)
		synctest.Wait()
		if n := len(s.Conns()); n != 1 {
			t.Fatalf("%d connections before the cut", n)
		}
		time.Sleep(2)
		synctest.Wait()
		if n := len(s.Conns()); n != 0 {
			t.Fatalf("%d connections after the cut", n)
		}
		_, _, err := c.Read(t.Context())
		if websocket.CloseStatus(err) != 1001 {
			t.Error(err)
		}
	})
}
