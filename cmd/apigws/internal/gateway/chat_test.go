package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
)

func TestChat(t *testing.T) {
	room := new(chat)
	s := gatewaytest.NewServer(&gatewaytest.Config{Backend: room.handle})
	defer s.Close()
	room.gateway.Store(s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	join := func() (*websocket.Conn, string) {
		c, _, err := websocket.Dial(ctx, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		conns := s.Conns()
		return c, conns[len(conns)-1].ID()
	}
	want := func(c *websocket.Conn, text string) {
		t.Helper()
		if _, msg, err := c.Read(ctx); err != nil || string(msg) != text {
			t.Fatalf("%q, %v, want %q", msg, err, text)
		}
	}
	alice, aliceID := join()
	bob, bobID := join()
	want(alice, bobID+" joined")
	if err := alice.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	want(alice, aliceID+": hello")
	want(bob, aliceID+": hello")
	bob.Close(websocket.StatusNormalClosure, "")
	want(alice, bobID+" left")
}
