package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Gap is how long nobody was listening, Generation counts connections.
func TestGapAndGeneration(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		type view struct {
			generation int
			gap        time.Duration
		}
		var views []view
		fail := false
		opts := &apigws.Options{Reconnect: clienttest.Every(3 * time.Second)}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			views = append(views, view{conn.Generation(), conn.Gap()})
			if fail {
				fail = false
				return errors.New("not yet")
			}
			return nil
		}
		c := clienttest.Dial(t, gw, opts)
		clienttest.Sleep(time.Minute)
		clienttest.Only(t, gw).Drop() // back after 3 s
		clienttest.Sleep(time.Minute)
		gw.Refuse(503, 2)
		clienttest.Only(t, gw).Drop() // after 9 s
		clienttest.Sleep(time.Minute)
		fail = true
		clienttest.Only(t, gw).Drop() // the first is given up: 3 s, 6 s
		clienttest.Sleep(time.Minute)
		clienttest.Only(t, gw).Freeze(true) // noticed after 65 s less the half minute since the last PING, back 3 s later
		clienttest.Sleep(5 * time.Minute)
		if err := c.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := time.Second
		want := []view{{1, 0}, {2, 3 * s}, {3, 9 * s}, {4, 3 * s}, {5, 6 * s}, {6, 3 * s}, {7, 0}}
		if !slices.Equal(views, want) {
			t.Errorf("OnConnect saw %v, want %v", views, want)
		}
		if got := c.Stats().Generation; got != 7 {
			t.Errorf("Stats has generation %d", got)
		}
	})
}

// OnState is told of every change, in order.
func TestOnState(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		gw.Refuse(503, 1)
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(2 * time.Second)})
		clienttest.Sleep(time.Minute)
		gw.Refuse(500, 1)
		clienttest.Only(t, gw).Close(1012, "restart")
		clienttest.Sleep(time.Minute)
		if err := c.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		clienttest.Sleep(time.Minute)
		c.Close()

		const connecting, open, waiting, closed = apigws.StateConnecting, apigws.StateOpen, apigws.StateBackoff, apigws.StateClosed
		wait := 2 * time.Second
		want := []struct {
			from, to   apigws.State
			generation int
			err        string
			retryIn    time.Duration
		}{
			{connecting, waiting, 0, "503", wait},
			{waiting, connecting, 0, "503", 0},
			{connecting, open, 1, "", 0},
			{open, waiting, 1, "1012", wait},
			{waiting, connecting, 1, "1012", 0},
			{connecting, waiting, 1, "500", wait},
			{waiting, connecting, 1, "500", 0},
			{connecting, open, 2, "", 0},
			{open, open, 3, "", 0},
			{open, closed, 3, "", 0},
		}
		got := j.All()
		if len(got) != len(want) {
			t.Fatalf("%d changes, want %d: %+v", len(got), len(want), got)
		}
		for i, w := range want {
			g := got[i]
			if g.From != w.from || g.To != w.to || g.Generation != w.generation || g.RetryIn != w.retryIn ||
				(g.Err == nil) != (w.err == "") || g.Err != nil && !strings.Contains(g.Err.Error(), w.err) {
				t.Errorf("change %d is %+v, want %+v", i, g, w)
			}
		}
	})
}

// A slow OnState delays what it is told, and nothing else.
func TestSlowOnState(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var told []apigws.State
		running := false
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second), OnState: func(_ *apigws.Client, s apigws.StateChange) {
			if running {
				t.Error("OnState runs twice at once")
			}
			running = true
			time.Sleep(time.Minute)
			running = false
			told = append(told, s.To)
		}})
		for range 3 {
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Second)
			clienttest.InState(t, c, apigws.StateOpen)
			clienttest.Write(t, c, "hello")
			if got := clienttest.Read(t, c); got != "hello" {
				t.Fatalf("Read = %q", got)
			}
		}
		start := time.Now()
		c.Close() // waits for all of it
		if took := time.Since(start); took != 11*time.Minute-3*time.Second {
			t.Errorf("Close took %v", took)
		}
		o, b, n := apigws.StateOpen, apigws.StateBackoff, apigws.StateConnecting
		if want := []apigws.State{o, b, n, o, b, n, o, b, n, o, apigws.StateClosed}; !slices.Equal(told, want) {
			t.Errorf("OnState was told %v, want %v", told, want)
		}
	})
}

