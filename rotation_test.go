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
	"github.com/apigws/apigws/internal/clienttest"
)

// Twelve hours of traffic in both directions, six times through the end of a
// connection's life: nobody notices.
func TestRotationGoesUnnoticed(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		const each, until = 5 * time.Second, 12 * time.Hour
		var (
			states []string
			gaps   clienttest.Gaps
			opts   = apigws.Options{OnConnect: gaps.OnConnect, OnState: func(_ *apigws.Client, s apigws.StateChange) {
				states = append(states, fmt.Sprintf("%v-%v %d", s.From, s.To, s.Generation))
			}}
		)
		c := clienttest.Dial(t, gw, &opts)

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
			clienttest.Write(t, c, fmt.Sprint("write", i))
			time.Sleep(each)
		}
		time.Sleep(30 * time.Second) // in case a rotation is under way: Drain
		synctest.Wait()

		clienttest.Equal(t, "received by the gateway", clienttest.Received(gw), clienttest.Numbered("write", n))
		clienttest.Equal(t, "read", read, clienttest.Numbered("push", n))
		// Six times 105 to 110 minutes fit into twelve hours, and not seven.
		clienttest.Equal(t, "states", states, []string{"connecting-open 1", "open-open 2", "open-open 3", "open-open 4",
			"open-open 5", "open-open 6", "open-open 7"})
		for i, gap := range gaps.All() {
			if gap != 0 {
				t.Errorf("connection %d had a gap of %v", i+1, gap)
			}
		}
		clienttest.Only(t, gw)
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
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			if err := conn.Write(ctx, fmt.Appendf(nil, "hello%d", conn.Generation())); err != nil {
				return err
			}
			if conn.Generation() > 1 {
				time.Sleep(3 * time.Second)
			}
			return conn.Write(ctx, fmt.Appendf(nil, "ready%d", conn.Generation()))
		}}
		c := clienttest.Dial(t, gw, &opts)
		start := time.Now()
		go clienttest.Rotate(t, c)
		synctest.Wait()
		time.Sleep(3*time.Second - 1)
		clienttest.Write(t, c, "before")
		if waited := time.Since(start); waited != 3*time.Second-1 {
			t.Errorf("the write before the switch waited until %v", waited)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		clienttest.Write(t, c, "after")
		synctest.Wait()
		all := gw.AllConns()
		clienttest.Equal(t, "old", clienttest.Texts(all[0]), []string{"hello1", "ready1", "before"})
		clienttest.Equal(t, "next", clienttest.Texts(all[1]), []string{"hello2", "ready2", "after"})
	})
}

// A backend that has not learned of the new connectionId yet still reaches the
// client on the old one, until Drain is over.
func TestRotationReadsTheOldForDrain(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		const drain = 7 * time.Second
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Drain: drain}})
		old := clienttest.Only(t, gw)
		clienttest.Rotate(t, c)
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
		if clienttest.Only(t, gw) == old {
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
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		attempts := 0
		var gaps clienttest.Gaps
		opts := apigws.Options{OnConnect: gaps.OnConnect, Prepare: func(*http.Request) error {
			attempts++
			return nil
		}}
		c := clienttest.Dial(t, gw, &opts)
		gw.Hold(true)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		time.Sleep(time.Second)
		clienttest.Only(t, gw).Drop()
		time.Sleep(2 * time.Second)
		gw.Hold(false)
		if err := <-rotated; err != nil {
			t.Errorf("Rotate: %v", err)
		}
		clienttest.Write(t, c, "x")
		if p, err := c.Read(t.Context()); err != nil || string(p) != "x" {
			t.Fatalf("Read = %q, %v", p, err)
		}
		time.Sleep(time.Minute)
		clienttest.Only(t, gw)
		if attempts != 2 {
			t.Errorf("%d handshakes, want 2", attempts)
		}
		clienttest.Equal(t, "gaps", gaps.All(), []time.Duration{0, 2 * time.Second})
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
	clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		start := time.Now()
		for range clients {
			clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Interval: 119 * time.Second}})
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
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			const n = 1000
			c := clienttest.Dial(t, gw, nil)
			old := clienttest.Only(t, gw)
			pad := strings.Repeat(".", 500)
			for i := range n {
				if err := old.Send([]byte(fmt.Sprint("push", i, pad))); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if written {
				clienttest.Write(t, c, "x")
			}
			start := time.Now()
			clienttest.Rotate(t, c)
			if took := time.Since(start); took != 0 {
				t.Errorf("written %v: the rotation took %v on a path without latency", written, took)
			}
			time.Sleep(time.Hour)
			clienttest.Only(t, gw)
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

// A client that is to end with its connection does not replace it because of its age, whatever
// RotateAfter says.
func TestRotationDisabled(t *testing.T) {
	for _, after := range []time.Duration{0, time.Hour} {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			opts := &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true, RotateAfter: after}}
			c := clienttest.Dial(t, gw, opts)
			clienttest.Sleep(2*time.Hour - moment)
			clienttest.Accepted(t, gw, 1)
			clienttest.InState(t, c, apigws.StateOpen)
			clienttest.Sleep(2 * moment)
			clienttest.InState(t, c, apigws.StateClosed)
		})
	}
}

func TestRotationNever(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{RotateAfter: -1}})
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
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			asked := 0
			opts := &apigws.Options{OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 2 {
					time.Sleep(5 * time.Second)
				}
				return nil
			}}
			opts.Reconnect.Retry = func(error) bool { asked++; return again }
			c := clienttest.Dial(t, gw, opts)
			old := clienttest.Only(t, gw)
			time.AfterFunc(2*time.Second, func() { old.Close(4001, "banned") })
			err := c.Rotate(t.Context())
			clienttest.Sleep(time.Minute)
			var closed *apigws.CloseError
			if again {
				clienttest.InState(t, c, apigws.StateOpen)
				clienttest.Accepted(t, gw, 2)
			} else if clienttest.InState(t, c, apigws.StateClosed); !errors.As(c.Err(), &closed) || closed.Code != 4001 {
				t.Errorf("Err = %v", c.Err())
			}
			if asked != 1 || (err == nil) != again {
				t.Errorf("Retry was asked %d times; Rotate: %v", asked, err)
			}
		})
	}
}
