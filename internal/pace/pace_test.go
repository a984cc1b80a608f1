package pace

import (
	"context"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/jitter"
)

// A policy whose methods are functions.
type policy struct {
	next  func() time.Duration
	reset func()
}

func (p policy) NextBackOff() time.Duration { return p.next() }
func (p policy) Reset()                     { p.reset() }

// pacerOf returns a Pacer whose policy waits for d.
func pacerOf(t *testing.T, d time.Duration) *Pacer {
	t.Helper()
	p, ok := New(func() backoff.BackOff { return policy{func() time.Duration { return d }, func() {}} })
	if !ok {
		t.Fatal("the policy is refused")
	}
	return p
}

func checkNext(t *testing.T, p *Pacer, want time.Duration) {
	t.Helper()
	if wait, ok := p.Next(); wait != want || !ok {
		t.Errorf("Next = %v, %v, want %v, true", wait, ok, want)
	}
}

// A wait shorter than MinWait is allowed once, until Reset; a negative one is none.
func TestMinWait(t *testing.T) {
	for _, test := range []struct{ policy, first, then time.Duration }{
		{math.MinInt64, 0, MinWait},
		{-2, 0, MinWait},
		{0, 0, MinWait},
		{1, 1, MinWait},
		{MinWait - 1, MinWait - 1, MinWait},
		{MinWait, MinWait, MinWait},
		{MinWait + 1, MinWait + 1, MinWait + 1},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		p := pacerOf(t, test.policy)
		for range 2 {
			checkNext(t, p, test.first)
			checkNext(t, p, test.then)
			checkNext(t, p, test.then)
			p.Reset()
		}
	}
}

// A long wait does not use up the short one.
func TestShortWaitAfterLongOnes(t *testing.T) {
	d := time.Hour
	p, _ := New(func() backoff.BackOff { return policy{func() time.Duration { return d }, func() {}} })
	checkNext(t, p, time.Hour)
	d = 0
	checkNext(t, p, 0)
	checkNext(t, p, MinWait)
}

// A policy that gives up is heard also when it has been hasty.
func TestStop(t *testing.T) {
	p := pacerOf(t, backoff.Stop)
	for range 2 {
		if wait, ok := p.Next(); ok || wait != 0 {
			t.Errorf("Next = %v, %v, want 0, false", wait, ok)
		}
	}
}

// Reset reaches the policy, and so does each Next.
func TestPolicyIsAsked(t *testing.T) {
	var asked, resets int
	p, ok := New(func() backoff.BackOff {
		return policy{func() time.Duration { asked++; return time.Duration(asked) * time.Second }, func() { resets++; asked = 0 }}
	})
	if !ok || asked+resets != 0 {
		t.Fatalf("%v; asked %d times, reset %d times, before anything was to be known", ok, asked, resets)
	}
	for _, want := range []time.Duration{time.Second, 2 * time.Second} {
		checkNext(t, p, want)
	}
	p.Reset()
	checkNext(t, p, time.Second)
	if resets != 1 {
		t.Errorf("reset %d times, want once", resets)
	}
}

// Where there is no policy, the default one stands in. Only one that was to be made, and is nil, is
// told.
func TestDefaultPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		makePolicy func() backoff.BackOff
		ok         bool
	}{
		"none":   {nil, true},
		"Goexit": {func() backoff.BackOff { runtime.Goexit(); return nil }, true},
		"nil":    {func() backoff.BackOff { return nil }, false},
	} {
		p, ok := New(test.makePolicy)
		if ok != test.ok {
			t.Errorf("%s: ok is %v, want %v", name, ok, test.ok)
		}
		if _, full := p.policy.(*jitter.Full); !full {
			t.Errorf("%s: the policy is a %T", name, p.policy)
		}
		differ, first := false, time.Duration(0)
		for range 20 { // all alike with a chance of 1 in 10^150
			p.Reset()
			p.hasted = true // waits below MinWait are MinWait
			wait, ok := p.Next()
			if !ok || wait < MinWait || wait > 500*time.Millisecond {
				t.Errorf("%s: the first wait is %v, %v", name, wait, ok)
			}
			differ = differ || first != 0 && wait != first
			first = wait
		}
		if !differ {
			t.Errorf("%s: all first waits are %v", name, first)
		}
	}
}

// A policy that ends its goroutine ends nothing else: instead of an answer there is a first wait of
// the default policy.
func TestGoexit(t *testing.T) {
	p, _ := New(func() backoff.BackOff {
		return policy{func() time.Duration { runtime.Goexit(); return time.Hour }, func() { runtime.Goexit() }}
	})
	some := false
	for range 20 { // none above 0 with a chance of 1 in 10^170
		p.Reset()
		wait, ok := p.Next()
		if !ok || wait < 0 || wait > 500*time.Millisecond {
			t.Errorf("Next = %v, %v, want half a second at most", wait, ok)
		}
		some = some || wait > 0
	}
	if !some {
		t.Error("no wait at all")
	}
	// Reset has its effect although the policy has not returned from it.
	p = pacerOf(t, 0)
	p.policy = policy{p.policy.NextBackOff, func() { runtime.Goexit() }}
	checkNext(t, p, 0)
	p.Reset()
	checkNext(t, p, 0)
}

// All calls of the user's functions are callbacks.
func TestPolicyRunsInside(t *testing.T) {
	calls := 0
	check := func() {
		calls++
		if !callback.Inside() {
			t.Error("not inside a callback")
		}
	}
	p, _ := New(func() backoff.BackOff {
		check()
		return policy{func() time.Duration { check(); return 0 }, check}
	})
	p.Next()
	p.Reset()
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		closed := make(chan struct{})
		close(closed)
		for name, test := range map[string]struct {
			ctx  context.Context
			stop chan struct{}
			took time.Duration
			want bool
		}{
			"time passes":    {t.Context(), nil, time.Minute, true},
			"ctx has ended":  {ended, nil, 0, false},
			"stop is closed": {t.Context(), closed, 0, false},
			"open stop":      {t.Context(), make(chan struct{}), time.Minute, true},
		} {
			start := time.Now()
			got := Sleep(test.ctx, time.Minute, test.stop)
			if took := time.Since(start); got != test.want || took != test.took {
				t.Errorf("%s: %v after %v, want %v after %v", name, got, took, test.want, test.took)
			}
		}
		start := time.Now()
		if Sleep(soon, time.Minute, nil) || time.Since(start) > time.Second {
			t.Errorf("it goes on for %v after its ctx", time.Since(start)-time.Second)
		}
	})
}
