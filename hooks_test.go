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
)

// What OnConnect writes reaches the gateway before anything else, also when
// Writes have been waiting for the connection.
func TestOnConnectComesFirst(t *testing.T) {
	inBubble(t, &gatewaytest.Config{Backend: silence}, func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{
			Reconnect: every(time.Second),
			Keepalive: apigws.Keepalive{Message: []byte("keep")},
			OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
				for i := range 3 {
					if err := conn.Write(ctx, fmt.Append(nil, "subscribe ", i)); err != nil {
						return err
					}
					time.Sleep(time.Second) // the others have every opportunity
				}
				return conn.WriteJSON(ctx, "done")
			},
		}
		c := dial(t, gw, opts)
		greeting := []string{"subscribe 0", "subscribe 1", "subscribe 2", `"done"`}
		for range 3 {
			line(t, gw).Drop()
			synctest.Wait()
			results := make(chan error, 8)
			for range cap(results) {
				go func() { results <- c.Write(t.Context(), []byte("waiting")) }()
			}
			for range cap(results) {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			got := received(line(t, gw))
			if len(got) != 13 || !slices.Equal(got[:4], greeting) {
				t.Fatalf("the gateway got %q, want first %q", got, greeting)
			}
		}
		accepted(t, gw, 4)
	})
}

// OnConnect can converse with the backend; what it does not read goes to
// Client.Read, in order, and before what comes later.
func TestOnConnectReads(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var kept *apigws.Conn
		c := dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			kept = conn
			for i := range 100 { // more than fits into an inbox
				if err := conn.WriteJSON(ctx, i); err != nil {
					return err
				}
			}
			if p, err := conn.Read(ctx); err != nil || string(p) != "0" {
				return fmt.Errorf("Read = %q, %v", p, err)
			}
			var n int
			if err := conn.ReadJSON(ctx, &n); err != nil || n != 1 {
				return fmt.Errorf("ReadJSON: %d, %v", n, err)
			}
			limited, cancel := context.WithTimeout(ctx, 0)
			defer cancel()
			for i := 2; i < 50; i++ {
				if _, err := conn.Read(ctx); err != nil {
					return err
				}
			}
			synctest.Wait()
			for i := 50; i < 60; i++ { // a cancelled Read costs nothing here either
				if p, err := conn.Read(limited); err != nil || string(p) != fmt.Sprint(i) {
					return fmt.Errorf("Read = %q, %v, want %d, which was there", p, err, i)
				}
			}
			return nil
		}})
		line(t, gw).Send([]byte("100"))
		for i := 60; i <= 100; i++ {
			if got := read(t, c); got != fmt.Sprint(i) {
				t.Fatalf("Read = %q, want %d", got, i)
			}
		}
		accepted(t, gw, 1)

		// From then on the Conn is the client's.
		if err := kept.Write(t.Context(), []byte("late")); !errors.Is(err, apigws.ErrNotSent) {
			t.Errorf("Write on a Conn that was handed over: %v", err)
		}
		if _, err := kept.Read(t.Context()); err == nil {
			t.Error("Read on a Conn that was handed over says nothing")
		}
		write(t, c, "echo")
		if got := read(t, c); got != "echo" {
			t.Errorf("Read = %q", got)
		}
	})
}

// A Read in OnConnect ends with its context, without costing the connection or
// the message that comes afterwards.
func TestOnConnectReadCancelled(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			limited, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := conn.Read(limited); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("Read: %w", err)
			}
			return nil
		}})
		line(t, gw).Send([]byte("hello"))
		if got := read(t, c); got != "hello" {
			t.Errorf("Read = %q", got)
		}
		accepted(t, gw, 1)
	})
}

// The limits on messages hold inside, too.
func TestOnConnectLimits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			var tooLarge *apigws.TooLargeError
			if err := conn.Write(ctx, make([]byte, 128<<10+1)); !errors.As(err, &tooLarge) {
				t.Errorf("Write: %v", err)
			}
			if err := conn.Write(ctx, []byte{0xff}); !errors.Is(err, apigws.ErrNotText) {
				t.Errorf("Write: %v", err)
			}
			if err := conn.WriteJSON(ctx, func() {}); err == nil {
				t.Error("WriteJSON of a func")
			}
			return nil
		}})
		accepted(t, gw, 1)
	})
}

