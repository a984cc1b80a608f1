package apigws

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/keepalive"
)

// The rules of a connection are those of the options of its client.
func TestKeeperHasTheOptions(t *testing.T) {
	for _, test := range []struct {
		opts Options
		want keepalive.Config
	}{
		{Options{}, keepalive.Config{Interval: 55 * time.Second, Timeout: 10 * time.Second}},
		{
			Options{Keepalive: Keepalive{Interval: time.Second, Timeout: time.Minute, Message: []byte("keep")}},
			keepalive.Config{Interval: time.Second, Timeout: time.Minute, Message: true},
		},
		{
			Options{Keepalive: Keepalive{Disabled: true}, Resend: 1},
			keepalive.Config{Interval: 55 * time.Second, Timeout: 10 * time.Second, Disabled: true, Resend: true},
		},
	} {
		onLaptop(t, test.opts, func(t *testing.T, l *laptop) {
			l.suspend(time.Hour)
			k, now := newKeeper(l.line.lastUsed()), time.Now()
			if k.rules != keepalive.New(test.want, now, now.Add(time.Hour)) || k.due != now {
				t.Errorf("the keeper is %+v, want that of %+v at %v", k, test.want, now)
			}
		})
	}
}

// The run loop says when a tick was due. One that comes late concludes nothing.
func TestKeeperKnowsThatItIsLate(t *testing.T) {
	onLaptop(t, Options{Keepalive: Keepalive{Disabled: true}}, func(t *testing.T, l *laptop) {
		l.gw.Conns()[0].Freeze(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l.Ping(ctx)
		k := newKeeper(l.line.lastUsed())
		k.rules = keepalive.New(keepalive.Config{Interval: time.Hour, Timeout: time.Minute}, k.due, k.due)
		k.due = k.due.Add(-time.Minute)
		next, err := k.tick()
		if err != nil || next != 6*time.Second {
			t.Fatalf("the late tick: %v, %v; want another in 6s", next, err)
		}
		k.due = time.Now().Add(next)
		time.Sleep(next)
		if _, err := k.tick(); !errors.Is(err, ErrNoPong) {
			t.Errorf("the tick in time: %v, want ErrNoPong", err)
		}
		l.gw.Conns()[0].Freeze(false)
	})
}
