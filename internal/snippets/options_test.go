package snippets

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// renew replaces the connection at each interval, until ctx ends or the client does.
func renew(ctx context.Context, c *apigws.Client, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.Rotate(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shutdown returns nil if the gateway has acknowledged every message.
func shutdown(c *apigws.Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return errors.Join(c.Flush(ctx), c.Close())
}

// dial connects to a fake gateway in the bubble.
func dial(t *testing.T, gw *gatewaytest.Server, opts apigws.Options) *apigws.Client {
	t.Helper()
	opts.HTTPClient = gw.Client()
	c, err := apigws.Dial(t.Context(), gw.URL, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, gatewaytest.RunInMemory(t, nil), apigws.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
		defer cancel()
		if err := renew(ctx, c, 10*time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if s := c.Stats(); s.Rotations != 3 {
			t.Errorf("%d rotations in 35 minutes", s.Rotations)
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.RunInMemory(t, nil)
		c := dial(t, gw, apigws.Options{})
		if err := c.Write(t.Context(), []byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := shutdown(c, time.Minute); err != nil {
			t.Error(err)
		}
		if n := gw.Stats().Messages; n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestKeepaliveMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keepalive := apigws.Keepalive{
			Message: []byte(`{"action":"ping"}`),
			IsReply: func(msg []byte) bool { return bytes.Equal(msg, []byte(`{"action":"pong"}`)) },
		}
		gw := gatewaytest.RunInMemory(t, &gatewaytest.Config{
			RouteResponse: true,
			Backend: func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
				return &gatewaytest.Response{StatusCode: http.StatusOK, Body: `{"action":"pong"}`}, nil
			},
		})
		c := dial(t, gw, apigws.Options{Keepalive: keepalive})
		time.Sleep(time.Hour)
		if s := c.Stats(); s.KeepaliveMessages < 60 || s.Unread != 0 || s.Generation != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRetry(t *testing.T) {
	retry := func(err error) bool {
		var refused *apigws.HandshakeError
		if errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden {
			return true
		}
		return apigws.Retryable(err)
	}
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.RunInMemory(t, nil)
		gw.Refuse(http.StatusForbidden, 5)
		c := dial(t, gw, apigws.Options{Reconnect: apigws.Reconnect{Retry: retry}})
		if s := c.Stats(); s.Refused != 5 {
			t.Errorf("%d refused", s.Refused)
		}
	})
}

// What apigws probe proposes for a strict gateway; docs/probe/report.md has it.
func TestProposalOfTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := &apigws.Options{
			Limits:    apigws.Limits{Idle: 2 * time.Minute},
			Keepalive: apigws.Keepalive{Interval: 55 * time.Second},
		}
		c := dial(t, gatewaytest.RunInMemory(t, nil), *opts)
		time.Sleep(time.Hour)
		if s := c.Stats(); s.Generation != 1 {
			t.Errorf("%+v", s)
		}
	})
}