// Gap is how long nobody was listening, Generation counts connections.
func TestGapAndGeneration(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		type view struct {
			generation int
			gap        time.Duration
		}
		var views []view
		fail := false
		opts := &apigws.Options{Reconnect: every(3 * time.Second)}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			views = append(views, view{conn.Generation(), conn.Gap()})
			if fail {
				fail = false
				return errors.New("not yet")
			}
			return nil
		}
		c := dial(t, gw, opts)
		sleep(time.Minute)
		line(t, gw).Drop() // back after 3 s
		sleep(time.Minute)
		gw.Refuse(503, 2)
		line(t, gw).Drop() // after 9 s
		sleep(time.Minute)
		fail = true
		line(t, gw).Drop() // the first is given up: 3 s, 6 s
		sleep(time.Minute)
		line(t, gw).Freeze(true) // noticed after 65 s less the half minute since the last PING, back 3 s later
		sleep(5 * time.Minute)
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

// An error of OnConnect fails the connection, which is then tried again.
func TestOnConnectFails(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		errNotYet := errors.New("not yet")
		var j journal
		failures := 2
		opts := &apigws.Options{OnState: j.note, Reconnect: every(time.Second)}
		opts.OnConnect = func(context.Context, *apigws.Conn) error {
			if failures > 0 {
				failures--
				return errNotYet
			}
			return nil
		}
		c := dial(t, gw, opts)
		synctest.Wait()
		accepted(t, gw, 3)
		line(t, gw) // and only the third is open
		if first := j.all()[0]; !errors.Is(first.Err, errNotYet) || !strings.Contains(first.Err.Error(), "OnConnect") {
			t.Errorf("the first change is %+v", first)
		}
		if s := c.Stats(); s.ConnectErrors != 2 || s.Connects != 3 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// An OnConnect that hangs is ended by HandshakeTimeout.
func TestOnConnectHangs(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		calls := 0
		opts := &apigws.Options{HandshakeTimeout: 7 * time.Second, Reconnect: every(time.Second)}
		opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
			if calls++; calls > 1 {
				return nil
			}
			_, err := conn.Read(ctx)
			return err
		}
		start := time.Now()
		dial(t, gw, opts)
		if took := time.Since(start); took != 8*time.Second || calls != 2 {
			t.Errorf("connected after %v and %d calls, want 7 s, 1 s of waiting, and a second call", took, calls)
		}
		accepted(t, gw, 2)
	})
}

// The context of OnConnect ends when its connection breaks.
func TestOnConnectOnABreak(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		calls := 0
		opts := &apigws.Options{Reconnect: every(time.Second)}
		opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
			if calls++; calls > 1 {
				return nil
			}
			time.AfterFunc(2*time.Second, func() { gw.Conns()[0].Close(1011, "broken") })
			<-ctx.Done()
			var closed *apigws.CloseError
			if _, err := conn.Read(t.Context()); !errors.As(err, &closed) || closed.Code != 1011 {
				t.Errorf("Read: %v", err)
			}
			if err := conn.Write(t.Context(), []byte("x")); !errors.As(err, &closed) || !errors.Is(err, apigws.ErrNotSent) {
				t.Errorf("Write: %v", err)
			}
			return nil // which does not make it whole
		}
		start := time.Now()
		dial(t, gw, opts)
		if took := time.Since(start); took != 3*time.Second || calls != 2 {
			t.Errorf("connected after %v and %d calls", took, calls)
		}
		line(t, gw)
	})
}

// OnState is told of every change, in order.
func TestOnState(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j journal
		gw.Refuse(503, 1)
		c := dial(t, gw, &apigws.Options{OnState: j.note, Reconnect: every(2 * time.Second)})
		sleep(time.Minute)
		gw.Refuse(500, 1)
		line(t, gw).Close(1012, "restart")
		sleep(time.Minute)
		if err := c.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute)
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
		got := j.all()
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
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var told []apigws.State
		running := false
		c := dial(t, gw, &apigws.Options{Reconnect: every(time.Second), OnState: func(_ *apigws.Client, s apigws.StateChange) {
			if running {
				t.Error("OnState runs twice at once")
			}
			running = true
			time.Sleep(time.Minute)
			running = false
			told = append(told, s.To)
		}})
		for range 3 {
			line(t, gw).Drop()
			sleep(time.Second)
			inState(t, c, apigws.StateOpen)
			write(t, c, "hello")
			if got := read(t, c); got != "hello" {
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
	inBubble(t, &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$connect": silence}}, func(t *testing.T, gw *gatewaytest.Server) {
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
		opts := &apigws.Options{Reconnect: every(time.Second)}
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
		c = dial(t, gw, opts)
		close(known)
		sleep(time.Minute)
		if calls != 4 || !rotated {
			t.Errorf("%d calls, want two rounds of each hook", calls)
		}
		accepted(t, gw, 2)
	})
}

