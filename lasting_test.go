package apigws_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Only some close codes say that the gateway minds a message. After any other loss it is sent
// again.
func TestCloseCodesThatReject(t *testing.T) {
	for code, rejected := range map[int]bool{
		1000: false, 1001: false, 1002: true, 1003: true, 1005: false, 1007: true, 1008: false, 1009: true, 1011: false, 1012: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			peer := newRawPeer()
			c := newRaw(t, peer, &apigws.Options{Resend: 1 << 10, Reconnect: clienttest.Every(time.Second)})
			peer.do(func() { peer.conns[0].silent = true })
			clienttest.Write(t, c, "x")
			frame := []byte{0x88, 2, byte(code >> 8), byte(code)}
			if code == 1005 {
				frame = []byte{0x88, 0}
			}
			peer.do(func() { peer.conns[0].out.Write(frame) })
			clienttest.Sleep(5 * time.Second)
			if err := c.Flush(t.Context()); (err != nil) != rejected {
				t.Errorf("Flush after a CLOSE with %d = %v", code, err)
			}
			want := []string{"x"}
			if rejected {
				want = nil
			}
			peer.do(func() { clienttest.Equal(t, "on the next", peer.conns[1].texts, want) })
		})
	}
}

// A connection that answers no PING while messages are sent again one by one is given up: nothing
// is written on it behind them.
func TestResendOneByOneWithoutPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		opts := &apigws.Options{Resend: 1 << 10, Reconnect: clienttest.Every(time.Second)}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				peer.do(func() { peer.conns[1].pongs = 1 }) // that OnConnect is followed by
			}
			return nil
		}
		c := newRaw(t, peer, opts)
		peer.do(func() { peer.conns[0].silent = true })
		clienttest.Write(t, c, "1", "2")
		peer.do(func() { peer.conns[0].out.Write([]byte{0x88, 2, 1009 >> 8, 1009 & 0xff}) })
		clienttest.Sleep(5 * time.Second)
		peer.do(func() { peer.conns[1].out.Write([]byte{0x81, 1, 'x'}) }) // so that it is not dead
		clienttest.Write(t, c, "3")
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v", err)
		}
		peer.do(func() {
			clienttest.Equal(t, "on the second", peer.conns[1].texts, []string{"1"})
			clienttest.Equal(t, "on the third", peer.conns[2].texts, []string{"1", "2", "3"})
		})
	})
}

// The room that a wait makes for messages that nobody reads goes when the wait is over.
func TestRoomIsNarrowAfterwards(t *testing.T) {
	for name, wait := range map[string]func(t *testing.T, c *apigws.Client) error{
		"Flush": func(t *testing.T, c *apigws.Client) error { return c.Flush(t.Context()) },
		"rotation": func(t *testing.T, c *apigws.Client) error {
			defer clienttest.Sleep(time.Minute) // for the close handshake with the old connection
			return c.Rotate(t.Context())
		},
	} {
		for _, resend := range []int{0, 1000} {
			clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
				c := clienttest.Dial(t, gw, &apigws.Options{Resend: resend})
				clienttest.Write(t, c, "x")
				if err := wait(t, c); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				conn := clienttest.Only(t, gw)
				for range 1000 {
					conn.Send([]byte("y"))
				}
				clienttest.Sleep(time.Second)
				if got := c.Stats().Unread; got > 65 {
					t.Errorf("%s, Resend %d: %d messages wait, want 64", name, resend, got)
				}
			})
		}
	}
}

// Dial returns when its context ends, although the client has failed before and OnState has not
// returned from hearing of it.
func TestDialFailsWhileOnStateBlocks(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		release := make(chan struct{})
		gw.Refuse(404, -1)
		start := time.Now()
		_, err := clienttest.TryDial(t, gw, time.Second, &apigws.Options{OnState: func(*apigws.Client, apigws.StateChange) { <-release }})
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) || time.Since(start) != time.Second {
			t.Errorf("Dial = %v after %v, want the 404 at the end of its context", err, time.Since(start))
		}
		close(release)
	})
}

// A Write that waits for room in the window does so for as long as there is no connection: it gives
// up only if messages that nobody reads are in the way.
func TestWriteWaitsForRoomThroughAnOutage(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000, Reconnect: clienttest.Every(time.Minute)})
		gw.Refuse(503, -1)
		conn := clienttest.Only(t, gw)
		conn.FreezeOut(true)
		clienttest.Write(t, c, strings.Repeat("a", 1000))
		conn.Drop()
		time.AfterFunc(10*time.Minute, func() { gw.Refuse(0, 0) })
		clienttest.Write(t, c, "b")
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A Conn whose OnConnect has returned takes no message any more, although the connection is not
// open yet: with Resend, a PONG is awaited first.
func TestConnIsUselessBeforeItsConnectionIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		opts := &apigws.Options{Resend: 1 << 10}
		var late *apigws.Conn
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				late = conn
				peer.do(func() {
					peer.conns[1].silent = true
					peer.conns[1].out.Write([]byte{0x81, 1, 'x'})
				})
			}
			return nil
		}
		c := newRaw(t, peer, opts)
		go c.Rotate(t.Context())
		clienttest.Sleep(time.Second)
		if p, err := late.Read(t.Context()); err == nil {
			t.Errorf("Read = %q of a Conn whose hook has returned", p)
		}
		c.Close()
		if got := clienttest.Read(t, c); got != "x" {
			t.Errorf("Read = %q", got)
		}
	})
}

// What a connection brings is read as soon as it is open, also while messages are sent again: a
// peer that takes nothing until its own messages are taken does not stand still with a client that
// does so.
func TestReadsWhileResending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		opts := &apigws.Options{Resend: 1 << 20, Reconnect: clienttest.Every(time.Second), WriteTimeout: time.Hour}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				peer.do(func() { peer.conns[1].after = []byte(strings.Repeat("\x81\x01x", 1000)) })
			}
			return nil
		}
		c := newRaw(t, peer, opts)
		go func() {
			for range c.Messages(t.Context()) {
			}
		}()
		peer.do(func() { peer.conns[0].silent = true })
		clienttest.Write(t, c, "1", "2")
		peer.do(func() { peer.conns[0].ended = true })
		clienttest.Sleep(5 * time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		clienttest.Sleep(0)
		if got := c.Stats().MessagesReceived; got != 1000 {
			t.Errorf("%d messages received", got)
		}
	})
}
