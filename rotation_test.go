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
	"github.com/cenkalti/backoff/v4"
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

// Writers that never pause keep their order through twenty rotations, and none
// of their writes waits for longer than one round trip.
func TestRotationStallsWritesForOneRoundTrip(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		const rtt, pause, writers, rotations = 80 * time.Millisecond, time.Millisecond, 3, 20
		gw.SetFaults(gatewaytest.Faults{Latency: rtt})
		var (
			conns ledger
			opts  apigws.Options
			done  = make(chan struct{})
			wg    sync.WaitGroup
			sent  [writers]int
			waits [writers]time.Duration
		)
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)
		for w := range writers {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(pause):
					}
					start := time.Now()
					mustWrite(t, c, fmt.Sprintf("%d.%d", w, sent[w]))
					waits[w] = max(waits[w], time.Since(start))
					sent[w]++
				}
			})
		}
		for range rotations {
			time.Sleep(200*time.Millisecond + 500*time.Microsecond)
			start := time.Now()
			mustRotate(t, c)
			if took := time.Since(start); took != rtt {
				t.Errorf("a rotation took %v, want one round trip, %v", took, rtt)
			}
		}
		close(done)
		wg.Wait()
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := conns.received()
		for w := range writers {
			prefix := fmt.Sprint(w, ".")
			of := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, prefix) })
			wantEqual(t, "messages of writer "+prefix, of, numbered(prefix, sent[w]))
			if waits[w] > rtt || waits[w] < rtt-pause {
				t.Errorf("a write of writer %d waited %v, want at most %v, and nearly that", w, waits[w], rtt)
			}
		}
		if n := len(conns.all()); n != rotations+1 {
			t.Errorf("%d connections, want %d", n, rotations+1)
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

// A gateway that lets nobody in: the old connection stays, and the attempts
// grow rarer. When it lets in again, the rotation takes place.
func TestRotationWaitsForTheGateway(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var states []apigws.State
		c := dial(t, gw, &apigws.Options{
			Reconnect: apigws.Reconnect{RotateAfter: time.Hour},
			OnState:   func(_ *apigws.Client, s apigws.StateChange) { states = append(states, s.To) },
		})
		old := only(t, gw)
		time.Sleep(time.Hour - 1)
		gw.Refuse(503, -1)
		time.Sleep(10 * time.Minute)
		if only(t, gw) != old || c.State() != apigws.StateOpen {
			t.Error("the old connection did not stay")
		}
		mustWrite(t, c, "still here")
		if p, err := c.Read(t.Context()); err != nil || string(p) != "still here" {
			t.Fatalf("Read = %q, %v", p, err)
		}
		// With waits between 0 and at most 30 s, 15 s on average: 40 in ten
		// minutes, and 0.5 s apart it would have been more than a thousand.
		if n := gw.Stats().Refused[503]; n < 20 || n > 100 {
			t.Errorf("%d attempts in ten minutes, want about 40", n)
		}
		gw.Refuse(0, 0)
		time.Sleep(30*time.Second + 10*time.Second + 1) // the longest wait, and Drain
		synctest.Wait()
		if only(t, gw) == old {
			t.Error("no rotation although the gateway lets in again")
		}
		wantEqual(t, "states", states, []apigws.State{apigws.StateOpen, apigws.StateOpen})
		if s := c.Stats(); s.Rotations != 1 || s.LostClosed+s.LostNetwork+s.LostTimeout != 0 {
			t.Errorf("stats: %+v", s)
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

func TestRotateReturnsRefusalsAtOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		old := only(t, gw)
		gw.Refuse(404, 1)
		start := time.Now()
		err := c.Rotate(t.Context())
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != 404 || time.Since(start) != 0 {
			t.Errorf("Rotate = %v after %v, want the 404 at once", err, time.Since(start))
		}
		// It was asked for once: the client does not go on by itself until the
		// connection is old.
		time.Sleep(105*time.Minute - 1)
		if only(t, gw) != old || gw.Stats().Accepted != 1 {
			t.Error("the old connection was replaced although it was well")
		}
		time.Sleep(5*time.Minute + 11*time.Second)
		if only(t, gw) == old || c.Stats().Rotations != 1 {
			t.Error("no rotation by age after a refused one by request")
		}
	})
}

func TestRotateTriesAgainUntilItSucceeds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		gw.Refuse(429, -1)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := c.Rotate(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Rotate = %v, want the end of its context", err)
		}
		gw.Refuse(0, 0)
		// Cancelling has ended the waiting, not the rotation. A call joins it.
		if err := c.Rotate(t.Context()); err != nil {
			t.Errorf("Rotate = %v", err)
		}
		if s := gw.Stats(); s.Accepted != 2 {
			t.Errorf("%d handshakes succeeded, want 2", s.Accepted)
		}
	})
}

func TestRotateCallsShareOneRotation(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		gw.Hold(true)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { mustRotate(t, c) })
		}
		synctest.Wait()
		gw.Hold(false)
		wg.Wait()
		if s := gw.Stats(); s.Accepted != 2 {
			t.Errorf("%d handshakes for five calls of Rotate, want 1 after the first", s.Accepted-1)
		}
	})
}

func TestRotateAfterClose(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		gw.Hold(true)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-rotated; !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Rotate during Close = %v", err)
		}
		if err := c.Rotate(t.Context()); !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Rotate after Close = %v", err)
		}
		gw.Hold(false)
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

