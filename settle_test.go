package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
	"github.com/gobwas/ws"
)

// newRaw makes a client of a peer, and waits until it is open.
func newRaw(t *testing.T, peer *rawPeer, opts *apigws.Options) *apigws.Client {
	t.Helper()
	opts.HTTPClient = &http.Client{Transport: peer}
	c, err := apigws.Dial(t.Context(), "wss://peer.example", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A PONG that has come in before its connection was lost counts, although the reader has not got to
// it yet: what it acknowledges is not sent again. So the next connection waits until the lost one
// is settled.
func TestResendWaitsForTheLastPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		opts := &apigws.Options{Resend: 1 << 10, Reconnect: clienttest.Every(time.Second)}
		opts.Keepalive.IsReply = func([]byte) bool { time.Sleep(20 * time.Second); return false }
		c := newRaw(t, peer, opts)
		peer.do(func() { peer.before = []byte{0x81, 1, 'x'} }) // which holds the reader up
		clienttest.Write(t, c, "1")
		clienttest.Sleep(time.Second)
		peer.do(func() { peer.conns[0].broken = true })
		clienttest.Write(t, c, "2")
		clienttest.Sleep(5 * time.Second)
		if c.State() == apigws.StateOpen {
			t.Error("the next connection is open before the lost one is settled")
		}
		clienttest.Sleep(20 * time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		peer.do(func() {
			clienttest.Equal(t, "on the first", peer.conns[0].texts, []string{"1"})
			clienttest.Equal(t, "on the next", peer.conns[1].texts, []string{"2"})
		})
	})
}

// Close returns when all streams are closed, also those of a connection that has been replaced and
// of one that is being replaced: it leaves them to the peer for a moment, and then closes them.
func TestCloseReturnsWhenStreamsAreClosed(t *testing.T) {
	for _, when := range []string{"open", "draining", "rotating"} {
		synctest.Test(t, func(t *testing.T) {
			peer := newRawPeer()
			opts := &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 2 && when == "rotating" {
					<-ctx.Done()
				}
				return nil
			}}
			c := newRaw(t, peer, opts)
			switch when {
			case "draining":
				clienttest.Rotate(t, c)
				peer.do(func() { peer.conns[1].polite = true }) // so that Close waits for the other one
			case "rotating":
				go c.Rotate(t.Context())
				synctest.Wait()
			}
			if err := c.Close(); err != nil {
				t.Errorf("%s: Close = %v", when, err)
			}
			peer.do(func() {
				for i, conn := range peer.conns {
					if !conn.closed {
						t.Errorf("%s: Close has returned, and stream %d of %d is open", when, i+1, len(peer.conns))
					}
				}
			})
		})
	}
}

// What a connection brought that had no time to be opened can be read after Close, however much
// waits.
func TestEarlyMessagesAfterClose(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second),
			OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 1 {
					return nil
				}
				for i := range 10 {
					gw.Conns()[0].Send(fmt.Append(nil, "early", i))
				}
				<-ctx.Done()
				return ctx.Err()
			}})
		conn := clienttest.Only(t, gw)
		for i := range 64 { // as many as wait in normal times
			conn.Send(fmt.Append(nil, "first", i))
		}
		synctest.Wait()
		conn.Drop()
		clienttest.Sleep(2 * time.Second)
		c.Close()
		var got []string
		for p, err := range c.Messages(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(p))
		}
		clienttest.Equal(t, "read", got, append(clienttest.Numbered("first", 64), clienttest.Numbered("early", 10)...))
	})
}

// Close does not wait for a path that hardly takes what is sent again.
func TestCloseWhileResending(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{Resend: 1 << 20, Reconnect: clienttest.Every(time.Second), WriteTimeout: time.Hour}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				gw.Conns()[0].SetFaults(gatewaytest.Faults{RateIn: 1 << 10})
			}
			return nil
		}
		c := clienttest.Dial(t, gw, opts)
		conn := clienttest.Only(t, gw)
		conn.FreezeOut(true)
		for range 5 {
			clienttest.Write(t, c, strings.Repeat("x", 100<<10))
		}
		conn.Drop()
		clienttest.Sleep(10 * time.Second)
		start := time.Now()
		err := c.Close()
		if !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "5 messages") || time.Since(start) > 5*time.Second {
			t.Errorf("Close = %v after %v, want 5 unconfirmed messages within CloseTimeout", err, time.Since(start))
		}
		if n := c.Stats().LostNetwork; n != 1 {
			t.Errorf("%d connections count as lost, want 1: Close has ended the other", n)
		}
	})
}

