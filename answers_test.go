package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A goroutine that reads a message, writes the answer, and reads on, never hangs with Resend: Write
// waits for room in the window, room for a PONG, and the PONG is behind messages that only this
// goroutine would read. So they are taken in meanwhile.
func TestAnswersWithResend(t *testing.T) {
	const n = 1400
	answer := func(i int) string { return fmt.Sprint(i, strings.Repeat("a", 1000)) }
	errorFrame := func(i int) string {
		return fmt.Sprintf(`{"message": "%s", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"%d"}`, strings.Repeat("m", 230), i)
	}
	// Each answers all messages that are pushed, and returns when it has.
	tests := map[string]func(t *testing.T, ctx context.Context, c *apigws.Client){
		"Write": func(t *testing.T, ctx context.Context, c *apigws.Client) {
			for i := range n {
				if _, err := c.Read(ctx); err != nil {
					t.Fatalf("Read %d: %v", i, err)
				}
				if err := c.Write(ctx, []byte(answer(i))); err != nil {
					t.Fatalf("Write %d: %v", i, err)
				}
			}
		},
		"Flush": func(t *testing.T, ctx context.Context, c *apigws.Client) {
			for i := range n {
				if _, err := c.Read(ctx); err != nil {
					t.Fatalf("Read %d: %v", i, err)
				}
				if err := c.Write(ctx, []byte(answer(i))); err != nil {
					t.Fatalf("Write %d: %v", i, err)
				}
				if err := c.Flush(ctx); err != nil {
					t.Fatalf("Flush %d: %v", i, err)
				}
			}
		},
		"OnGatewayError": nil, // does so itself
	}
	for name, run := range tests {
		for _, window := range []int{64 << 10, 1 << 20} {
			t.Run(fmt.Sprint(name, window), func(t *testing.T) {
				cfg := &gatewaytest.Config{Backend: gatewaytest.Silent, Buffer: 4 << 20}
				clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					answered := make(chan struct{})
					opts := &apigws.Options{Resend: window}
					if run == nil {
						i := 0
						opts.OnGatewayError = func(c *apigws.Client, e *apigws.GatewayError) {
							if err := c.Write(ctx, []byte(answer(i))); err != nil {
								t.Errorf("Write %d in OnGatewayError: %v", i, err)
							}
							if i++; i == n {
								close(answered)
							}
						}
					}
					c := clienttest.Dial(t, gw, opts)
					conn := clienttest.Only(t, gw)
					conn.SetFaults(gatewaytest.Faults{Latency: 50 * time.Millisecond})
					for i := range n {
						msg := fmt.Sprint(i, strings.Repeat("p", 300))
						if run == nil {
							msg = errorFrame(i)
						}
						if err := conn.Send([]byte(msg)); err != nil {
							t.Fatal(err)
						}
					}
					clienttest.Sleep(time.Second) // they fill the queue, and what the path holds
					if run != nil {
						run(t, ctx, c)
					} else {
						select {
						case <-answered:
						case <-ctx.Done():
							t.Fatal("stuck")
						}
					}
					if err := c.Flush(ctx); err != nil {
						t.Error(err)
					}
					got := clienttest.Texts(conn)
					for i := range n {
						if len(got) != n || got[i] != answer(i) {
							t.Fatalf("%d answers arrived, or not in order", len(got))
						}
					}
					clienttest.Accepted(t, gw, 1)
				})
			})
		}
	}
}

// Even what is taken in meanwhile has a bound. When it is reached, nothing acknowledges any more
// what was written: Write gives up, with nothing sent, rather than wait for ever.
func TestWriteGivesUpBehindUnreadMessages(t *testing.T) {
	cfg := &gatewaytest.Config{Backend: gatewaytest.Silent, Buffer: 16 << 20}
	clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000})
		conn := clienttest.Only(t, gw)
		for range 8 << 10 {
			if err := conn.Send(make([]byte, 1<<10)); err != nil {
				t.Fatal(err)
			}
		}
		clienttest.Sleep(time.Second)
		clienttest.Write(t, c, strings.Repeat("a", 1000)) // fills the window; its PONG is behind 8 MiB
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		err := c.Write(ctx, []byte("b"))
		if !errors.Is(err, apigws.ErrNotSent) || errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(fmt.Sprint(err), "nobody reads") {
			t.Errorf("Write = %v, want ErrNotSent and why", err)
		}
		if took := time.Since(start); took < 10*time.Second || took > time.Minute {
			t.Errorf("Write gave up after %v, want Keepalive.Timeout", took)
		}
		if err := c.Flush(ctx); !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(fmt.Sprint(err), "nobody reads") {
			t.Errorf("Flush = %v, want ErrUnconfirmed and why", err)
		}
		if got := c.Stats().Unread; got > 4<<20/(1<<10)+1 {
			t.Errorf("%d messages of 1 KiB wait, want 4 MiB at the most", got)
		}
		// Who reads on gets on.
		go func() {
			for range c.Messages(t.Context()) {
			}
		}()
		clienttest.Write(t, c, "c")
		if err := c.Flush(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		clienttest.Equal(t, "received", clienttest.Texts(conn)[1:], []string{"c"})
		clienttest.Accepted(t, gw, 1)
	})
}

// An OnGatewayError that waits for an acknowledgement does not wait for ever where that is behind
// more error frames than are received before it returns.
func TestFlushBehindErrorFrames(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		const frame = `{"message": "Forbidden", "connectionId": "a", "requestId": "b"}`
		var err error
		var took time.Duration
		c := clienttest.Dial(t, gw, &apigws.Options{
			Resend: 1000,
			OnGatewayError: func(c *apigws.Client, _ *apigws.GatewayError) {
				if took == 0 {
					start := time.Now()
					err = c.Flush(t.Context())
					took = time.Since(start)
				}
			},
		})
		conn := clienttest.Only(t, gw)
		conn.FreezeIn(true)
		clienttest.Write(t, c, "x")
		go conn.SendRaw([]byte(strings.Repeat("\x81"+string(rune(len(frame)))+frame, 6<<20/len(frame))))
		clienttest.Sleep(time.Second)
		conn.FreezeIn(false)
		clienttest.Sleep(time.Minute)
		if took == 0 || !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("Flush = %v after %v, want an error within a minute", err, took)
		}
	})
}
