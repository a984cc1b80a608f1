package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Write waits while the window is full of unconfirmed bytes.
func TestResendWindow(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000})
		conn := clienttest.Only(t, gw)
		conn.FreezeOut(true)
		clienttest.Write(t, c, strings.Repeat("a", 600), strings.Repeat("b", 400))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Write(ctx, []byte("c")); !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write with a full window = %v", err)
		}
		written := make(chan error, 1)
		go func() { written <- c.Write(t.Context(), []byte(strings.Repeat("d", 10000))) }() // as large as it likes, alone
		time.Sleep(5 * time.Second)
		if n := len(conn.Received()); n != 2 || len(written) != 0 {
			t.Errorf("%d messages while the window is full, want 2", n)
		}
		conn.FreezeOut(false)
		if err := <-written; err != nil {
			t.Error(err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(conn.Received()); n != 3 || c.Unconfirmed() != nil {
			t.Errorf("%d messages received, %d unconfirmed", n, len(c.Unconfirmed()))
		}
	})
}

// One PING a round trip confirms everything that was written meanwhile.
func TestResendConfirmsInBatches(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		const n = 1000
		gw.SetFaults(gatewaytest.Faults{Latency: 100 * time.Millisecond})
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20})
		before := gw.Stats().Pings // that of Dial
		for i := range n {
			clienttest.Write(t, c, fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		// When a PONG arrives, the next PING goes out, and perhaps another with a
		// message that comes at the same moment.
		if pings := gw.Stats().Pings - before; pings < 10 || pings > 22 {
			t.Errorf("%d PINGs for %d messages in a second of 100 ms round trips, want one or two a round trip", pings, n)
		}
		if got := gw.Stats().Messages; got != n {
			t.Errorf("%d messages received, want %d", got, n)
		}
	})
}

// What a break left unconfirmed goes out first and in order, before what is
// written afterwards.
func TestResendComesFirst(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := apigws.Options{Resend: 1 << 20}
		c := clienttest.Dial(t, gw, &opts)
		clienttest.Write(t, c, "0", "1")
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, "2", "3", "4")
		gw.Refuse(500, 3)
		clienttest.Only(t, gw).Drop()
		synctest.Wait()
		clienttest.Write(t, c, "5", "6")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.Flush(ctx); err != nil {
			t.Error(err)
		}
		all := gw.AllConns()
		clienttest.Equal(t, "first connection", clienttest.Texts(all[0]), []string{"0", "1"})
		clienttest.Equal(t, "second connection", clienttest.Texts(all[1]), []string{"2", "3", "4", "5", "6"})
		if s := c.Stats(); s.MessagesResent != 3 || s.Unconfirmed != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// A message for which the gateway closes connections is found, told of, and
// never sent a third time; the others are delivered.
func TestResendLeavesOutWhatIsRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits apigws.Limits
		before int // messages beside it
	}{
		{"message of 200 KiB, alone", apigws.Limits{Message: 1 << 20}, 0},
		{"message of 200 KiB among others", apigws.Limits{Message: 1 << 20}, 3},
		{"frame of 200 KiB among others", apigws.Limits{Message: 1 << 20, Frame: 1 << 20}, 3},
	} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			opts := apigws.Options{Resend: 1 << 20, Limits: test.limits}
			c := clienttest.Dial(t, gw, &opts)
			bad := strings.Repeat("x", 200<<10)
			clienttest.Only(t, gw).FreezeIn(true) // so that none is confirmed before
			clienttest.Write(t, c, clienttest.Numbered("a", test.before)...)
			unfrozen := make(chan struct{})
			go func() {
				defer close(unfrozen)
				time.Sleep(time.Second)
				clienttest.Only(t, gw).FreezeIn(false)
			}()
			clienttest.Write(t, c, bad)
			clienttest.Write(t, c, clienttest.Numbered("b", test.before)...)
			<-unfrozen
			err := c.Flush(t.Context())
			var closed *apigws.CloseError
			if !errors.Is(err, apigws.ErrUnconfirmed) || !errors.As(err, &closed) || closed.Code != 1009 {
				t.Errorf("%s: Flush = %v, want the 1009", test.name, err)
			}
			if err := c.Flush(t.Context()); err != nil {
				t.Errorf("%s: Flush told it again: %v", test.name, err)
			}
			clienttest.Write(t, c, "after")
			if err := c.Flush(t.Context()); err != nil {
				t.Errorf("%s: Flush: %v", test.name, err)
			}
			want := slices.Concat(clienttest.Numbered("a", test.before), clienttest.Numbered("b", test.before), []string{"after"})
			clienttest.Equal(t, test.name, clienttest.Firsts(clienttest.Received(gw)), want)
			if n := gw.Stats().Closed[1009]; n != min(2, 1+test.before) {
				t.Errorf("%s: sent %d times", test.name, n)
			}
			c.Close()
			if left := c.Unconfirmed(); len(left) != 1 || string(left[0]) != bad {
				t.Errorf("%s: %d messages in Unconfirmed, want the one that was refused", test.name, len(left))
			}
		})
	}
}

