package apigws_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// The context of Rotate ends its wait also while the rotation is under way.
func TestRotateCancelledUnderWay(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			if conn.Generation() > 1 {
				<-ctx.Done()
			}
			return nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := c.Rotate(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Rotate = %v after %v, want the end of its context after 1s", err, time.Since(start))
		}
		clienttest.InState(t, c, apigws.StateOpen)
	})
}

// Fleet spreads clients whose connections were open for a while. A connection that was lost soon
// after it was made is a failure of its own, and the policy decides.
func TestFleetIsForStableConnections(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		reconnect := clienttest.Every(7 * time.Second)
		reconnect.Fleet = 1e9
		clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: reconnect})
		clienttest.Sleep(9 * time.Second)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Second)
		if got := j.Waits(); !slices.Equal(got, []time.Duration{7 * time.Second}) {
			t.Errorf("waits %v, want 7s", got)
		}
	})
}

// The default logger hears of warnings and errors, and of nothing else.
func TestDefaultLogger(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second)})
		clienttest.Rotate(t, c)
		clienttest.Sleep(time.Minute)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	log := out.String()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, `level=WARN msg="connection lost"`) {
		t.Errorf("the default logger heard\n%s\nwant one warning", log)
	}
}
