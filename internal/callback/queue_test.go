package callback

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newQueue returns a new queue. It fails the test at once if callbacks run with the lock, on which
// the test would hang.
func newQueue(t *testing.T) *Queue {
	t.Helper()
	q := NewQueue()
	unlocked := make(chan bool)
	q.Run(func() {
		ok := q.mu.TryLock() // nobody else uses it
		if ok {
			q.mu.Unlock()
		}
		unlocked <- ok
	})
	if !<-unlocked {
		t.Fatal("callbacks run with the lock")
	}
	q.Wait()
	return q
}

// Callbacks run in order, never two at once, marked, and not on the goroutine of who queues them.
func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		var got []int
		release := make(chan struct{})
		for i := range 10 {
			q.Run(func() {
				if i == 0 {
					<-release // so that the others wait
				}
				time.Sleep(time.Second)
				if !Inside() {
					t.Error("not inside")
				}
				got = append(got, i) // two at once would be a data race, too
			})
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Fatalf("%v have run already", got)
		}
		start := time.Now()
		close(release)
		q.Wait()
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want one after another", took)
		}
	})
}

// The goroutine exists only while there is something to run, and what waits is forgotten when it
// has run.
func TestQueueAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		for range 3 {
			release := make(chan struct{})
			q.Run(func() { <-release })
			q.Run(func() {})
			synctest.Wait() // the first one runs
			all := q.waiting
			close(release)
			synctest.Wait()
			if q.running || len(q.waiting) != 0 {
				t.Errorf("running %v, %d waiting", q.running, len(q.waiting))
			}
			if len(all) != 1 || all[0] != nil {
				t.Errorf("waiting: %v, want one that is forgotten", all)
			}
		}
	})
}

// A callback may end its goroutine: those after it run, and so do those queued later.
func TestQueueGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		var got []int
		for i := range 4 {
			q.Run(func() {
				got = append(got, i)
				if i%2 == 1 { // in the middle, and as the last
					runtime.Goexit()
				}
			})
		}
		synctest.Wait()
		if want := []int{0, 1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		if err := q.WaitContext(ended()); err != nil {
			t.Errorf("WaitContext: %v, want nil: nothing runs", err)
		}
		q.Run(func() { got = append(got, 4) })
		synctest.Wait()
		if len(got) != 5 {
			t.Errorf("ran %v, want one more", got)
		}
	})
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// A callback may queue others.
func TestQueueFromInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		var got []int
		q.Run(func() {
			q.Run(func() { got = append(got, 2) })
			got = append(got, 1)
		})
		q.Wait()
		if want := []int{1, 2}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

// Wait and WaitContext wait until nothing is queued and nothing runs; all that wait are told.
func TestQueueWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.Wait() // nothing runs
		if err := q.WaitContext(ended()); err != nil {
			t.Errorf("nothing to wait for: %v", err)
		}
		release := make(chan struct{})
		for range 2 {
			q.Run(func() { <-release })
		}
		var waiting atomic.Int32
		for i := range 6 {
			waiting.Add(1)
			go func() {
				defer waiting.Add(-1)
				if i%2 == 0 {
					q.Wait()
				} else if err := q.WaitContext(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		release <- struct{}{}
		synctest.Wait()
		if n := waiting.Load(); n != 6 {
			t.Errorf("%d wait while a callback runs, want 6", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.WaitContext(ctx); err != context.DeadlineExceeded {
			t.Errorf("WaitContext: %v, want %v", err, context.DeadlineExceeded)
		}
		release <- struct{}{}
		synctest.Wait()
		if n := waiting.Load(); n != 0 {
			t.Errorf("%d wait when all has run, want 0", n)
		}
	})
}

// Many queue at once: all is run, that of each in order.
func TestQueueStress(t *testing.T) {
	const callers, callbacks = 8, 1000
	q := newQueue(t)
	var callersDone sync.WaitGroup
	var next [callers]int // only callbacks use it
	for i := range callers {
		callersDone.Go(func() {
			for n := range callbacks {
				q.Run(func() {
					if next[i] != n {
						t.Errorf("callback %d of caller %d, want %d", n, i, next[i])
					}
					next[i]++
					if n%10 == 0 {
						runtime.Goexit()
					}
				})
				if n%100 == 0 {
					q.Wait()
				}
			}
		})
	}
	callersDone.Wait()
	q.Wait()
	for i, n := range next {
		if n != callbacks {
			t.Errorf("%d callbacks of caller %d, want %d", n, i, callbacks)
		}
	}
}

func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn Turn
		never := make(chan struct{})
		if !turn.Take(never) {
			t.Fatal("not taken")
		}
		stop := make(chan struct{})
		took := make(chan bool, 2)
		go func() { took <- turn.Take(stop) }()
		synctest.Wait()
		if len(took) != 0 {
			t.Fatal("taken twice, or given up")
		}
		close(stop)
		if <-took {
			t.Error("taken twice")
		}
		if turn.Take(stop) {
			t.Error("taken twice")
		}
		go func() { took <- turn.Take(nil) }()
		synctest.Wait()
		if len(took) != 0 {
			t.Fatal("taken twice")
		}
		turn.Give()
		synctest.Wait()
		if len(took) != 1 || !<-took {
			t.Fatal("not taken after Give")
		}
		turn.Give()
		for range 100 { // a select would choose one of them at random
			if turn.Take(stop) {
				t.Fatal("taken although stop is closed")
			}
		}
		defer func() {
			if got := recover(); got != "callback: Give without Take" {
				t.Errorf("Give without Take: %v", got)
			}
		}()
		turn.Give()
	})
}

// TryRun queues no more than the limit; what runs does not count. Run knows no limit.
func TestQueueTryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		release := make(chan struct{})
		ran := 0
		f := func() {
			<-release
			ran++
		}
		if q.TryRun(0, f) {
			t.Error("queued where none may wait")
		}
		if !q.TryRun(1, f) {
			t.Fatal("not queued")
		}
		synctest.Wait() // it runs
		for i, want := range []bool{true, true, false, false} {
			if got := q.TryRun(2, f); got != want {
				t.Errorf("call %d is queued: %v, want %v", i, got, want)
			}
		}
		q.Run(f)
		close(release)
		q.Wait()
		if ran != 4 {
			t.Errorf("%d have run, want 4", ran)
		}
	})
}
