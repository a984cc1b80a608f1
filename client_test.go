package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
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

func TestEcho(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.InState(t, c, apigws.StateOpen)
		if err := c.Err(); err != nil {
			t.Fatalf("Err of a client that lives: %v", err)
		}
		clienttest.Write(t, c, "hello")
		if got := clienttest.Read(t, c); got != "hello" {
			t.Fatalf("Read = %q", got)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		clienttest.InState(t, c, apigws.StateClosed)
		s := c.Stats()
		if s.MessagesSent != 1 || s.MessagesReceived != 1 || s.BytesSent != 5 || s.BytesReceived != 5 ||
			s.Connects != 1 || s.Generation != 1 || s.Unconfirmed != 0 || s.Unread != 0 {
			t.Errorf("Stats = %+v", s)
		}
		if got := gw.Stats().Closed; got[1000] != 1 || len(got) != 1 {
			t.Errorf("connections were closed with %v, want one with 1000", got)
		}
	})
}

func TestJSON(t *testing.T) {
	type order struct {
		Action string `json:"action"`
		N      int    `json:"n"`
	}
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		if err := c.WriteJSON(t.Context(), order{"buy", 3}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := clienttest.Texts(clienttest.Only(t, gw)); !slices.Equal(got, []string{`{"action":"buy","n":3}`}) {
			t.Fatalf("the gateway has %q", got)
		}
		var got order
		if err := c.ReadJSON(t.Context(), &got); err != nil || got != (order{"buy", 3}) {
			t.Fatalf("ReadJSON: %+v, %v", got, err)
		}
		if err := c.WriteJSON(t.Context(), func() {}); err == nil {
			t.Error("a func has no JSON, and WriteJSON says nothing")
		}
		// What is not the JSON that was hoped for is taken all the same.
		clienttest.Write(t, c, "no JSON")
		clienttest.Write(t, c, "next")
		if err := c.ReadJSON(t.Context(), &got); err == nil {
			t.Error("ReadJSON made something of no JSON")
		}
		if got := clienttest.Read(t, c); got != "next" {
			t.Errorf("Read = %q, want what followed", got)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// Once a message is under way, cancelling its Write changes nothing: it
// arrives whole, and so does what follows. A Write that still waits for its
// turn ends with ErrNotSent, and its message stays at home.
func TestWriteCancelled(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		conn.FreezeIn(true) // the path holds 64 KiB, and then takes no more

		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 3)
		send := func(b byte, size int) {
			go func() { results <- c.Write(ctx, []byte(strings.Repeat(string(b), size))) }()
			synctest.Wait()
		}
		send('a', 100<<10) // under way
		send('b', 100<<10) // in the batch that leaves next, which is full with it
		send('c', 10)      // waits for room
		clienttest.Sleep(time.Second)
		cancel()
		synctest.Wait()
		if err := <-results; !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, context.Canceled) {
			t.Fatalf("the Write that waited for room: %v, want ErrNotSent and context.Canceled", err)
		}
		if len(results) != 0 {
			t.Fatalf("a Write under way was given up: %v", <-results)
		}
		conn.FreezeIn(false)
		for range 2 {
			if err := <-results; err != nil {
				t.Fatalf("a Write under way: %v", err)
			}
		}
		clienttest.Write(t, c, "after")
		synctest.Wait()
		got := clienttest.Texts(conn)
		if len(got) != 3 || got[0] != strings.Repeat("a", 100<<10) || got[1] != strings.Repeat("b", 100<<10) || got[2] != "after" {
			t.Errorf("%d messages arrived, want the two that were under way, whole, and the next", len(got))
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// A Write that waits for a connection ends with its context.
func TestWriteCancelledInBackoff(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Minute)})
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Second)
		clienttest.InState(t, c, apigws.StateBackoff)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := c.Write(ctx, []byte("never"))
		if !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write: %v, want ErrNotSent and DeadlineExceeded", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Write took %v", took)
		}
		clienttest.Write(t, c, "later") // waits for the next connection
		synctest.Wait()
		if got := clienttest.Texts(clienttest.Only(t, gw)); !slices.Equal(got, []string{"later"}) {
			t.Errorf("the gateway has %q", got)
		}
		clienttest.Accepted(t, gw, 2)
	})
}

