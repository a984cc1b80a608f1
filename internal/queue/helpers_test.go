package queue

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// ended is a context that has ended. It panics in a call that asks it again and again.
var ended = &endedContext{Context: context.Background()}

type endedContext struct {
	context.Context
	asked atomic.Int32
}

func (e *endedContext) Done() <-chan struct{} {
	if e.asked.Add(1) > 1e6 {
		panic("a call that should end does not")
	}
	return closed
}

func (e *endedContext) Err() error { return context.Canceled }

// closed is a channel that is closed.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func item(s string) Item { return Item{Data: []byte(s)} }

// items returns an item for each word of s.
func items(s string) (all []Item) {
	for _, word := range strings.Fields(s) {
		all = append(all, item(word))
	}
	return all
}

// sized returns an item with n bytes of Data.
func sized(n int) Item { return Item{Data: make([]byte, n)} }

// tryOne is TryPush with one item.
func tryOne(q *Queue, it Item) (added bool) { return q.TryPush([]Item{it}) == 1 }

// pushOne is Push with one item.
func pushOne(q *Queue, it Item, stop <-chan struct{}) (next *Queue, added bool) {
	next, dropped := q.Push([]Item{it}, stop)
	return next, dropped == 0
}

// pushNow is a pushOne that does not wait. It returns the queue to push to next.
func pushNow(q *Queue, s string) *Queue {
	next, _ := pushOne(q, item(s), nil)
	return next
}

// fill puts n items with Data s into q by TryPush.
func fill(t *testing.T, q *Queue, n int, s string) {
	t.Helper()
	for range n {
		if !tryOne(q, item(s)) {
			t.Fatal("no room")
		}
	}
}

// rest takes all that is in q and returns it, without the items of fill(q, n, "-").
func rest(q *Queue) string {
	var all []string
	for {
		it, ok := q.Pop(ended)
		if !ok {
			return strings.Join(all, " ")
		}
		if s := string(it.Data); s != "-" {
			all = append(all, s)
		}
	}
}

// A call is a call of Push, Pop or PopMatch on a goroutine of its own.
type call[T any] struct {
	what  string
	ended chan T
}

// begin calls f and returns when the call waits or has ended.
func begin[T any](what string, f func() T) call[T] {
	c := call[T]{what, make(chan T, 1)}
	go func() { c.ended <- f() }()
	synctest.Wait()
	return c
}

func (c call[T]) waits(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case v := <-c.ended:
		t.Fatalf("%s has returned %v, want it to wait", c.what, v)
	default:
	}
}

// returns returns what the call has returned. The test fails when it still waits.
func (c call[T]) returns(t *testing.T) (v T) {
	t.Helper()
	synctest.Wait()
	select {
	case v = <-c.ended:
	default:
		t.Fatalf("%s waits, want it to return", c.what)
	}
	return v
}

// bubble runs a test in a synctest bubble. What waits when the test has ended is let go.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// pushing begins a Push that ends with the test at the latest.
func pushing(t *testing.T, q *Queue, it Item) (c call[*Queue], stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	return begin("Push", func() *Queue {
		next, _ := pushOne(q, it, ctx.Done())
		return next
	}), cancel
}

// popping begins a Pop that ends with the test at the latest. It returns the Data, and "none" for
// none.
func popping(t *testing.T, q *Queue) call[string] {
	return begin("Pop", func() string { return text(q.Pop(t.Context())) })
}

// matching begins a PopMatch for an item whose Data is s.
func matching(t *testing.T, q *Queue, s string) call[string] {
	return begin("PopMatch", func() string {
		return text(q.PopMatch(t.Context(), func(p []byte) bool { return string(p) == s }))
	})
}

func text(it Item, ok bool) string {
	if !ok {
		return "none"
	}
	return string(it.Data)
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// same is want for queues, whose contents would fill pages.
func same(t *testing.T, what string, got, want *Queue) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %p, want %p", what, got, want)
	}
}

// atRest fails the test unless nobody waits in q, and nothing is left of those who did.
func atRest(t *testing.T, q *Queue) {
	t.Helper()
	if !q.mu.TryLock() {
		t.Fatal("at rest: locked")
	}
	defer q.mu.Unlock()
	if q.poppers != 0 || len(q.pushers) != 0 || q.wide != 0 {
		t.Errorf("at rest: %d poppers, %d pushers, widened %d times", q.poppers, len(q.pushers), q.wide)
	}
	for i, e := range q.items[:cap(q.items)] {
		if i >= q.head && i < len(q.items) {
			continue
		}
		if e.Data != nil {
			t.Errorf("entry %d of %d to %d still holds %v", i, q.head, len(q.items), e.Item)
		}
	}
	if q.spare != nil && (q.spare.items != nil || len(q.spare.added) != 0) {
		t.Errorf("the spare push holds %v and %d tokens", q.spare.items, len(q.spare.added))
	}
}
