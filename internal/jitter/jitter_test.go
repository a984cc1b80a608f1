package jitter

import (
	"testing"
	"time"
)

// lowest and highest draw the ends of what may be drawn.
func lowest(time.Duration) time.Duration    { return 0 }
func highest(n time.Duration) time.Duration { return n - 1 }

// The bounds of the waits, exactly: a wait is more than nothing and at most its bound.
func TestFullBounds(t *testing.T) {
	bounds := []time.Duration{
		500 * time.Millisecond,
		833333333,
		1388888888,
		2314814813,
		3858024688,
		6430041146,
		10716735243,
		17861225405,
		29768709008,
		30 * time.Second,
		30 * time.Second,
	}
	low, high := NewFull(lowest), NewFull(highest)
	for range 2 {
		for i, bound := range bounds {
			if wait := low.NextBackOff(); wait != 1 {
				t.Errorf("shortest wait %d: %v, want 1ns", i, wait)
			}
			if wait := high.NextBackOff(); wait != bound {
				t.Errorf("longest wait %d: %v, want %v", i, wait, bound)
			}
		}
		low.Reset()
		high.Reset() // begins again
	}
}

// It never ends: no wait is backoff.Stop, which is negative.
func TestFullHasNoEnd(t *testing.T) {
	full := NewFull(highest)
	for i := range 10_000 {
		if wait := full.NextBackOff(); wait <= 0 || wait > 30*time.Second {
			t.Fatalf("wait %d: %v", i, wait)
		}
	}
}

// What is drawn is what is waited, so that the waits are as evenly spread as the draws.
func TestFullUsesItsDraw(t *testing.T) {
	var asked []time.Duration
	full := NewFull(func(n time.Duration) time.Duration {
		asked = append(asked, n)
		return n / 3
	})
	for i := range 12 {
		if wait := full.NextBackOff(); len(asked) != i+1 || wait != asked[i]/3+1 {
			t.Fatalf("wait %d: %v after drawing from %v", i, wait, asked)
		}
	}
}

// The first waits of n clients span the time in which the gateway admits n connections.
func TestFleet(t *testing.T) {
	for _, tc := range []struct {
		n, rate int
		longest time.Duration
	}{
		{0, 500, 0},
		{1, 500, 2 * time.Millisecond},
		{500, 500, time.Second},
		{10_000, 500, 20 * time.Second},
		{10_000, 2000, 5 * time.Second},
		{1, 2000, 500 * time.Microsecond},
		{100, 3, 33333333333},
		{5_000_000, 500, 10_000 * time.Second},
	} {
		if wait := Fleet(lowest, tc.n, tc.rate); wait != 0 {
			t.Errorf("shortest wait of %d at %d a second: %v, want 0", tc.n, tc.rate, wait)
		}
		// The rate divides in floating point, which may round by some nanoseconds.
		wait := Fleet(highest, tc.n, tc.rate)
		if (wait - tc.longest).Abs() > time.Microsecond {
			t.Errorf("longest wait of %d at %d a second: %v, want %v", tc.n, tc.rate, wait, tc.longest)
		}
	}
}
