package apigws_test

import (
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
