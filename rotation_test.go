package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// A ledger holds every connection that a client had, in order, because the
// gateway forgets those that have ended.
type ledger struct {
	mu    sync.Mutex
	conns []*gatewaytest.Conn
	gaps  []time.Duration
}

// keep makes opts note each connection before anything else happens on it.
func (l *ledger) keep(gw *gatewaytest.Server, opts *apigws.Options) {
	next := opts.OnConnect
	opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
		l.mu.Lock()
		if open := gw.Conns(); len(open) > 0 {
			newest := open[len(open)-1]
			if !slices.Contains(l.conns, newest) {
				l.conns = append(l.conns, newest)
			}
		}
		l.gaps = append(l.gaps, conn.Gap())
		l.mu.Unlock()
		if next != nil {
			return next(ctx, conn)
		}
		return nil
	}
}

func (l *ledger) all() []*gatewaytest.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.conns)
}

// received is what the gateway has received, connection by connection.
func (l *ledger) received() []string {
	var all []string
	for _, conn := range l.all() {
		for _, p := range conn.Received() {
			all = append(all, string(p))
		}
	}
	return all
}

// numbered returns prefix0, prefix1, ...
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

func mustWrite(t *testing.T, c *apigws.Client, msgs ...string) {
	t.Helper()
	for _, msg := range msgs {
		if err := c.Write(t.Context(), []byte(msg)); err != nil {
			t.Errorf("Write(%q): %v", msg, err)
		}
	}
}

func mustRotate(t *testing.T, c *apigws.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := c.Rotate(ctx); err != nil {
		t.Errorf("Rotate: %v", err)
	}
}

func wantEqual[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func only(t *testing.T, gw *gatewaytest.Server) *gatewaytest.Conn {
	t.Helper()
	conns := gw.Conns()
	if len(conns) != 1 {
		t.Fatalf("the gateway has %d connections, want 1", len(conns))
	}
	return conns[0]
}

// silentBackend takes everything and says nothing.
var silentBackend = &gatewaytest.Config{Backend: func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
	return nil, nil
}}

// Twelve hours of traffic in both directions, six times through the end of a
// connection's life: nobody notices.
func TestRotationGoesUnnoticed(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		const each, until = 5 * time.Second, 12 * time.Hour
		var (
			conns  ledger
			states []string
			opts   = apigws.Options{OnState: func(_ *apigws.Client, s apigws.StateChange) {
				states = append(states, fmt.Sprintf("%v-%v %d", s.From, s.To, s.Generation))
			}}
		)
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)

		n := int(until / each)
		go func() {
			time.Sleep(each / 2) // apart from the writes
			for i := range n {
				open := gw.Conns()
				if err := open[len(open)-1].Send([]byte(fmt.Sprint("push", i))); err != nil {
					t.Errorf("push %d: %v", i, err)
				}
				time.Sleep(each)
			}
		}()
		var read []string
		go func() {
			for p, err := range c.Messages(t.Context()) {
				if err != nil {
					return
				}
				read = append(read, string(p))
			}
		}()
		for i := range n {
			mustWrite(t, c, fmt.Sprint("write", i))
			time.Sleep(each)
		}
		time.Sleep(30 * time.Second) // in case a rotation is under way: Drain
		synctest.Wait()

		wantEqual(t, "received by the gateway", conns.received(), numbered("write", n))
		wantEqual(t, "read", read, numbered("push", n))
		// Six times 105 to 110 minutes fit into twelve hours, and not seven.
		wantEqual(t, "states", states, []string{"connecting-open 1", "open-open 2", "open-open 3", "open-open 4",
			"open-open 5", "open-open 6", "open-open 7"})
		for i, gap := range conns.gaps {
			if gap != 0 {
				t.Errorf("connection %d had a gap of %v", i+1, gap)
			}
		}
		only(t, gw)
		if got := gw.Stats().Closed; len(got) != 1 || got[1000] != 6 {
			t.Errorf("close codes seen by the gateway: %v, want 6 times 1000", got)
		}
		s := c.Stats()
		if s.Rotations != 6 || s.LostClosed+s.LostNetwork+s.LostTimeout != 0 || s.Unconfirmed != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// OnConnect may take its time on the next connection: writes go on, on the old
// one, and move when it has returned.
func TestRotationRunsOnConnectFirst(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		var conns ledger
		opts := apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			if err := conn.Write(ctx, fmt.Appendf(nil, "hello%d", conn.Generation())); err != nil {
				return err
			}
			if conn.Generation() > 1 {
				time.Sleep(3 * time.Second)
			}
			return conn.Write(ctx, fmt.Appendf(nil, "ready%d", conn.Generation()))
		}}
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)
		start := time.Now()
		go mustRotate(t, c)
		synctest.Wait()
		time.Sleep(3*time.Second - 1)
		mustWrite(t, c, "before")
		if waited := time.Since(start); waited != 3*time.Second-1 {
			t.Errorf("the write before the switch waited until %v", waited)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		mustWrite(t, c, "after")
		synctest.Wait()
		all := conns.all()
		wantEqual(t, "old", texts(all[0]), []string{"hello1", "ready1", "before"})
		wantEqual(t, "next", texts(all[1]), []string{"hello2", "ready2", "after"})
	})
}

func texts(conn *gatewaytest.Conn) []string {
	var all []string
	for _, p := range conn.Received() {
		all = append(all, string(p))
	}
	return all
}