// On a gateway that answers no PING, the end of the old connection keeps the
// order. Of what arrived there is no proof.
func TestRotationWithoutPongs(t *testing.T) {
	cfg := *silentBackend
	cfg.SilentPings = true
	inBubble(t, &cfg, func(t *testing.T, gw *gatewaytest.Server) {
		var conns ledger
		opts := apigws.Options{Keepalive: apigws.Keepalive{Disabled: true}}
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)
		mustWrite(t, c, "1", "2")
		start := time.Now()
		mustRotate(t, c)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want Keepalive.Timeout", took)
		}
		mustWrite(t, c, "3")
		synctest.Wait()
		wantEqual(t, "received", conns.received(), []string{"1", "2", "3"})
		s := c.Stats()
		if s.Unconfirmed != 2 || s.LostClosed != 0 || gw.Stats().Closed[1000] != 1 {
			t.Errorf("stats: %+v, %+v", s, gw.Stats())
		}
	})
}

// A close frame of the backend's that crosses ours proves nothing.
func TestRotationKickedAtTheClosingBarrier(t *testing.T) {
	for _, reason := range []string{"Connection Closed Normally", ""} {
		testKickAtTheClosingBarrier(t, reason)
	}
}

func testKickAtTheClosingBarrier(t *testing.T, reason string) {
	cfg := *silentBackend
	cfg.SilentPings = true
	inBubble(t, &cfg, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Disabled: true}})
		old := only(t, gw)
		old.FreezeIn(true)
		mustWrite(t, c, "never arrives")
		go func() {
			time.Sleep(10*time.Second + time.Millisecond) // our CLOSE is out, and not in
			old.Close(1000, reason)
		}()
		mustRotate(t, c)
		if err := c.Flush(t.Context()); !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("Flush = %v, want ErrUnconfirmed", err)
		}
	})
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

// The old connection breaks while its barrier is awaited.
func TestRotationOldDiesAtTheBarrier(t *testing.T) {
	for _, resend := range []int{0, 1 << 20} {
		inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
			var conns ledger
			opts := apigws.Options{Resend: resend}
			conns.keep(gw, &opts)
			c := dial(t, gw, &opts)
			old := only(t, gw)
			old.FreezeIn(true)
			mustWrite(t, c, "1", "2")
			written := make(chan error, 1)
			go func() {
				time.Sleep(time.Second)
				go func() { written <- c.Write(t.Context(), []byte("3")) }()
				time.Sleep(time.Second)
				old.Drop()
			}()
			start := time.Now()
			mustRotate(t, c)
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("took %v", took)
			}
			if err := <-written; err != nil {
				t.Errorf("Write at the barrier: %v", err)
			}
			err := c.Flush(t.Context())
			if resend == 0 {
				if !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "2 messages") {
					t.Errorf("Flush = %v, want 2 unconfirmed messages", err)
				}
				wantEqual(t, "received", conns.received(), []string{"3"})
			} else {
				if err != nil {
					t.Errorf("Flush = %v", err)
				}
				wantEqual(t, "received", conns.received(), []string{"1", "2", "3"})
			}
			time.Sleep(time.Minute)
			only(t, gw)
		})
	}
}

// Close while the barrier is awaited: everything is confirmed all the same,
// once, and nothing is sent twice.
func TestCloseAtTheBarrierOfARotation(t *testing.T) {
	for _, resend := range []int{0, 1 << 20} {
		inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
			var conns ledger
			opts := apigws.Options{Resend: resend}
			conns.keep(gw, &opts)
			c := dial(t, gw, &opts)
			old := only(t, gw)
			old.SetFaults(gatewaytest.Faults{Latency: 2 * time.Second})
			mustWrite(t, c, "1", "2")
			rotated := make(chan error, 1)
			go func() { rotated <- c.Rotate(t.Context()) }()
			time.Sleep(time.Second)
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Errorf("resend %d: Close = %v", resend, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("Close took %v, more than CloseTimeout", took)
			}
			if err := <-rotated; err != nil && !errors.Is(err, apigws.ErrClosed) {
				t.Errorf("Rotate = %v", err)
			}
			wantEqual(t, "received", conns.received(), []string{"1", "2"})
		})
	}
}

// When the old connection dies during a rotation, Rotate still returns only when
// the next one is in use, with what is to be sent again on it.
func TestRotateReturnsWhenTheNextIsInUse(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Resend: 1 << 20, OnConnect: func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				next := gw.Conns()[len(gw.Conns())-1]
				next.SetFaults(gatewaytest.Faults{RateIn: 50 << 10})
				time.Sleep(5 * time.Second)
			}
			return nil
		}})
		old := line(t, gw)
		old.FreezeOut(true)
		for range 4 {
			write(t, c, strings.Repeat("x", 100<<10))
		}
		time.AfterFunc(2*time.Second, old.Drop)
		mustRotate(t, c)
		inState(t, c, apigws.StateOpen)
		if s := c.Stats(); s.Generation != 2 || s.MessagesResent != 4 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// A rotation that was asked for and failed for good is no reason not to rotate
// when the time comes.
func TestFailedRotateLeavesTheNextOne(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{
			RotateAfter: time.Hour,
			Backoff: func() backoff.BackOff {
				return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
			},
		}})
		sleep(time.Minute)
		gw.Refuse(503, 3)
		if err := c.Rotate(t.Context()); err == nil {
			t.Fatal("Rotate succeeded")
		}
		sleep(time.Hour)
		if n := c.Stats().Rotations; n != 1 {
			t.Errorf("%d rotations, want 1", n)
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