// Two refused messages in one window are both found.
func TestResendLeavesOutTwo(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := apigws.Options{Resend: 1 << 20, Limits: apigws.Limits{Message: 1 << 20}}
		c := clienttest.Dial(t, gw, &opts)
		bad := strings.Repeat("x", 200<<10)
		clienttest.Write(t, c, "1", bad, "2", bad+"y", "3")
		err := c.Flush(t.Context())
		if !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "2 messages") {
			t.Errorf("Flush = %v, want 2 messages", err)
		}
		clienttest.Equal(t, "received", clienttest.Firsts(clienttest.Received(gw)), []string{"1", "2", "3"})
		if n := gw.Stats().Closed[1009]; n > 4 {
			t.Errorf("they were sent %d times in all", n)
		}
	})
}

// Resend does not pretend on a gateway that answers no PING.
func TestResendNeedsPongs(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		start := time.Now()
		_, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Resend: 1})
		if !errors.Is(err, apigws.ErrNoPong) || !strings.Contains(err.Error(), "Options.Resend needs a gateway that answers PINGs") {
			t.Errorf("Dial = %v", err)
		}
		// Two connections, each with Keepalive.Timeout, and the first wait.
		if took := time.Since(start); took < 20*time.Second || took > 20*time.Second+500*time.Millisecond {
			t.Errorf("Dial took %v", took)
		}
		synctest.Wait()
		if s := gw.Stats(); s.Accepted != 2 || len(gw.Conns()) != 0 {
			t.Errorf("%d connections made, %d left open", s.Accepted, len(gw.Conns()))
		}
	})
}

// A connection that breaks before its first PONG says nothing about whether the gateway answers
// PINGs.
func TestResendOnConnectionsThatBreak(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: time.Second})
		clienttest.Dial(t, gw, &apigws.Options{
			Resend:    1000,
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() < 5 {
					time.AfterFunc(time.Millisecond, gw.Conns()[0].Drop)
				}
				return nil
			},
		})
		clienttest.Accepted(t, gw, 5)
	})
}

// A gateway that has answered one PING answers PINGs: connections that do not are lost, however
// many they are.
func TestResendOutlastsSilentConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		opts := &apigws.Options{Resend: 1 << 10, Reconnect: clienttest.Every(time.Second)}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			n := conn.Generation()
			peer.do(func() { peer.conns[n-1].silent = 1 < n && n < 5 })
			return nil
		}
		c := newRaw(t, peer, opts)
		peer.do(func() { peer.conns[0].ended = true })
		clienttest.Sleep(time.Minute) // three times a second's wait and Keepalive.Timeout, and a wait
		clienttest.InState(t, c, apigws.StateOpen)
		if s := c.Stats(); s.Generation != 5 || s.ConnectErrors != 3 {
			t.Errorf("connection %d is in use after %d failures, want 5 after 3", s.Generation, s.ConnectErrors)
		}
	})
}

// A connection that brings more than the client keeps for Read, before it is
// open, has the PONG on which Resend depends behind all that.
func TestResendBehindABacklog(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20, OnConnect: func(context.Context, *apigws.Conn) error {
			for i := range 100 { // what a backend answers to "subscribe"
				gw.Conns()[0].Send(fmt.Append(nil, i))
			}
			return nil
		}})
		clienttest.Accepted(t, gw, 1)
		for i := range 100 {
			if got := clienttest.Read(t, c); got != fmt.Sprint(i) {
				t.Fatalf("Read = %q, want %d", got, i)
			}
		}
	})
}

// The same where each message that is sent again waits for its PONG.
func TestCarefulResendBehindABacklog(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: 10 * time.Millisecond})
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20, Reconnect: clienttest.Every(time.Second), OnConnect: func(context.Context, *apigws.Conn) error {
			conn := gw.Conns()[len(gw.Conns())-1]
			time.AfterFunc(5*time.Millisecond, func() { conn.Send([]byte("push")) })
			return nil
		}})
		conn := clienttest.Only(t, gw)
		for range 63 {
			conn.Send([]byte("unread"))
		}
		clienttest.Sleep(time.Second)
		conn.FreezeIn(true)
		clienttest.Write(t, c, "a", "b")
		conn.Close(1009, "")
		clienttest.Sleep(200 * time.Second)
		clienttest.Accepted(t, gw, 2)
		clienttest.Equal(t, "the gateway has", clienttest.Texts(clienttest.Only(t, gw)), []string{"a", "b"})
	})
}

