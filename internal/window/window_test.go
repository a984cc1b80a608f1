package window

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// ended is a context that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// A call is a call of Reserve or Flush on a goroutine of its own.
type call struct {
	err  chan error
	end  func() // ends its context
	stop func() // closes its stop channel
}

// begin calls f and returns when the call waits or has ended. It ends with the test at the latest.
func begin(t *testing.T, f func(ctx context.Context, stop <-chan struct{}) error) call {
	ctx, end := context.WithCancel(t.Context())
	stop := make(chan struct{})
	c := call{make(chan error, 1), end, func() { close(stop) }}
	looked := 0
	limited := &hook{ctx, func() {
		if looked++; looked > 1000 {
			panic("a call looks again and again")
		}
	}}
	go func() { c.err <- f(limited, stop) }()
	synctest.Wait()
	return c
}

func reserve(t *testing.T, w *Window, n int) call {
	return begin(t, func(ctx context.Context, stop <-chan struct{}) error { return w.Reserve(ctx, stop, n) })
}

func flush(t *testing.T, w *Window) call { return begin(t, w.Flush) }

func (c call) waits(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c.err:
		t.Fatalf("it has returned %v, want it to wait", err)
	default:
	}
}

func (c call) returns(t *testing.T, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c.err:
		if err != want {
			t.Errorf("it has returned %v, want %v", err, want)
		}
	default:
		t.Fatalf("it waits, want it to return %v", want)
	}
}

// add puts messages of the given sizes into w.
func add(t *testing.T, w *Window, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		if !w.TryReserve(n) {
			t.Fatalf("no room for %d bytes", n)
		}
		w.Add(make([]byte, n))
	}
}

// used fails the test unless w has n bytes in use and nobody waits.
func used(t *testing.T, w *Window, n int) {
	t.Helper()
	if !w.mu.TryLock() {
		t.Fatal("locked")
	}
	defer w.mu.Unlock()
	if w.log.Used() != n || len(w.waiting) > 0 {
		t.Errorf("%d bytes used, %d waiting, want %d, 0", w.log.Used(), len(w.waiting), n)
	}
}

// Acknowledge, Reject and Release make room, and each wakes the Reserve that waits for it.
func TestReserveWaits(t *testing.T) {
	for name, room := range map[string]func(*Window){
		"Acknowledge": func(w *Window) { w.Acknowledge(1) },
		"Reject":      (*Window).Reject,
		"Release":     func(w *Window) { w.Release(100) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(300)
				add(t, w, 100, 100)
				if !w.TryReserve(100) { // one that is not added yet
					t.Fatal("no room")
				}
				c := reserve(t, w, 100)
				c.waits(t)
				room(w)
				c.returns(t, nil)
				used(t, w, 300)
			})
		})
	}
}

// A message counts for at least 64 bytes; a larger one than the window has room when it is empty.
func TestReserveRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		there []int
		size  int
		want  bool
	}{
		"empty":                   {nil, 200, true},
		"empty, larger":           {nil, 201, true},
		"up to the limit":         {[]int{100}, 100, true},
		"beyond the limit":        {[]int{100}, 101, false},
		"empty ones":              {[]int{0, 0}, 0, true},
		"empty ones, too many":    {[]int{0, 0, 0}, 0, false},
		"beside a larger one":     {[]int{201}, 0, false},
		"small ones count for 64": {[]int{1, 1}, 72, true},
		"and not for more":        {[]int{1, 1}, 73, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(200)
				add(t, w, tc.there...)
				if got := w.TryReserve(tc.size); got != tc.want {
					t.Errorf("TryReserve: %v, want %v", got, tc.want)
				} else if got {
					w.Release(tc.size)
				}
				c := reserve(t, w, tc.size)
				if tc.want {
					c.returns(t, nil)
				} else {
					c.waits(t)
					w.Acknowledge(len(tc.there))
					c.returns(t, nil)
				}
				used(t, w, max(tc.size, 64)+sum(tc.there)*btoi(tc.want))
			})
		})
	}
}

