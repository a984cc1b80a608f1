package loop

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A loop that sleeps has no goroutine; each wake calls step once.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		l := New(func() bool { calls++; return true })
		time.Sleep(24 * time.Hour)
		if calls != 0 {
			t.Error("step was called without a wake")
		}
		for i := range 3 {
			l.Wake()
			synctest.Wait()
			if calls != i+1 {
				t.Fatalf("%d calls after %d wakes", calls, i+1)
			}
		}
	})
}

// Wakes that come while step runs, also from inside it, call it once more.
func TestWakeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, goOn := 0, make(chan struct{})
		var l *Loop
		l = New(func() bool {
			calls++
			if calls == 2 {
				l.Wake()
			}
			<-goOn
			return true
		})
		l.Wake()
		synctest.Wait()
		for range 5 {
			l.Wake()
		}
		synctest.Wait()
		if calls != 1 {
			t.Fatalf("%d calls while the first runs", calls)
		}
		close(goOn)
		synctest.Wait()
		if calls != 3 {
			t.Errorf("%d calls, want one for the first wake, one for five, one for that from inside", calls)
		}
	})
}

// WakeAfter wakes once, and only the last one counts.
func TestWakeAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var calls []time.Duration
		l := New(func() bool { calls = append(calls, time.Since(start)); return true })
		l.WakeAfter(time.Minute)
		l.WakeAfter(time.Hour)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		l.WakeAfter(0)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if len(calls) != 2 || calls[0] != time.Hour || calls[1] != 2*time.Hour {
			t.Errorf("called at %v, want at 1h and 2h", calls)
		}
	})
}

// The timer, too, finds the loop at work.
func TestWakeAfterMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, calls atomic.Int32
		var l *Loop
		l = New(func() bool {
			if running.Add(1) != 1 {
				t.Error("two calls at once")
			}
			defer running.Add(-1)
			if calls.Add(1) == 1 {
				l.WakeAfter(time.Second)
				time.Sleep(time.Minute)
			}
			return true
		})
		l.Wake()
		time.Sleep(time.Hour)
		if n := calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

// After step has returned false, it is not called again, and no timer is left.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		var l *Loop
		l = New(func() bool {
			calls++
			l.Wake()
			l.WakeAfter(time.Second)
			return false
		})
		l.Wake()
		synctest.Wait()
		if l.timer.Stop() {
			t.Error("the timer runs on")
		}
		l.Wake()
		l.WakeAfter(0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

// No wake is lost, and no two calls run at once, whatever the scheduler does.
func TestManyWakes(t *testing.T) {
	var seen, want atomic.Int64
	reached := make(chan struct{})
	const total = 4 * 10000
	busy := 0 // only step uses it: the race detector sees two calls at once
	l := New(func() bool {
		busy++
		seen.Store(want.Load())
		if seen.Load() == total {
			close(reached)
			return false
		}
		return true
	})
	var wakers sync.WaitGroup
	for range 4 {
		wakers.Go(func() {
			for range total / 4 {
				want.Add(1)
				l.Wake()
			}
		})
	}
	wakers.Wait()
	<-reached
}