// A Ping that is given up costs nothing either.
func TestPingCancelled(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Ping: %v", err)
		}
		clienttest.Write(t, c, "still here")
		if got := clienttest.Read(t, c); got != "still here" {
			t.Fatalf("Read = %q", got)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

func TestPing(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: 70 * time.Millisecond})
		c := clienttest.Dial(t, gw, nil)
		rtt, err := c.Ping(t.Context())
		if err != nil || rtt != 70*time.Millisecond {
			t.Fatalf("Ping = %v, %v", rtt, err)
		}
		synctest.Wait()
		if s := c.Stats(); s.RTT != rtt || s.Pings != 1 || s.Pongs != 1 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// Many writers at once: every message arrives once and whole, those of each
// writer in order.
func TestConcurrentWriters(t *testing.T) {
	const writers, each = 16, 200
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					msg := fmt.Sprintf("%d %d %s", w, i, strings.Repeat("x", rand.N(3000)))
					if err := c.Write(t.Context(), []byte(msg)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var next [writers]int
		for _, msg := range clienttest.Texts(clienttest.Only(t, gw)) {
			var w, i int
			if _, err := fmt.Sscan(msg, &w, &i); err != nil || i != next[w] {
				t.Fatalf("%.20q came, want number %d of writer %d: %v", msg, next[w], w, err)
			}
			next[w]++
		}
		for w, n := range next {
			if n != each {
				t.Errorf("%d messages of writer %d arrived, want %d", n, w, each)
			}
		}
	})
}

// Whoever uses the default client of net/http gets no redirects either; the
// caller's own client is left as it was.
func TestHTTPClientUntouched(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		own := &http.Client{Transport: gw.Client().Transport}
		clienttest.Dial(t, gw, &apigws.Options{HTTPClient: own})
		if own.CheckRedirect != nil || own.Transport != gw.Client().Transport || own.Timeout != 0 || own.Jar != nil {
			t.Error("Dial has changed the http.Client that it was given")
		}
	})
}

func TestStateString(t *testing.T) {
	for s, want := range map[apigws.State]string{
		apigws.StateConnecting: "connecting", apigws.StateOpen: "open", apigws.StateBackoff: "backoff", apigws.StateClosed: "closed", 9: "State(9)",
	} {
		if got := s.String(); got != want {
			t.Errorf("State(%d) = %q", int(s), got)
		}
	}
}

// Once Close was called, nothing is written any more; the client has ended when Close returns.
func TestWriteWhileClosing(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: time.Second})
		clienttest.Write(t, c, "x")
		go c.Close()
		clienttest.Sleep(time.Second / 2)
		start := time.Now()
		err := c.Write(t.Context(), []byte("late"))
		if !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, apigws.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("Write = %v after %v, want ErrClosed at once", err, time.Since(start))
		}
		if err := c.Err(); err != nil {
			t.Errorf("Err = %v before the end", err)
		}
		<-c.Done()
		if err := c.Err(); err != apigws.ErrClosed {
			t.Errorf("Err = %v, want ErrClosed", err)
		}
	})
}

// Ready tells the end of its context alone if nothing has failed, and why the client has ended
// alone if it has.
func TestReadyTellsOneReason(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		gw.Hold(true)
		c := clienttest.New(t, gw, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ready(ctx); err != context.DeadlineExceeded {
			t.Errorf("Ready = %v, want the end of its context", err)
		}
		gw.Hold(false)
		gw.Refuse(404, -1)
		var refused *apigws.HandshakeError
		err := clienttest.New(t, gw, nil).Ready(t.Context())
		if !errors.As(err, &refused) || strings.Contains(err.Error(), "last failure") {
			t.Errorf("Ready = %v, want the 404", err)
		}
	})
}