// Hooks may call the client back.
func TestHooksCallTheClient(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$connect": gatewaytest.Silent}}, func(t *testing.T, gw *gatewaytest.Server) {
		// The client is not known to its hooks before Dial has returned.
		var c *apigws.Client
		known := make(chan struct{})
		client := func() *apigws.Client {
			<-known
			return c
		}
		calls := 0
		use := func(t *testing.T, c *apigws.Client) {
			calls++
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := c.Ping(ctx); err != nil {
				t.Errorf("Ping in a hook: %v", err)
			}
			if err := c.Flush(ctx); err != nil {
				t.Errorf("Flush in a hook: %v", err)
			}
			c.Stats()
			c.State()
			c.Err()
			c.Unconfirmed()
		}
		rotated := false
		opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
		opts.OnState = func(_ *apigws.Client, s apigws.StateChange) {
			if s.To != apigws.StateOpen {
				return
			}
			c := client()
			use(t, c)
			if err := c.Write(t.Context(), []byte("no route takes this")); err != nil {
				t.Errorf("Write in OnState: %v", err)
			}
		}
		opts.OnGatewayError = func(*apigws.Client, *apigws.GatewayError) {
			c := client()
			use(t, c)
			if !rotated { // which calls OnState, which causes an error frame
				rotated = true
				if err := c.Rotate(t.Context()); err != nil {
					t.Errorf("Rotate in OnGatewayError: %v", err)
				}
			}
		}
		opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
			if conn.Generation() > 1 {
				client().State()
				client().Stats()
			}
			return nil
		}
		c = clienttest.Dial(t, gw, opts)
		close(known)
		clienttest.Sleep(time.Minute)
		if calls != 4 || !rotated {
			t.Errorf("%d calls, want two rounds of each hook", calls)
		}
		clienttest.Accepted(t, gw, 2)
	})
}

// Close, called from inside a hook, begins to close and returns: it cannot
// wait for the hook that it is called from.
func TestCloseInHooks(t *testing.T) {
	for _, hook := range []string{"OnState", "OnState on a break", "OnConnect", "OnGatewayError", "Prepare", "IsReply", "Retry"} {
		t.Run(hook, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				var known atomic.Pointer[apigws.Client]
				var began atomic.Bool
				closeIn := func(where string) {
					c := known.Load()
					if where != hook || c == nil || began.Swap(true) {
						return
					}
					if err := c.Close(); err != nil {
						t.Errorf("Close in %s: %v", where, err)
					}
				}
				opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
				opts.OnState = func(_ *apigws.Client, s apigws.StateChange) {
					if s.To == apigws.StateBackoff {
						closeIn("OnState on a break")
					} else {
						closeIn("OnState")
					}
				}
				opts.OnConnect = func(context.Context, *apigws.Conn) error { closeIn("OnConnect"); return nil }
				opts.OnGatewayError = func(*apigws.Client, *apigws.GatewayError) { closeIn("OnGatewayError") }
				opts.Prepare = func(*http.Request) error { closeIn("Prepare"); return nil }
				opts.Keepalive.IsReply = func([]byte) bool { closeIn("IsReply"); return false }
				opts.Reconnect.Retry = func(error) bool { closeIn("Retry"); return true }
				c := clienttest.Dial(t, gw, opts)
				known.Store(c)
				clienttest.Only(t, gw).Send([]byte(`{"message": "Forbidden", "connectionId":"a", "requestId":"b"}`))
				synctest.Wait()
				for _, conn := range gw.Conns() {
					conn.Drop()
				}
				select {
				case <-c.Done():
				case <-time.After(time.Minute):
					t.Fatal("the client has not ended")
				}
				synctest.Wait()
				if !began.Load() || c.State() != apigws.StateClosed || c.Err() != apigws.ErrClosed || len(gw.Conns()) != 0 {
					t.Errorf("closed in the hook: %v; %v, %v, %d connections", began.Load(), c.State(), c.Err(), len(gw.Conns()))
				}
			})
		})
	}
}

// A hook that ends its goroutine, as t.FailNow does, ends nothing else.
func TestGoexitInAHook(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var calls atomic.Int64
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second), OnState: func(*apigws.Client, apigws.StateChange) {
			calls.Add(1)
			runtime.Goexit()
		}})
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		// Open; Backoff, Connecting, Open; Closed.
		if got := calls.Load(); got != 5 {
			t.Errorf("OnState was called %d times, want 5", got)
		}
	})
}

// Error frames wait for a slow OnGatewayError in bounded number: then the reader
// waits too, and the peer is not blamed for it.
func TestSlowOnGatewayError(t *testing.T) {
	const errorFrame = `{"message": "Forbidden", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"%d"}`
	for _, release := range []string{"returns", "after Close"} {
		t.Run(release, func(t *testing.T) {
			clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
				slow := make(chan struct{})
				var told []string
				c := clienttest.Dial(t, gw, &apigws.Options{OnGatewayError: func(_ *apigws.Client, e *apigws.GatewayError) {
					<-slow
					told = append(told, e.RequestID)
				}})
				conn := clienttest.Only(t, gw)
				var want []string
				for i := range 200 {
					conn.Send(fmt.Appendf(nil, errorFrame, i))
					want = append(want, fmt.Sprint(i))
				}
				clienttest.Sleep(10 * time.Minute)
				clienttest.Accepted(t, gw, 1)
				if got := c.Stats().MessagesReceived; got < 64 || got > 66 {
					t.Errorf("%d error frames were taken, want one that runs, 64 that wait and one more", got)
				}
				if release == "after Close" {
					time.AfterFunc(time.Minute, func() { close(slow) })
				} else {
					close(slow)
				}
				synctest.Wait()
				c.Close()
				if release == "returns" && !slices.Equal(told, want) || len(told) > len(want) || !slices.Equal(told, want[:len(told)]) {
					t.Errorf("OnGatewayError was told %v", told)
				}
			})
		})
	}
}
