package apigws_test

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A handler of a logger that is a function.
type logHandler func()

func (logHandler) Enabled(context.Context, slog.Level) bool    { return true }
func (h logHandler) Handle(context.Context, slog.Record) error { h(); return nil }
func (h logHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h logHandler) WithGroup(string) slog.Handler             { return h }

// A policy whose methods are functions.
type policyFuncs struct {
	next  func() time.Duration
	reset func()
}

func (p policyFuncs) NextBackOff() time.Duration { return p.next() }
func (p policyFuncs) Reset()                     { p.reset() }

// Whichever hook ends its goroutine, as t.FailNow does, ends nothing else: the client is connected
// again afterwards, ends with Close, and leaves nothing behind.
func TestGoexitInEachHook(t *testing.T) {
	for _, hook := range []string{"OnConnect", "Prepare", "OnState", "OnGatewayError", "OnRetire", "IsReply", "Retry", "Backoff",
		"NextBackOff", "Reset", "Logger"} {
		t.Run(hook, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				var calls atomic.Int64
				var dialled atomic.Bool
				exit := func(where string) {
					if where == hook && dialled.Load() && calls.Add(1) == 1 {
						runtime.Goexit()
					}
				}
				opts := &apigws.Options{
					OnConnect:      func(context.Context, *apigws.Conn) error { exit("OnConnect"); return nil },
					Prepare:        func(*http.Request) error { exit("Prepare"); return nil },
					OnState:        func(*apigws.Client, apigws.StateChange) { exit("OnState") },
					OnGatewayError: func(*apigws.Client, *apigws.GatewayError) { exit("OnGatewayError") },
					OnRetire:       func(context.Context, *apigws.Conn) { exit("OnRetire") },
					Keepalive:      apigws.Keepalive{IsReply: func([]byte) bool { exit("IsReply"); return false }},
					Logger:         slog.New(logHandler(func() { exit("Logger") })),
				}
				opts.Reconnect.Retry = func(error) bool { exit("Retry"); return true }
				opts.Reconnect.Backoff = func() backoff.BackOff {
					exit("Backoff")
					return policyFuncs{
						func() time.Duration { exit("NextBackOff"); return time.Second },
						func() { exit("Reset") },
					}
				}
				c := clienttest.Dial(t, gw, opts)
				dialled.Store(true)
				clienttest.Sleep(20 * time.Second)
				gw.Refuse(503, 1) // so that a rotation or a reconnect asks Retry and the policy
				clienttest.Rotate(t, c)
				clienttest.Sleep(20 * time.Second)
				clienttest.Only(t, gw).Drop()
				clienttest.Sleep(time.Minute)
				clienttest.Only(t, gw).Send([]byte(`{"message": "Forbidden", "connectionId":"a", "requestId":"b"}`))
				clienttest.Sleep(time.Minute) // in IsReply, that costs the connection
				clienttest.Write(t, c, "x")
				if got := clienttest.Read(t, c); got != "x" {
					t.Errorf("Read = %q", got)
				}
				clienttest.InState(t, c, apigws.StateOpen)
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				gone(t, gw, c)
				if calls.Load() == 0 {
					t.Error("the hook was not called")
				}
			})
		})
	}
}

// Retry and IsReply are functions of one client, and never run twice at once: not on two
// connections during a rotation, and not for a rotation and the loss of a connection.
func TestHooksNeverRunTwiceAtOnce(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var running [2]atomic.Int64
		calls := [2]atomic.Int64{}
		hook := func(i int) {
			calls[i].Add(1)
			if running[i].Add(1) > 1 {
				t.Errorf("hook %d runs twice at once", i)
			}
			time.Sleep(5 * time.Second)
			running[i].Add(-1)
		}
		opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
		opts.Reconnect.Retry = func(error) bool { hook(0); return true }
		opts.Keepalive.IsReply = func([]byte) bool { hook(1); return true }
		opts.Reconnect.Drain = time.Minute
		c := clienttest.Dial(t, gw, opts)
		old := clienttest.Only(t, gw)
		clienttest.Rotate(t, c)
		for _, conn := range gw.Conns() { // the old one drains
			conn.Send([]byte("reply"))
			conn.Send([]byte("reply"))
		}
		clienttest.Sleep(2 * time.Minute)
		if old == clienttest.Only(t, gw) {
			t.Fatal("no rotation")
		}
		gw.Refuse(503, 2)
		go c.Rotate(t.Context()) // asks Retry for 5 s
		clienttest.Sleep(time.Second)
		clienttest.Only(t, gw).Drop() // asks it, too
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		if calls[0].Load() < 3 || calls[1].Load() != 4 {
			t.Errorf("%d calls of Retry and %d of IsReply, want 3 and 4", calls[0].Load(), calls[1].Load())
		}
	})
}