// A backend that has not learned of the new connectionId yet still reaches the
// client on the old one, until Drain is over.
func TestRotationReadsTheOldForDrain(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		const drain = 7 * time.Second
		c := dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Drain: drain}})
		old := only(t, gw)
		mustRotate(t, c)
		time.Sleep(drain - 1)
		if err := old.Send([]byte("late")); err != nil {
			t.Fatal(err)
		}
		if p, err := c.Read(t.Context()); err != nil || string(p) != "late" {
			t.Fatalf("Read = %q, %v", p, err)
		}
		if n := len(gw.Conns()); n != 2 {
			t.Errorf("%d connections just before the end of Drain, want 2", n)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if only(t, gw) == old {
			t.Error("the old connection has outlived the new one")
		}
		if got := gw.Stats().Closed[1000]; got != 1 {
			t.Errorf("%d connections closed with 1000, want 1", got)
		}
	})
}

// When the old connection dies while the next is on its way, the next is its
// successor: no other is dialled.
func TestRotationUnderWayBecomesTheSuccessor(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var conns ledger
		attempts := 0
		opts := apigws.Options{Prepare: func(*http.Request) error {
			attempts++
			return nil
		}}
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)
		gw.Hold(true)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		time.Sleep(time.Second)
		only(t, gw).Drop()
		time.Sleep(2 * time.Second)
		gw.Hold(false)
		if err := <-rotated; err != nil {
			t.Errorf("Rotate: %v", err)
		}
		mustWrite(t, c, "x")
		if p, err := c.Read(t.Context()); err != nil || string(p) != "x" {
			t.Fatalf("Read = %q, %v", p, err)
		}
		time.Sleep(time.Minute)
		only(t, gw)
		if attempts != 2 {
			t.Errorf("%d handshakes, want 2", attempts)
		}
		wantEqual(t, "gaps", conns.gaps, []time.Duration{0, 2 * time.Second})
	})
}

// Clients that were started together do not renew together.
func TestRotationTimesAreSpread(t *testing.T) {
	const clients = 100
	var (
		mu    sync.Mutex
		times []time.Time
	)
	cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{
		"$connect": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return nil, nil
		},
	}}
	inBubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		start := time.Now()
		for range clients {
			dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Interval: 119 * time.Second}})
		}
		time.Sleep(110*time.Minute + time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(times) != 2*clients {
			t.Fatalf("%d handshakes within 110 minutes, want %d", len(times), 2*clients)
		}
		var perMinute [5]int
		for _, at := range times[clients:] {
			// The run loop looks at the age at least once a Timeout, and sets
			// its timer to the exact time.
			age := at.Sub(start)
			if age < 105*time.Minute || age > 110*time.Minute {
				t.Fatalf("a connection was renewed at the age of %v", age)
			}
			perMinute[min(4, int((age-105*time.Minute)/time.Minute))]++
		}
		// That one minute gets none of a hundred has a chance of 1 in 10^9.
		if slices.Contains(perMinute[:], 0) {
			t.Errorf("renewals a minute: %v", perMinute)
		}
	})
}

// A consumer that reads nothing for an hour finds everything that the old
// connection brought, although that is more than an inbox and a socket hold.
func TestRotationWithASlowConsumer(t *testing.T) {
	for _, written := range []bool{false, true} { // with and without the barrier
		inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
			const n = 1000
			c := dial(t, gw, nil)
			old := only(t, gw)
			pad := strings.Repeat(".", 500)
			for i := range n {
				if err := old.Send([]byte(fmt.Sprint("push", i, pad))); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if written {
				mustWrite(t, c, "x")
			}
			start := time.Now()
			mustRotate(t, c)
			if took := time.Since(start); took != 0 {
				t.Errorf("written %v: the rotation took %v on a path without latency", written, took)
			}
			time.Sleep(time.Hour)
			only(t, gw)
			if got := gw.Stats().Closed[1000]; got != 1 {
				t.Errorf("closed: %v, want one 1000", gw.Stats().Closed)
			}
			for i := range n {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				p, err := c.Read(ctx)
				cancel()
				if want := fmt.Sprint("push", i, pad); err != nil || string(p) != want {
					t.Fatalf("written %v: message %d: got %.20q, %v", written, i, p, err)
				}
			}
			if err := c.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRotationNever(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{RotateAfter: -1}})
		time.Sleep(2*time.Hour - 1)
		if s := gw.Stats(); s.Accepted != 1 {
			t.Fatalf("%d handshakes within two hours, want 1", s.Accepted)
		}
		time.Sleep(time.Second) // the first wait is below half of that
		if s := c.Stats(); s.Rotations != 0 || s.LostClosed != 1 || s.Connects != 2 || s.State != apigws.StateOpen {
			t.Errorf("stats: %+v", s)
		}
		if got := gw.Stats().Closed; got[1001] != 1 {
			t.Errorf("closed: %v, want 1001 from the gateway", got)
		}
	})
}

// Retry is asked also when the successor of a dead connection is on its way.
func TestRetryDuringARotation(t *testing.T) {
	for _, again := range []bool{true, false} {
		inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			asked := 0
			opts := &apigws.Options{OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 2 {
					time.Sleep(5 * time.Second)
				}
				return nil
			}}
			opts.Reconnect.Retry = func(error) bool { asked++; return again }
			c := dial(t, gw, opts)
			old := line(t, gw)
			time.AfterFunc(2*time.Second, func() { old.Close(4001, "banned") })
			err := c.Rotate(t.Context())
			sleep(time.Minute)
			var closed *apigws.CloseError
			if again {
				inState(t, c, apigws.StateOpen)
				accepted(t, gw, 2)
			} else if inState(t, c, apigws.StateClosed); !errors.As(c.Err(), &closed) || closed.Code != 4001 {
				t.Errorf("Err = %v", c.Err())
			}
			if asked != 1 || (err == nil) != again {
				t.Errorf("Retry was asked %d times; Rotate: %v", asked, err)
			}
		})
	}
}
