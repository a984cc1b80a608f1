package apigws_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
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

// gone checks that neither client nor gateway has a connection left. That no
// goroutine is left either is what every bubble checks when it ends.
func gone(t *testing.T, gw *gatewaytest.Server, c *apigws.Client) {
	t.Helper()
	synctest.Wait()
	if n := len(gw.Conns()); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	clienttest.InState(t, c, apigws.StateClosed)
	select {
	case <-c.Done():
	default:
		t.Error("Close has returned, and Done is open")
	}
	if c.Err() != apigws.ErrClosed {
		t.Errorf("Err = %v, want ErrClosed and no other", c.Err())
	}
}

// Close in every phase of a client's life: at once, and without leftovers.
func TestClosePhases(t *testing.T) {
	type gateway = gatewaytest.Server
	tests := map[string]struct {
		prepare func(gw *gateway, opts *apigws.Options, again func() bool) // before the client connects
		disrupt func(gw *gateway)                                          // once it is open
		state   apigws.State                                               // when Close is called
		takes   time.Duration
	}{
		"open": {state: apigws.StateOpen},
		"backoff": {
			disrupt: func(gw *gateway) { gw.Conns()[0].Drop() },
			prepare: func(_ *gateway, opts *apigws.Options, _ func() bool) { opts.Reconnect = clienttest.Every(time.Hour) },
			state:   apigws.StateBackoff,
		},
		"dial": {
			disrupt: func(gw *gateway) { gw.Conns()[0].Drop() },
			prepare: func(gw *gateway, opts *apigws.Options, again func() bool) {
				opts.HTTPClient = dialling(gw, func(ctx context.Context) error {
					if !again() {
						return nil
					}
					return slowDial(ctx)
				})
			},
			state: apigws.StateConnecting,
		},
		"handshake": {
			disrupt: func(gw *gateway) { gw.Hold(true); gw.Conns()[0].Drop() },
			state:   apigws.StateConnecting,
		},
		"Prepare": {
			disrupt: func(gw *gateway) { gw.Conns()[0].Drop() },
			prepare: func(_ *gateway, opts *apigws.Options, again func() bool) {
				opts.Prepare = func(req *http.Request) error {
					if again() {
						<-req.Context().Done()
					}
					return req.Context().Err()
				}
			},
			state: apigws.StateConnecting,
		},
		"OnConnect": {
			disrupt: func(gw *gateway) { gw.Conns()[0].Drop() },
			prepare: func(_ *gateway, opts *apigws.Options, again func() bool) {
				opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
					if again() {
						<-ctx.Done()
					}
					return nil // although it was cancelled
				}
			},
			state: apigws.StateConnecting,
		},
		"OnConnect that does not listen": {
			disrupt: func(gw *gateway) { gw.Conns()[0].Drop() },
			prepare: func(_ *gateway, opts *apigws.Options, again func() bool) {
				opts.OnConnect = func(context.Context, *apigws.Conn) error {
					if again() {
						time.Sleep(time.Minute)
					}
					return nil
				}
			},
			state: apigws.StateConnecting,
			takes: time.Minute - 10*time.Second,
		},
		"OnConnect of a rotation": {
			prepare: func(_ *gateway, opts *apigws.Options, again func() bool) {
				opts.Reconnect.RotateAfter = time.Second
				opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
					if again() {
						<-ctx.Done()
					}
					return nil
				}
			},
			state: apigws.StateOpen,
		},
		"handshake of a rotation": {
			prepare: func(_ *gateway, opts *apigws.Options, _ func() bool) { opts.Reconnect.RotateAfter = time.Second },
			disrupt: func(gw *gateway) { gw.Hold(true) },
			state:   apigws.StateOpen,
		},
		"drain of a rotation": {
			prepare: func(_ *gateway, opts *apigws.Options, _ func() bool) {
				opts.Reconnect.RotateAfter, opts.Reconnect.Drain = 8*time.Second, time.Hour
			},
			state: apigws.StateOpen,
		},
		"frozen path": {
			disrupt: func(gw *gateway) { gw.Conns()[0].Freeze(true) },
			state:   apigws.StateOpen,
			takes:   5 * time.Second,
		},
		"frozen path, other CloseTimeout": {
			prepare: func(_ *gateway, opts *apigws.Options, _ func() bool) { opts.CloseTimeout = time.Second },
			disrupt: func(gw *gateway) { gw.Conns()[0].Freeze(true) },
			state:   apigws.StateOpen,
			takes:   time.Second,
		},
		"gateway that answers nothing": {
			disrupt: func(gw *gateway) { gw.Conns()[0].FreezeOut(true) },
			state:   apigws.StateOpen,
			takes:   5 * time.Second,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
				first := true
				if test.prepare != nil {
					// again tells the first connection from the others.
					test.prepare(gw, opts, func() bool { defer func() { first = false }(); return !first })
				}
				c := clienttest.Dial(t, gw, opts)
				frozen := clienttest.Only(t, gw)
				if test.disrupt != nil {
					test.disrupt(gw)
				}
				// Everything that waits for the client while it is closed.
				calls := map[string]func() error{
					"Write":  func() error { return c.Write(t.Context(), []byte("x")) },
					"Read":   func() error { _, err := c.Read(t.Context()); return err },
					"Ping":   func() error { _, err := c.Ping(t.Context()); return err },
					"Rotate": func() error { return c.Rotate(t.Context()) },
				}
				clienttest.Sleep(11 * time.Second)
				clienttest.InState(t, c, test.state)
				var waiting sync.WaitGroup
				for name, call := range calls {
					if test.state == apigws.StateOpen && name != "Read" {
						continue // would succeed, or break something
					}
					waiting.Go(func() {
						if err := call(); !errors.Is(err, apigws.ErrClosed) {
							t.Errorf("%s while the client is closed: %v", name, err)
						}
					})
				}
				synctest.Wait()
				start := time.Now()
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if took := time.Since(start); took != test.takes {
					t.Errorf("Close took %v, want %v", took, test.takes)
				}
				waiting.Wait()
				frozen.Freeze(false)
				gw.Hold(false)
				gone(t, gw, c)
				clienttest.Sleep(time.Hour)
				gone(t, gw, c)
				allSayWhy(t, c, nil)
				if err := c.Flush(t.Context()); err != nil {
					t.Errorf("Flush after Close, with nothing on its way: %v", err)
				}
				if err := c.Close(); err != nil {
					t.Errorf("Close again: %v", err)
				}
			})
		})
	}
}