// Close can be called where it would have to wait for itself: it begins to close, and returns.
func TestCloseInPoliciesAndLoggers(t *testing.T) {
	for _, hook := range []string{"Backoff", "NextBackOff", "Reset", "OnRetire", "Logger"} {
		t.Run(hook, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				var client atomic.Pointer[apigws.Client]
				var closed atomic.Bool
				closeIn := func(where string) {
					if c := client.Load(); c != nil && where == hook && !closed.Swap(true) {
						if err := c.Close(); err != nil {
							t.Errorf("Close in %s: %v", where, err)
						}
					}
				}
				opts := &apigws.Options{
					OnRetire: func(context.Context, *apigws.Conn) { closeIn("OnRetire") },
					Logger:   slog.New(logHandler(func() { closeIn("Logger") })),
				}
				opts.Reconnect.Backoff = func() backoff.BackOff {
					closeIn("Backoff")
					return policyFuncs{
						func() time.Duration { closeIn("NextBackOff"); return time.Second },
						func() { closeIn("Reset") },
					}
				}
				c := clienttest.Dial(t, gw, opts)
				clienttest.Sleep(20 * time.Second)
				client.Store(c)
				c.Rotate(t.Context())
				clienttest.Sleep(20 * time.Second)
				for _, conn := range gw.Conns() {
					conn.Drop()
				}
				select {
				case <-c.Done():
				case <-time.After(time.Minute):
					t.Fatal("the client has not ended")
				}
				c.Close()
				gone(t, gw, c)
			})
		})
	}
}

// A handler of the logger may write through the client, and wait for a connection: the run loop
// does not wait for it.
func TestLoggerWritesThroughTheClient(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var client atomic.Pointer[apigws.Client]
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			Logger: slog.New(logHandler(func() {
				if c := client.Load(); c != nil {
					c.Write(t.Context(), []byte("line"))
				}
			})),
		})
		client.Store(c)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		if got := clienttest.Texts(clienttest.Only(t, gw)); len(got) < 3 {
			t.Errorf("the gateway has %q, want the lines of a loss, a wait and a connection", got)
		}
		client.Store(nil)
	})
}

// While a hook that hears of states blocks, Dial, New and Ready end with their contexts, and the
// client goes on.
func TestContextsWhileOnStateBlocks(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		release := make(chan struct{})
		opts := &apigws.Options{
			Reconnect: clienttest.Every(time.Hour),
			OnState:   func(*apigws.Client, apigws.StateChange) { <-release },
		}
		gw.Refuse(503, -1)
		start := time.Now()
		if _, err := clienttest.TryDial(t, gw, time.Second, opts); err == nil || time.Since(start) != time.Second {
			t.Errorf("Dial = %v after %v, want the end of its ctx", err, time.Since(start))
		}
		c := clienttest.New(t, gw, opts)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := c.Ready(ctx); err == nil || time.Since(start) != time.Second {
			t.Errorf("Ready = %v after %v, want the end of its ctx", err, time.Since(start))
		}
		gw.Refuse(0, 0)
		clienttest.Sleep(time.Hour)
		if err := c.Ready(t.Context()); err != nil {
			t.Errorf("Ready = %v", err)
		}
		close(release)
	})
}

// An OnConnect that ends its goroutine has not returned nil: its connection is not used.
func TestGoexitInOnConnectIsAFailure(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 1 {
					runtime.Goexit()
				}
				return nil
			},
		})
		if s := c.Stats(); s.Generation != 2 || s.ConnectErrors != 1 {
			t.Errorf("stats: %+v, want a failure and the second connection", s)
		}
	})
}
