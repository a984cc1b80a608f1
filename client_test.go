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
	"github.com/cenkalti/backoff/v4"
)

// inBubble runs f in a synctest bubble with a fake gateway in memory. The
// gateway goes last, so that clients can end politely.
func inBubble(t *testing.T, cfg *gatewaytest.Config, f func(t *testing.T, gw *gatewaytest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(cfg)
		t.Cleanup(gw.Close)
		f(t, gw)
	})
}

// dial connects a client and closes it when the test ends.
func dial(t *testing.T, gw *gatewaytest.Server, opts *apigws.Options) *apigws.Client {
	t.Helper()
	c, err := tryDial(t, gw, time.Hour, opts)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return c
}

// tryDial is dial for when that may fail.
func tryDial(t *testing.T, gw *gatewaytest.Server, limit time.Duration, opts *apigws.Options) (*apigws.Client, error) {
	t.Helper()
	var o apigws.Options
	if opts != nil {
		o = *opts
	}
	if o.HTTPClient == nil {
		o.HTTPClient = gw.Client()
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := apigws.Dial(ctx, gw.URL, &o)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// sleep lets time pass, and then everything happen that follows from it.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// read returns the next message. It waits for an hour at most: a test in a
// bubble that waits for ever is not found out while any timer runs.
func read(t *testing.T, c *apigws.Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	p, err := c.Read(ctx)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return string(p)
}

// write sends a message, for an hour at most.
func write(t *testing.T, c *apigws.Client, msg string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := c.Write(ctx, []byte(msg)); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

// line returns the gateway's end of the one open connection.
func line(t *testing.T, gw *gatewaytest.Server) *gatewaytest.Conn {
	t.Helper()
	conns := gw.Conns()
	if len(conns) != 1 {
		t.Fatalf("%d connections are open, want 1", len(conns))
	}
	return conns[0]
}

// accepted checks how many connections there have been.
func accepted(t *testing.T, gw *gatewaytest.Server, want int) {
	t.Helper()
	if got := gw.Stats().Accepted; got != want {
		t.Fatalf("the gateway has accepted %d connections, want %d", got, want)
	}
}

// inState checks where a client stands.
func inState(t *testing.T, c *apigws.Client, want apigws.State) {
	t.Helper()
	if got := c.State(); got != want {
		t.Fatalf("state is %v, want %v", got, want)
	}
}

// received returns the messages that came in on a connection.
func received(conn *gatewaytest.Conn) []string {
	var msgs []string
	for _, p := range conn.Received() {
		msgs = append(msgs, string(p))
	}
	return msgs
}

// silence is a backend that answers nothing.
func silence(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) { return nil, nil }

// every is a policy that always waits for d, so that instants are known.
func every(d time.Duration) apigws.Reconnect {
	return apigws.Reconnect{Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(d) }}
}

// A journal keeps what OnState was told.
type journal struct {
	mu      sync.Mutex
	changes []apigws.StateChange
}

func (j *journal) note(_ *apigws.Client, s apigws.StateChange) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changes = append(j.changes, s)
}

func (j *journal) all() []apigws.StateChange {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.changes)
}

// waits returns the times that the client announced to wait, in order.
func (j *journal) waits() []time.Duration {
	var ds []time.Duration
	for _, s := range j.all() {
		if s.To == apigws.StateBackoff {
			ds = append(ds, s.RetryIn)
		}
	}
	return ds
}

func TestEcho(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		inState(t, c, apigws.StateOpen)
		if err := c.Err(); err != nil {
			t.Fatalf("Err of a client that lives: %v", err)
		}
		write(t, c, "hello")
		if got := read(t, c); got != "hello" {
			t.Fatalf("Read = %q", got)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		inState(t, c, apigws.StateClosed)
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
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		if err := c.WriteJSON(t.Context(), order{"buy", 3}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := received(line(t, gw)); !slices.Equal(got, []string{`{"action":"buy","n":3}`}) {
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
		write(t, c, "no JSON")
		write(t, c, "next")
		if err := c.ReadJSON(t.Context(), &got); err == nil {
			t.Error("ReadJSON made something of no JSON")
		}
		if got := read(t, c); got != "next" {
			t.Errorf("Read = %q, want what followed", got)
		}
		accepted(t, gw, 1)
	})
}

// Once a message is under way, cancelling its Write changes nothing: it
// arrives whole, and so does what follows. A Write that still waits for its
// turn ends with ErrNotSent, and its message stays at home.
func TestWriteCancelled(t *testing.T) {
	inBubble(t, &gatewaytest.Config{Backend: silence}, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		conn := line(t, gw)
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
		sleep(time.Second)
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
		write(t, c, "after")
		synctest.Wait()
		got := received(conn)
		if len(got) != 3 || got[0] != strings.Repeat("a", 100<<10) || got[1] != strings.Repeat("b", 100<<10) || got[2] != "after" {
			t.Errorf("%d messages arrived, want the two that were under way, whole, and the next", len(got))
		}
		accepted(t, gw, 1)
	})
}

// A Write that waits for a connection ends with its context.
func TestWriteCancelledInBackoff(t *testing.T) {
	inBubble(t, &gatewaytest.Config{Backend: silence}, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Reconnect: every(time.Minute)})
		line(t, gw).Drop()
		sleep(time.Second)
		inState(t, c, apigws.StateBackoff)
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
		write(t, c, "later") // waits for the next connection
		synctest.Wait()
		if got := received(line(t, gw)); !slices.Equal(got, []string{"later"}) {
			t.Errorf("the gateway has %q", got)
		}
		accepted(t, gw, 2)
	})
}

// A Ping that is given up costs nothing either.
func TestPingCancelled(t *testing.T) {
	inBubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Ping: %v", err)
		}
		write(t, c, "still here")
		if got := read(t, c); got != "still here" {
			t.Fatalf("Read = %q", got)
		}
		accepted(t, gw, 1)
	})
}

func TestPing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: 70 * time.Millisecond})
		c := dial(t, gw, nil)
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
	inBubble(t, &gatewaytest.Config{Backend: silence}, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
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
		for _, msg := range received(line(t, gw)) {
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
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		own := &http.Client{Transport: gw.Client().Transport}
		dial(t, gw, &apigws.Options{HTTPClient: own})
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