func sum(sizes []int) (n int) {
	for _, size := range sizes {
		n += max(size, 64)
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// First come, first served: neither a TryReserve nor a Reserve overtakes one that waits.
func TestReserveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(300)
		add(t, w, 100, 100)
		large := reserve(t, w, 300)
		small := reserve(t, w, 64)
		small.waits(t)
		if w.TryReserve(64) {
			t.Error("TryReserve overtakes")
		}
		w.Acknowledge(1)
		large.waits(t)
		small.waits(t)
		w.Acknowledge(1)
		large.returns(t, nil)
		small.waits(t)
		w.Release(300)
		small.returns(t, nil)
		used(t, w, 64)
	})
}

// One acknowledgement may make room for many.
func TestReserveMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(300)
		add(t, w, 300)
		var calls []call
		for range 4 {
			calls = append(calls, reserve(t, w, 100))
		}
		w.Acknowledge(1)
		for _, c := range calls[:3] {
			c.returns(t, nil)
		}
		calls[3].waits(t)
	})
}

// A Reserve that gives up lets those behind it have the room.
func TestReserveEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(call)
		want error
	}{
		"ctx":  {func(c call) { c.end() }, context.Canceled},
		"stop": {func(c call) { c.stop() }, ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(300)
				add(t, w, 100)
				large := reserve(t, w, 300)
				small := reserve(t, w, 100)
				middle := reserve(t, w, 101)
				last := reserve(t, w, 0)
				small.waits(t)
				tc.end(large)
				large.returns(t, tc.want)
				small.returns(t, nil)
				middle.waits(t)
				last.waits(t)
				tc.end(last) // not the first of those who wait
				last.returns(t, tc.want)
				middle.waits(t)
				w.Acknowledge(1)
				middle.returns(t, nil)
				used(t, w, 201)
			})
		})
	}
}

// A Reserve may give up in the very moment in which it has got its room: then it has it.
func TestReserveEndsWithRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(100)
		add(t, w, 100)
		c := reserve(t, w, 80)
		w.mu.Lock()
		c.end() // the call is woken by this, and cannot go on before Unlock
		w.log.Acknowledge(1)
		w.settle()
		w.mu.Unlock()
		c.returns(t, nil)
		used(t, w, 80)
	})
}

// Where there is room at once, neither ctx nor stop counts.
func TestReserveDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(100)
		stopped := make(chan struct{})
		close(stopped)
		if err := w.Reserve(ended, stopped, 100); err != nil {
			t.Error(err)
		}
		if err := w.Reserve(ended, nil, 100); err != context.Canceled {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
		if err := w.Reserve(context.Background(), stopped, 100); err != ErrStopped {
			t.Errorf("%v, want %v", err, ErrStopped)
		}
		used(t, w, 100)
	})
}

// Flush waits for what is there when it is called, acknowledged or rejected, and for no more.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1000)
		flush(t, w).returns(t, nil)
		if !w.TryReserve(100) { // nothing of this is in the window
			t.Fatal("no room")
		}
		flush(t, w).returns(t, nil)
		w.Add(make([]byte, 100))
		add(t, w, 100, 100)
		three := flush(t, w)
		w.Acknowledge(1)
		two := flush(t, w)
		add(t, w, 100)
		four := flush(t, w)
		three.waits(t)
		w.Reject()
		two.waits(t)
		three.waits(t)
		w.Acknowledge(1)
		two.returns(t, nil)
		three.returns(t, nil)
		four.waits(t)
		w.Reject()
		four.returns(t, nil)
	})
}

func TestFlushEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1000)
		add(t, w, 100)
		c := flush(t, w)
		c.end()
		c.returns(t, context.Canceled)
		c = flush(t, w)
		c.stop()
		c.returns(t, ErrStopped)

		c = flush(t, w)
		w.mu.Lock()
		c.end() // the call is woken by this, and cannot go on before Unlock
		w.log.Acknowledge(1)
		w.mu.Unlock()
		c.returns(t, nil)
		used(t, w, 0)
	})
}