// Room in the window is given to those who wait for it in turn: a large message
// is not overtaken for ever by small ones.
func TestResendWindowIsFair(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: 50 * time.Millisecond})
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		var small sync.WaitGroup
		for range 20 {
			small.Go(func() {
				for c.Write(ctx, make([]byte, 100)) == nil {
				}
			})
		}
		clienttest.Sleep(time.Second)
		start := time.Now()
		clienttest.Write(t, c, strings.Repeat("x", 1000))
		// 20 messages before it, 10 to a window; each window takes a round trip.
		if took := time.Since(start); took > time.Second {
			t.Errorf("the large message waited for %v", took)
		}
		cancel()
		small.Wait()
	})
}

// A Write that has room in the window does not wait, so it takes in nothing that nobody reads.
func TestResendWithRoomTakesNothingIn(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20})
		conn := clienttest.Only(t, gw)
		for range 200 {
			conn.Send([]byte("unread"))
		}
		clienttest.Sleep(time.Second)
		before := c.Stats().Unread
		for range 50 {
			clienttest.Write(t, c, "x")
			synctest.Wait()
		}
		if after := c.Stats().Unread; after != before || after >= 200 {
			t.Errorf("%d messages wait for Read, %d before the writes", after, before)
		}
	})
}

// Close refuses a Write that waits for room in the window at once, although room may come while it
// closes.
func TestCloseWhileAWriteWaitsForRoom(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 100})
		clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: time.Second})
		clienttest.Write(t, c, strings.Repeat("x", 100))
		written := make(chan error)
		go func() { written <- c.Write(t.Context(), []byte("y")) }()
		synctest.Wait()
		start := time.Now()
		go c.Close()
		err := <-written
		if !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, apigws.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("Write = %v after %v, want ErrClosed at once", err, time.Since(start))
		}
	})
}

// A Write that has waited for room takes as much of it as its message needs.
func TestResendWindowAfterAWait(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000})
		large := strings.Repeat("x", 600)
		clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: 2 * time.Second})
		clienttest.Write(t, c, large, large) // the second waits for the PONG behind the first
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Write(ctx, []byte(large)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write with a full window = %v", err)
		}
	})
}

// A Write that gives up gives back the room that it had in the window.
func TestResendWindowAfterWritesInVain(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000, Reconnect: clienttest.Every(time.Minute)})
		clienttest.Only(t, gw).Drop()
		synctest.Wait()
		large := []byte(strings.Repeat("x", 1000))
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := c.Write(ctx, large); !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Write without a connection = %v", err)
			}
			cancel()
		}
		clienttest.Write(t, c, string(large))
	})
}

// What is sent again does not wait for one PONG after the other, as long as the gateway has not
// objected to any of it.
func TestResendAllAtOnce(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: time.Second})
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000, Reconnect: clienttest.Every(time.Second)})
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, clienttest.Numbered("", 10)...)
		start := time.Now()
		clienttest.Only(t, gw).Drop()
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		// The wait, the handshake, the PING that proves that the gateway answers any, and that of
		// the messages.
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A connection that breaks under what is sent again leaves the rest of it to the next one.
func TestResendBreaksOff(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var network clienttest.Brittle
		opts := &apigws.Options{Resend: 1000, Reconnect: clienttest.Every(time.Second)}
		opts.HTTPClient = network.Client(gw)
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				network.BreakAfter(onWire(len("1"), 8) + 40) // the first of them, and PINGs
			}
			return nil
		}
		c := clienttest.Dial(t, gw, opts)
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, "1", strings.Repeat("2", 100), "3")
		clienttest.Only(t, gw).Drop()
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if n := c.Stats().MessagesResent; n != 1+3 {
			t.Errorf("%d messages were sent again, want 1 and then 3", n)
		}
		clienttest.Accepted(t, gw, 3)
	})
}

// Flush waits longer than Keepalive.Timeout for the next connection, also where error frames have a
// queue of their own: it gives up only if one of the queues is full.
func TestFlushWaitsForTheNextConnection(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{
			Resend:         1 << 10,
			Reconnect:      clienttest.Every(time.Minute),
			OnGatewayError: func(*apigws.Client, *apigws.GatewayError) {},
		})
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, "x")
		clienttest.Only(t, gw).Drop()
		start := time.Now()
		if err := c.Flush(t.Context()); err != nil || time.Since(start) < time.Minute {
			t.Errorf("Flush = %v after %v", err, time.Since(start))
		}
	})
}
