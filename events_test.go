package apigws_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// What the logger is told, line by line.
func TestLogLines(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var out bytes.Buffer
		options := func() *apigws.Options {
			return &apigws.Options{
				Reconnect: clienttest.Every(time.Second),
				Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
					Level: slog.LevelDebug,
					ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
						if a.Key == slog.TimeKey {
							return slog.Attr{}
						}
						return a
					},
				})),
			}
		}
		told := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			clienttest.Equal(t, what, strings.Split(strings.TrimSpace(out.String()), "\n"), want)
			out.Reset()
		}
		c := clienttest.Dial(t, gw, options())
		told("connected", "level=INFO msg=connected state=open generation=1 rotated=false")
		clienttest.Rotate(t, c)
		told("rotated", "level=INFO msg=connected state=open generation=2 rotated=true")
		clienttest.Sleep(time.Minute)
		gw.Refuse(503, 1)
		clienttest.Only(t, gw).Close(1001, "")
		clienttest.Sleep(time.Minute)
		told("lost and refused",
			`level=WARN msg="connection lost" generation=2 error="apigws: closed by the gateway: 1001" age=1m0s`,
			`level=INFO msg=reconnecting state=backoff generation=2 retry_in=1s`,
			`level=DEBUG msg="state changed" state=connecting generation=2 error="apigws: closed by the gateway: 1001"`,
			`level=WARN msg="not connected" state=backoff generation=2 `+
				`error="apigws: handshake refused: 503 Service Unavailable" retry_in=1s`,
			`level=DEBUG msg="state changed" state=connecting generation=2 `+
				`error="apigws: handshake refused: 503 Service Unavailable"`,
			`level=INFO msg=connected state=open generation=3 rotated=false`)
		c.Close()
		told("closed", `level=DEBUG msg="state changed" state=closed generation=3 error=<nil>`)

		opts := options()
		opts.Reconnect.Disabled = true
		clienttest.Dial(t, gw, opts)
		clienttest.Only(t, gw).Close(1001, "")
		told("ended",
			"level=INFO msg=connected state=open generation=1 rotated=false",
			`level=WARN msg="connection lost" generation=1 error="apigws: closed by the gateway: 1001" age=0s`,
			`level=ERROR msg="client ended" state=closed generation=1 `+
				`error="apigws: client is closed: closed by the gateway: 1001"`)
	})
}

// Close waits for the lines that the handler of the logger has not had yet.
func TestCloseWaitsForTheLogger(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		lines := 0
		c := clienttest.Dial(t, gw, &apigws.Options{Logger: slog.New(logHandler(func() {
			time.Sleep(time.Minute)
			lines++
		}))})
		clienttest.Sleep(time.Hour)
		before, start := lines, time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Minute || lines != before+1 {
			t.Errorf("Close took %v and %d lines, want a minute for the line of the end", took, lines-before)
		}
	})
}

// The logger and the hooks do not wait for each other: whichever blocks, the other hears of
// everything.
func TestLoggerAndHooksAreApart(t *testing.T) {
	for _, blocked := range []string{"logger", "OnState"} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			release := make(chan struct{})
			wait := func(who string) {
				if who == blocked {
					<-release
				}
			}
			var states, lines atomic.Int64
			clienttest.Dial(t, gw, &apigws.Options{
				Reconnect: clienttest.Every(time.Second),
				OnState:   func(*apigws.Client, apigws.StateChange) { wait("OnState"); states.Add(1) },
				Logger:    slog.New(logHandler(func() { wait("logger"); lines.Add(1) })),
			})
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Minute)
			// Open, backoff, connecting, open; the logger hears of the loss, too.
			want := []int64{4, 0}
			if blocked == "OnState" {
				want = []int64{0, 5}
			}
			clienttest.Equal(t, "states and lines while "+blocked+" blocks", []int64{states.Load(), lines.Load()}, want)
			close(release)
			clienttest.Sleep(time.Minute)
			clienttest.Equal(t, "in the end", []int64{states.Load(), lines.Load()}, []int64{4, 5})
		})
	}
}

// An error frame for which even a widened queue has no room is dropped with its connection, and
// counted.
func TestDroppedErrorFrameIsCounted(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		release := make(chan struct{})
		told := int64(0)
		c := clienttest.Dial(t, gw, &apigws.Options{
			OnGatewayError: func(*apigws.Client, *apigws.GatewayError) {
				<-release
				told++
			},
			Keepalive: apigws.Keepalive{Disabled: true},
			Reconnect: clienttest.Every(time.Hour),
		})
		ctx, cancel := context.WithCancel(t.Context())
		go c.Ping(ctx) // whose PONG never comes: up to 4 MiB are received meanwhile
		frame := []byte(`{"message":"` + strings.Repeat("x", 900) + `","connectionId":"a","requestId":"b"}`)
		conn := clienttest.Only(t, gw)
		for range 5 << 20 / len(frame) {
			conn.Send(frame)
		}
		synctest.Wait()
		cancel()
		if s := c.Stats(); s.Dropped != 0 || s.MessagesReceived*int64(len(frame)) > 4<<20 {
			t.Fatalf("%d of %d dropped, want none: the queue is full", s.Dropped, s.MessagesReceived)
		}
		conn.Drop()
		synctest.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.Write(ctx, []byte("x")) // finds that the connection is lost
		synctest.Wait()
		clienttest.InState(t, c, apigws.StateBackoff)
		close(release)
		clienttest.Sleep(time.Second)
		if s := c.Stats(); s.Dropped == 0 || s.Dropped+told != s.MessagesReceived {
			t.Errorf("%d received, %d told, %d dropped", s.MessagesReceived, told, s.Dropped)
		}
	})
}