// A hook is a context that calls f when it is asked for its Done: a call that waits does so when it
// has unlocked the window, and before it waits.
type hook struct {
	context.Context
	f func()
}

func (h *hook) Done() <-chan struct{} {
	h.f()
	return h.Context.Done()
}

// No wake-up is lost that comes when a call is about to wait.
func TestAboutToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(100)
		add(t, w, 100)
		ctx := &hook{t.Context(), func() { w.Acknowledge(1) }}
		if err := w.Reserve(ctx, nil, 100); err != nil {
			t.Error(err)
		}
		w.Add(make([]byte, 100))
		if err := w.Flush(ctx, nil); err != nil {
			t.Error(err)
		}
		used(t, w, 0)
	})
}

// Add keeps a copy; Unconfirmed returns copies; Kept is not changed by what comes after it.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1000)
		p := []byte("a")
		for range 3 {
			w.TryReserve(1)
			w.Add(p)
			p[0]++
		}
		w.Reject()
		kept, unconfirmed := w.Kept(), w.Unconfirmed()
		if got := texts(unconfirmed); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("unconfirmed %q", got)
		}
		for _, p := range unconfirmed {
			p[0] = 'x'
		}
		w.Acknowledge(1)
		if got := texts(kept); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("kept before Acknowledge %q", got)
		}
		if got := texts(w.Kept()); !slices.Equal(got, []string{"c"}) || w.Len() != 1 {
			t.Errorf("kept %q, Len %d", got, w.Len())
		}
		if got := texts(w.Unconfirmed()); !slices.Equal(got, []string{"a", "c"}) {
			t.Errorf("unconfirmed %q", got)
		}
	})
}

// Many reserve, give up, add and flush, and one acknowledges and rejects. The bound holds, all have
// their turn, and the messages of each are in order.
func TestStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, messages, limit = 8, 500, 1000
		var (
			w     = New(limit)
			wg    sync.WaitGroup
			sent  sync.WaitGroup
			all   = make(chan struct{})
			added = make(chan struct{}, 1) // holds a token after an Add
			left  [writers]int
			stop  = make(chan struct{})
		)
		for i := range writers {
			sent.Go(func() {
				for n := range messages {
					p := fmt.Appendf(nil, "%d %d ", i, n)
					p = append(p, bytes.Repeat([]byte("x"), n%200)...)
					if n%5 == 0 && w.Reserve(ended, stop, len(p)) == nil {
						w.Release(len(p))
					}
					if err := w.Reserve(t.Context(), stop, len(p)); err != nil {
						t.Error(err)
						return
					}
					w.Add(p)
					select {
					case added <- struct{}{}:
					default:
					}
					if n%100 == 0 {
						if err := w.Flush(t.Context(), stop); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		acknowledge := func() (some bool) {
			kept := w.Kept()
			used := 0
			for _, p := range kept {
				used += max(len(p), 64)
			}
			if used > limit {
				t.Errorf("%d bytes in the window, want at most %d", used, limit)
			}
			if len(kept) == 0 {
				return false
			}
			n := 1 + len(kept)/2
			for _, p := range kept[:n] {
				var i, number int
				fmt.Sscan(string(p), &i, &number)
				if number != left[i] {
					t.Errorf("message %d of writer %d, want %d", number, i, left[i])
					return false
				}
				left[i]++
			}
			w.Acknowledge(n - 1)
			w.Reject()
			return true
		}
		wg.Go(func() {
			for {
				if acknowledge() {
					continue
				}
				select {
				case <-added:
				case <-all:
					return
				}
			}
		})
		sent.Wait()
		close(all)
		wg.Wait()
		for acknowledge() {
		}
		used(t, w, 0)
		for i, n := range left {
			if n != messages {
				t.Errorf("%d messages of writer %d, want %d", n, i, messages)
			}
		}
	})
}
