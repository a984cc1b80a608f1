package callback

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// A span is what a Feed is told in these tests: spans that are merged become one longer span.
type span struct{ from, to int }

func join(last, next span) span { return span{last.from, next.to} }

// Values come in order, as callbacks. While the function blocks, the limit is kept: the last value
// stands for all that found no room.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		release := make(chan struct{})
		var got []span
		feed := NewFeed(q, 3, join, func(s span) {
			if !Inside() {
				t.Error("not inside a callback")
			}
			<-release
			got = append(got, s)
		})
		feed.Add(span{0, 1})
		synctest.Wait() // it has begun, so it does not wait any more
		for i := 1; i < 10; i++ {
			feed.Add(span{i, i + 1})
		}
		all := feed.waiting
		close(release)
		synctest.Wait()
		if want := []span{{0, 1}, {1, 2}, {2, 3}, {3, 10}}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		for i, s := range all {
			if s != (span{}) {
				t.Errorf("value %d is kept after it has been told", i)
			}
		}
		feed.Add(span{10, 11})
		synctest.Wait()
		if last := got[len(got)-1]; last != (span{10, 11}) || len(got) != 5 {
			t.Errorf("told %v, want 10 to 11 at last", got)
		}
	})
}

// A function that ends its goroutine is told of the next value all the same.
func TestFeedGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []span
		feed := NewFeed(newQueue(t), 10, join, func(s span) {
			got = append(got, s)
			runtime.Goexit()
		})
		for i := range 3 {
			feed.Add(span{i, i + 1})
		}
		synctest.Wait()
		if want := []span{{0, 1}, {1, 2}, {2, 3}}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// It shares its queue with other callbacks, in the order in which they were queued.
func TestFeedSharesItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		var got []int
		feed := NewFeed(q, 10, join, func(s span) { got = append(got, s.from) })
		feed.Add(span{from: 1})
		q.Run(func() { got = append(got, 2) })
		feed.Add(span{from: 3})
		q.Wait()
		if want := []int{1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

// Many add at once: what is told covers all that was added.
func TestFeedStress(t *testing.T) {
	const callers, values = 8, 1000
	q := newQueue(t)
	sum := 0
	feed := NewFeed(q, 4, func(last, next int) int { return last + next }, func(n int) { sum += n })
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range values {
				feed.Add(1)
			}
		})
	}
	wg.Wait()
	q.Wait()
	if sum != callers*values {
		t.Errorf("told of %d, want %d", sum, callers*values)
	}
}
