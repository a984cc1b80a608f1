package apigws_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A Read of a Conn that still waits when OnConnect returns ends then.
func TestConnReadEndsWithItsHook(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		results := make(chan error, 2)
		clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(_ context.Context, conn *apigws.Conn) error {
			go func() {
				_, err := conn.Read(context.Background())
				results <- err
			}()
			go func() {
				_, err := conn.ReadMatch(context.Background(), func([]byte) bool { return true })
				results <- err
			}()
			clienttest.Sleep(0)
			return nil
		}})
		for range 2 {
			if err := <-results; err == nil || !strings.Contains(err.Error(), "after its hook returned") {
				t.Errorf("Read = %v after OnConnect has returned", err)
			}
		}
	})
}

// What OnConnect writes when its connection breaks: what Write says agrees with what the gateway
// got, and no other connection gets it.
func TestConnWriteTellsTheTruth(t *testing.T) {
	end := onWire(len("hello"), 8)
	for cut := 1; cut <= end; cut++ {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			var network clienttest.Brittle
			opts := &apigws.Options{Resend: 1000, Reconnect: clienttest.Every(time.Second)}
			opts.HTTPClient = network.Client(gw)
			opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
				if conn.Generation() > 1 {
					return nil
				}
				network.BreakAfter(cut)
				err := conn.Write(ctx, []byte("hello"))
				want, not := apigws.ErrNotSent, apigws.ErrUnconfirmed
				if cut == end {
					want, not = not, want
				}
				if !errors.Is(err, want) || errors.Is(err, not) || !strings.Contains(err.Error(), "connection lost") {
					t.Errorf("cut after byte %d of %d: Write = %v, want %v and why", cut, end, err, want)
				}
				if err := conn.Write(ctx, []byte("late")); !errors.Is(err, apigws.ErrNotSent) {
					t.Errorf("Write = %v on a connection that is broken", err)
				}
				return nil
			}
			c := clienttest.Dial(t, gw, opts)
			if err := c.Flush(t.Context()); err != nil {
				t.Errorf("Flush = %v: Write has told already", err)
			}
			if got := len(clienttest.Received(gw)); got != cut/end {
				t.Errorf("cut after byte %d of %d: %d messages arrived", cut, end, got)
			}
		})
	}
}