// dialling is a client for gw that calls first before it dials.
func dialling(gw *gatewaytest.Server, first func(context.Context) error) *http.Client {
	dial := gw.Client().Transport.(*http.Transport).DialContext
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if err := first(ctx); err != nil {
				return nil, err
			}
			return dial(ctx, network, addr)
		},
		DisableKeepAlives: true,
	}}
}

// slowDial is a dial that gets no answer. net/http does not hand it the context
// of the request: it goes on in the transport for as long as the dialler lets
// it, which for http.DefaultTransport is half a minute. The client does not
// wait for that.
func slowDial(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Second):
	}
	return os.ErrDeadlineExceeded
}

// A dial that does not listen to its context finishes after Close. It leads to
// no connection.
func TestDialThatFinishesAfterClose(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		dials := 0
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			HTTPClient: dialling(gw, func(context.Context) error {
				if dials++; dials > 1 {
					time.Sleep(time.Minute)
				}
				return nil
			}),
		})
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(2 * time.Second)
		clienttest.InState(t, c, apigws.StateConnecting)
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		clienttest.Sleep(time.Hour)
		gone(t, gw, c)
		clienttest.Accepted(t, gw, 1)
	})
}

// A Dial that is cancelled leaves nothing behind either, wherever it is.
func TestDialCancelled(t *testing.T) {
	tests := map[string]func(gw *gatewaytest.Server, opts *apigws.Options){
		"dial": func(gw *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = dialling(gw, slowDial)
		},
		"handshake": func(gw *gatewaytest.Server, _ *apigws.Options) { gw.Hold(true) },
		"backoff": func(gw *gatewaytest.Server, opts *apigws.Options) {
			gw.Refuse(503, -1)
			opts.Reconnect = clienttest.Every(time.Hour)
		},
		"Prepare": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.Prepare = func(req *http.Request) error { <-req.Context().Done(); return nil }
		},
		"OnConnect": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.OnConnect = func(ctx context.Context, _ *apigws.Conn) error { <-ctx.Done(); return nil }
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				var j clienttest.Journal
				opts := &apigws.Options{OnState: j.Note}
				prepare(gw, opts)
				start := time.Now()
				c, err := clienttest.TryDial(t, gw, 10*time.Second, opts)
				if c != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
					t.Errorf("Dial = %v, %v after %v", c, err, time.Since(start))
				}
				gw.Hold(false)
				synctest.Wait()
				if n := len(gw.Conns()); n != 0 {
					t.Errorf("%d connections are left", n)
				}
				changes := j.All()
				if last := changes[len(changes)-1]; last.To != apigws.StateClosed {
					t.Errorf("the last change is %+v", last)
				}
				clienttest.Sleep(2 * time.Hour)
				if got := gw.Stats(); got.Accepted > 1 || got.Refused[503] > 1 {
					t.Errorf("Dial goes on after its end: %+v", got)
				}
			})
		})
	}
}

// ctx of Dial has no effect once Dial has returned.
func TestContextOfDial(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{HTTPClient: gw.Client(), Reconnect: clienttest.Every(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		cancel()
		clienttest.Sleep(time.Minute)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Accepted(t, gw, 2)
	})
}

