package apigws_test

import (
	"errors"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// No policy makes the client spin: a wait shorter than 10 ms is allowed once, until the policy
// starts over, and a negative one is none.
func TestPoliciesThatDoNotWait(t *testing.T) {
	for _, wait := range []time.Duration{0, -5, math.MinInt64, time.Millisecond, 10*time.Millisecond - 1} {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			if wait == backoff.Stop {
				t.Fatal("this wait gives up")
			}
			var j clienttest.Journal
			attempts := 0
			opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(wait), Prepare: func(*http.Request) error {
				if attempts++; attempts > 10_000 {
					return &apigws.OptionError{Field: "test", Problem: "spins"} // which ends it
				}
				return nil
			}}
			c := clienttest.Dial(t, gw, opts)
			clienttest.Sleep(time.Minute)
			for range 2 {
				gw.Refuse(503, -1)
				clienttest.Only(t, gw).Drop()
				clienttest.Sleep(time.Second)
				gw.Refuse(0, 0)
				clienttest.Sleep(time.Minute)
				clienttest.InState(t, c, apigws.StateOpen)
			}
			// Twice one attempt at once, and then one each 10 ms for a second.
			if n := gw.Stats().Refused[503]; n < 196 || n > 202 {
				t.Errorf("%v: %d attempts in two seconds, want 200", wait, n)
			}
			var least []time.Duration
			for _, d := range j.Waits() {
				if d < 10*time.Millisecond {
					least = append(least, d)
				}
				if d < 0 {
					t.Errorf("a wait of %v", d)
				}
			}
			if want := 2; wait > 0 && len(least) != want || len(least) > want {
				t.Errorf("%v: short waits %v, want one after each loss", wait, least)
			}
		})
	}
}

// A Backoff that returns nil is a wrong option. One that does so later has returned a policy
// before: then the default stands in.
func TestBackoffThatReturnsNil(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		calls := 0
		opts := &apigws.Options{Reconnect: apigws.Reconnect{RotateAfter: time.Hour, Backoff: func() backoff.BackOff {
			if calls++; calls == 1 {
				return backoff.NewConstantBackOff(time.Second)
			}
			return nil
		}}}
		c := clienttest.Dial(t, gw, opts)
		gw.Refuse(503, 3)
		clienttest.Rotate(t, c) // asks the second
		gw.Refuse(404, 2)
		clienttest.Sleep(3 * time.Hour) // by age: asks the third, and one between refusals
		if s := c.Stats(); s.Rotations < 2 || calls < 4 {
			t.Errorf("%d rotations, %d policies", s.Rotations, calls)
		}

		var wrong *apigws.OptionError
		opts.Reconnect.Backoff = func() backoff.BackOff { return nil }
		if _, err := clienttest.TryDial(t, gw, time.Hour, opts); !errors.As(err, &wrong) || wrong.Field != "Reconnect.Backoff" {
			t.Errorf("Dial = %v, want an OptionError", err)
		}
	})
}

// A Fleet of any size is either refused or waited for in full.
func TestLargeFleets(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		for _, n := range []int{1e9 + 1, math.MaxInt32, math.MaxInt} {
			if n <= 1e9 {
				continue // 32-bit
			}
			var wrong *apigws.OptionError
			_, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Reconnect: apigws.Reconnect{Fleet: n}})
			if !errors.As(err, &wrong) || wrong.Field != "Reconnect.Fleet" {
				t.Errorf("a Fleet of %d: %v, want an OptionError", n, err)
			}
		}
		var j clienttest.Journal
		opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)}
		opts.Reconnect.Fleet = 1e9
		opts.Limits.ConnectRate = 1
		clienttest.Dial(t, gw, opts)
		clienttest.Sleep(time.Minute)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Second)
		if waits := j.Waits(); len(waits) != 1 || waits[0] < 0 || waits[0] > 1e9*time.Second {
			t.Errorf("waits %v", waits)
		}
	})
}

// The error of a client that has ended never is a *TooLargeError, although it may tell of one:
// loops around Read and Messages that skip messages that are too large end.
func TestLoopsEndWithTheClient(t *testing.T) {
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		attempts := 0
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			Prepare: func(req *http.Request) error {
				if attempts++; attempts > 1 {
					req.URL.RawQuery = string(long)
				}
				return nil
			},
		})
		clienttest.Only(t, gw).Drop()
		var yielded []error
		for _, err := range c.Messages(t.Context()) {
			if yielded = append(yielded, err); len(yielded) > 2 {
				break
			}
		}
		if len(yielded) != 1 || !errors.Is(yielded[0], apigws.ErrClosed) {
			t.Errorf("Messages yields %v, want the end, once", yielded)
		}
		reads := 0
		var tooLarge *apigws.TooLargeError
		for reads < 3 {
			reads++
			if _, err := c.Read(t.Context()); err != nil && !errors.As(err, &tooLarge) {
				break
			}
		}
		if reads != 1 {
			t.Error("a loop around Read that skips a *TooLargeError does not end")
		}
	})
}