// Once all has been sent again one by one, nothing is known any more of the messages that follow:
// when the gateway closes for one of those, none is given up before they were sent one by one, too.
func TestSuspicionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		c := newRaw(t, peer, &apigws.Options{Resend: 1 << 10, Reconnect: clienttest.Every(time.Second)})
		for i, two := range [][]string{{"1", "2"}, {"3", "4"}} {
			peer.do(func() { peer.conns[i].silent = true })
			clienttest.Write(t, c, two...)
			clienttest.Sleep(time.Second)
			peer.do(func() {
				peer.conns[i].out.Write([]byte{0x88, 2, 1009 >> 8, 1009 & 0xff})
			})
			clienttest.Sleep(5 * time.Second)
			clienttest.InState(t, c, apigws.StateOpen)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v: a message was given up that the gateway may not have minded", err)
		}
		peer.do(func() {
			for i, want := range [][]string{{"1", "2"}, {"1", "2", "3", "4"}, {"3", "4"}} {
				clienttest.Equal(t, fmt.Sprint("on ", i), peer.conns[i].texts, want)
			}
		})
	})
}

// A Flush that began before a rotation ends with it, also when its own PONG is lost with the old
// connection: what it asks for was acknowledged by the one that the rotation has waited for.
func TestFlushAcrossARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		c := newRaw(t, peer, &apigws.Options{})
		peer.do(func() { peer.conns[0].silent = true })
		clienttest.Write(t, c, "x")
		flushed := make(chan error, 1)
		go clienttest.Rotate(t, c)
		clienttest.Sleep(time.Second)
		go func() { flushed <- c.Flush(t.Context()) }()
		clienttest.Sleep(time.Second)
		peer.do(func() {
			old := peer.conns[0]
			if len(old.pings) != 2 {
				t.Fatalf("%d PINGs, want that of the rotation and that of Flush", len(old.pings))
			}
			ws.WriteFrame(&old.out, ws.NewPongFrame(old.pings[0]))
		})
		clienttest.Sleep(time.Second)
		peer.do(func() { peer.conns[0].ended = true })
		clienttest.Sleep(time.Second)
		select {
		case err := <-flushed:
			if err != nil {
				t.Errorf("Flush = %v", err)
			}
		default:
			t.Error("Flush has not returned")
		}
	})
}

// The context of Flush also ends its wait for what a lost connection has left to read.
func TestFlushCancelledBeforeSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
		opts.Keepalive.IsReply = func([]byte) bool { time.Sleep(time.Minute); return false }
		c := newRaw(t, peer, opts)
		peer.do(func() { peer.before = []byte{0x81, 1, 'x'} }) // which holds the reader up
		go c.Ping(t.Context())
		clienttest.Sleep(time.Second)
		clienttest.Write(t, c, "1")
		peer.do(func() { peer.conns[0].broken = true })
		go c.Write(t.Context(), []byte("2"))
		clienttest.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := c.Flush(ctx)
		if !errors.Is(err, apigws.ErrUnconfirmed) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Flush = %v after %v, want the end of its context after 1s", err, time.Since(start))
		}
		if err := c.Flush(t.Context()); !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "1 messages") {
			t.Errorf("Flush = %v, want the message that was lost", err)
		}
	})
}

// Writers need not wait until the stream of a lost connection is closed, which is left to the
// gateway for a moment: the next connection is in use before.
func TestNextConnectionDoesNotWaitForAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		c := newRaw(t, peer, &apigws.Options{Reconnect: clienttest.Every(10 * time.Millisecond)})
		peer.do(func() { peer.conns[0].out.Write([]byte{0x88, 2, 1001 >> 8, 1001 & 0xff}) })
		start := time.Now()
		synctest.Wait()
		clienttest.Write(t, c, "x")
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("Write waited for %v, want 10ms", took)
		}
		peer.do(func() {
			if peer.conns[0].closed {
				t.Error("the stream was closed at once: the test tests nothing")
			}
		})
	})
}
