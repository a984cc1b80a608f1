package apigws_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/cenkalti/backoff/v4"
)

// Everything else runs on a network in memory. Here the same is done once on
// real sockets, plain and with TLS. The clock is real too, so nothing depends
// on how long it takes.
func TestNetwork(t *testing.T) {
	for name, newServer := range map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"TCP": gatewaytest.NewServer,
		"TLS": gatewaytest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			gw := newServer(nil)
			defer gw.Close()
			if secure := strings.HasPrefix(gw.URL, "wss://"); secure != (name == "TLS") {
				t.Fatalf("the URL is %s", gw.URL)
			}

			opened := make(chan apigws.StateChange, 100)
			gw.Refuse(503, 1)
			c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{
				HTTPClient: gw.Client(),
				Reconnect:  apigws.Reconnect{Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }},
				OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
					if err := conn.Write(ctx, []byte("hello")); err != nil {
						return err
					}
					_, err := conn.Read(ctx)
					return err
				},
				OnState: func(_ *apigws.Client, s apigws.StateChange) {
					if s.To == apigws.StateOpen {
						opened <- s
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			converse := func() {
				t.Helper()
				for _, size := range []int{1, 32 << 10, 32<<10 + 1, 128 << 10} {
					msg := strings.Repeat("x", size)
					if err := c.Write(ctx, []byte(msg)); err != nil {
						t.Fatal(err)
					}
					if p, err := c.Read(ctx); err != nil || string(p) != msg {
						t.Fatalf("of %d bytes %d came back: %v", size, len(p), err)
					}
				}
				if err := c.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				if rtt, err := c.Ping(ctx); err != nil || rtt <= 0 {
					t.Fatalf("Ping = %v, %v", rtt, err)
				}
			}
			generation := 0
			open := func() {
				t.Helper()
				generation++
				select {
				case s := <-opened:
					if s.Generation != generation {
						t.Fatalf("generation %d is open, want %d", s.Generation, generation)
					}
				case <-ctx.Done():
					t.Fatal("not open")
				}
				converse()
			}

			open()
			for _, breakIt := range []func(*gatewaytest.Conn){
				func(conn *gatewaytest.Conn) { conn.Drop() },
				func(conn *gatewaytest.Conn) { conn.Close(1001, "Going away") },
				func(conn *gatewaytest.Conn) { conn.Close(1006, "") },
			} {
				conns := gw.Conns()
				breakIt(conns[len(conns)-1])
				open()
			}
			if err := c.Rotate(ctx); err != nil {
				t.Fatal(err)
			}
			open()
			if got := gw.Stats().Accepted; got != 5 {
				t.Errorf("%d connections, want 5", got)
			}
			if s := c.Stats(); s.LostClosed != 1 || s.LostNetwork != 2 || s.Rotations != 1 || s.Refused != 1 {
				t.Errorf("Stats = %+v", s)
			}

			// A cancelled Read costs nothing here either.
			short, stop := context.WithCancel(ctx)
			time.AfterFunc(time.Millisecond, stop)
			if _, err := c.Read(short); !errors.Is(err, context.Canceled) {
				t.Errorf("Read: %v", err)
			}
			converse()
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := gw.Stats(); got.Accepted != 5 || got.Closed[1009] != 0 {
				t.Errorf("the gateway counts %+v", got)
			}
		})
	}
}

// The gateway's certificate counts: without trust there is no connection, and
// Dial says why when its time is up.
func TestNetworkUntrusted(t *testing.T) {
	gw := gatewaytest.NewTLSServer(nil)
	defer gw.Close()
	_, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
	var failed *apigws.HandshakeError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Dial: %v", err)
	}
}

// On real sockets, too, breaks leave no goroutine.
func TestNetworkLeavesNoGoroutine(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := runtime.NumGoroutine()
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	opened := make(chan struct{}, 100)
	c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{
		HTTPClient: gw.Client(),
		Reconnect:  apigws.Reconnect{Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }},
		OnState: func(_ *apigws.Client, s apigws.StateChange) {
			if s.To == apigws.StateOpen {
				opened <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-opened
	for range 50 {
		gw.Conns()[0].Drop()
		select {
		case <-opened:
		case <-ctx.Done():
			t.Fatal("not back")
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	gw.Close()
	// Those of net/http end a little after the connections that they served.
	for runtime.NumGoroutine() > before && ctx.Err() == nil {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// An idle client has one goroutine: the one that reads its connection, or, over TLS, waits for
// something to read.
func TestIdleClientHasOneGoroutine(t *testing.T) {
	const reads, waits = ".(*receiver).readMessages(", ".(*receiver).awaitInput("
	overTLS := waits
	if runtime.GOOS == "windows" {
		overTLS = reads
	}
	for name, test := range map[string]struct {
		start func(*gatewaytest.Config) *gatewaytest.Server
		in    string
	}{
		"TCP": {gatewaytest.NewServer, reads},
		"TLS": {gatewaytest.NewTLSServer, overTLS},
	} {
		t.Run(name, func(t *testing.T) {
			gw := test.start(nil)
			defer gw.Close()
			c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: gw.Client()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var ours []string
			// Those of the handshake are about to end.
			for (len(ours) != 1 || !strings.Contains(ours[0], test.in)) && ctx.Err() == nil {
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				ours = slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
					return !strings.Contains(stack, "apigws/apigws.(") && !strings.Contains(stack, "apigws/apigws/internal/")
				})
			}
			if ctx.Err() != nil {
				t.Errorf("%d goroutines, want one, in %s:\n%s", len(ours), test.in, strings.Join(ours, "\n\n"))
			}
		})
	}
}