// However often and from wherever: all Closes wait for the end, and say the
// same.
func TestConcurrentClose(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.Only(t, gw).Freeze(true)
		clienttest.Write(t, c, "lost")
		start := time.Now()
		var closers sync.WaitGroup
		results := make([]string, 8)
		for i := range results {
			closers.Go(func() {
				err := c.Close()
				if !errors.Is(err, apigws.ErrUnconfirmed) {
					t.Errorf("Close: %v, want ErrUnconfirmed", err)
				}
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("Close took %v, want CloseTimeout", took)
				}
				results[i] = err.Error()
			})
		}
		closers.Wait()
		if slices.Sort(results); results[0] != results[7] {
			t.Errorf("Close said %q and %q", results[0], results[7])
		}
	})
}

// What had been received can still be read after Close.
func TestReadAfterClose(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		for _, msg := range []string{"one", "two"} {
			clienttest.Only(t, gw).Send([]byte(msg))
		}
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"one", "two"} {
			if got := clienttest.Read(t, c); got != want {
				t.Errorf("Read = %q, want %q", got, want)
			}
		}
		if _, err := c.Read(t.Context()); err != apigws.ErrClosed {
			t.Errorf("Read after the last message: %v", err)
		}
	})
}

// A failure that nobody has called Close for takes messages with it. Flush
// tells, and so does Close.
func TestFlushAfterTerminalFailure(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, "lost")
		clienttest.Only(t, gw).Close(1001, "Going away")
		<-c.Done()
		var closed *apigws.CloseError
		if err := c.Flush(t.Context()); !errors.Is(err, apigws.ErrUnconfirmed) || !errors.As(err, &closed) {
			t.Errorf("Flush: %v, want ErrUnconfirmed and the close frame", err)
		}
		for range 2 {
			if err := c.Close(); !errors.Is(err, apigws.ErrUnconfirmed) || !errors.As(err, &closed) {
				t.Errorf("Close: %v, want ErrUnconfirmed and the close frame", err)
			}
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush tells of a loss again: %v", err)
		}
	})
}

// A hook may be deep in calls of its own when it closes the client.
func TestCloseDeepInAHook(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		closed := make(chan error, 1)
		var c *apigws.Client
		var dive func(n int)
		dive = func(n int) {
			if n == 0 {
				closed <- c.Close()
				return
			}
			dive(n - 1)
		}
		c = clienttest.Dial(t, gw, &apigws.Options{
			OnGatewayError: func(*apigws.Client, *apigws.GatewayError) { dive(1000) },
		})
		clienttest.Only(t, gw).Send([]byte(`{"message": "Forbidden", "connectionId":"a", "requestId":"b"}`))
		if err := <-closed; err != nil {
			t.Error(err)
		}
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateClosed)
	})
}

// A Write that comes too late for the CLOSE must not cost what was written
// before: the close handshake goes on.
func TestCloseBesideWrites(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.Write(t, c, "to be confirmed")
		synctest.Wait()
		// One message is in the socket, one in the batch after it, which is full,
		// and one waits for the next.
		clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{RateIn: 100 << 10, Latency: 2 * time.Second})
		var writing sync.WaitGroup
		errs := make([]error, 3)
		for i, size := range []int{128 << 10, 100 << 10, 1} {
			writing.Go(func() { errs[i] = c.Write(t.Context(), []byte(strings.Repeat("x", size))) })
			time.Sleep(10 * time.Millisecond)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		writing.Wait()
		if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], apigws.ErrNotSent) || !errors.Is(errs[2], apigws.ErrClosed) {
			t.Errorf("the writes: %v", errs)
		}
	})
}

// A close by the gateway that crosses ours is no answer to it, and no proof that
// anything has arrived.
func TestCloseCrossesAClose(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		conn.FreezeIn(true)
		clienttest.Write(t, c, "never arrives")
		time.AfterFunc(time.Second, func() { conn.Close(1000, "") })
		if err := c.Close(); !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("Close: %v, want ErrUnconfirmed", err)
		}
		if got := clienttest.Texts(conn); len(got) != 0 {
			t.Errorf("the gateway has %q", got)
		}
	})
}

// Close that meets a handover has CloseTimeout for both connections together.
func TestCloseInTheMiddleOfAHandover(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, "x")
		go c.Rotate(t.Context())
		clienttest.Sleep(10*time.Second + time.Millisecond) // no PONG: the old one is being closed
		for _, conn := range gw.Conns() {
			conn.Freeze(true)
		}
		time.AfterFunc(2*time.Second, func() { c.Close() }) // which gives it no more time
		start := time.Now()
		if err := c.Close(); !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Close took %v, and CloseTimeout is 5s", took)
		}
	})
}