// Close, called from inside a hook, begins to close and returns: it cannot
// wait for the hook that it is called from.
func TestCloseInHooks(t *testing.T) {
	for _, hook := range []string{"OnState", "OnState on a break", "OnConnect", "OnGatewayError", "Prepare", "IsReply", "Retry"} {
		t.Run(hook, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
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
				opts := &apigws.Options{Reconnect: every(time.Second)}
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
				c := dial(t, gw, opts)
				known.Store(c)
				line(t, gw).Send([]byte(`{"message": "Forbidden", "connectionId":"a", "requestId":"b"}`))
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

// OnConnect fails because the connection has died under it: the error says why
// it died, also when OnConnect itself knows only that its context has ended.
func TestOnConnectFailsOfABreak(t *testing.T) {
	for name, wait := range map[string]func(context.Context, *apigws.Conn) error{
		"context": func(ctx context.Context, _ *apigws.Conn) error { <-ctx.Done(); return ctx.Err() },
		"Read":    func(ctx context.Context, conn *apigws.Conn) error { _, err := conn.Read(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
				_, err := tryDial(t, gw, time.Hour, &apigws.Options{
					Reconnect: apigws.Reconnect{Disabled: true},
					OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
						time.AfterFunc(time.Second, func() { gw.Conns()[0].Close(1008, "denied") })
						return wait(ctx, conn)
					},
				})
				var closed *apigws.CloseError
				if !errors.As(err, &closed) || closed.Code != 1008 {
					t.Errorf("Dial: %v, want the close frame 1008", err)
				}
			})
		})
	}
}

// What a connection brought before it died in OnConnect is for Read.
func TestMessagesOfAConnectionThatNeverOpens(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{
			Reconnect: every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() > 1 {
					return nil
				}
				gw.Conns()[0].Send([]byte("precious"))
				time.Sleep(time.Second)
				gw.Conns()[0].Close(1001, "Going away")
				time.Sleep(time.Second)
				return nil
			},
		})
		if got := read(t, c); got != "precious" {
			t.Errorf("Read = %q", got)
		}
		if s := c.Stats(); s.Generation != 2 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// But one that never opens again and again must not fill the memory, when
// nobody reads.
func TestMessagesOfConnectionsThatNeverOpenAreBounded(t *testing.T) {
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{
			Reconnect: every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 1 {
					return nil
				}
				for range 50 {
					gw.Conns()[0].Send([]byte("greeting"))
				}
				time.Sleep(time.Second)
				return errors.New("not today")
			},
		})
		line(t, gw).Drop()
		sleep(time.Hour)
		if s := c.Stats(); s.MessagesReceived < 1000 || s.Unread > 128 {
			t.Errorf("of %d messages %d wait for Read, want two inboxes at the most", s.MessagesReceived, s.Unread)
		}
	})
}

// A hook that ends its goroutine, as t.FailNow does, ends nothing else.
func TestGoexitInAHook(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var calls atomic.Int64
		c := dial(t, gw, &apigws.Options{Reconnect: every(time.Second), OnState: func(*apigws.Client, apigws.StateChange) {
			calls.Add(1)
			runtime.Goexit()
		}})
		line(t, gw).Drop()
		sleep(time.Minute)
		inState(t, c, apigws.StateOpen)
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
			inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
				slow := make(chan struct{})
				var told []string
				c := dial(t, gw, &apigws.Options{OnGatewayError: func(_ *apigws.Client, e *apigws.GatewayError) {
					<-slow
					told = append(told, e.RequestID)
				}})
				conn := line(t, gw)
				var want []string
				for i := range 200 {
					conn.Send(fmt.Appendf(nil, errorFrame, i))
					want = append(want, fmt.Sprint(i))
				}
				sleep(10 * time.Minute)
				accepted(t, gw, 1)
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
