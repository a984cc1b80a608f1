package callback

import "sync"

// A Feed calls a function with values, one after another, in order, on a queue. While the function
// blocks, a bounded number of values wait. A value for which there is no room becomes one with the
// last that waits, so the function is told of the last value in any case.
type Feed[T any] struct {
	queue *Queue
	limit int
	merge func(last, next T) T
	f     func(T)

	mu      sync.Mutex // guards what follows
	waiting []T
}

// NewFeed returns a Feed that calls f on the queue. limit is how many values may wait, at least 1.
// merge makes one of the last and the next; it must not call the Feed.
func NewFeed[T any](queue *Queue, limit int, merge func(last, next T) T, f func(T)) *Feed[T] {
	return &Feed[T]{queue: queue, limit: limit, merge: merge, f: f}
}

// Add queues a call of f with v and returns.
func (d *Feed[T]) Add(v T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.waiting); n >= d.limit {
		d.waiting[n-1] = d.merge(d.waiting[n-1], v)
		return
	}
	d.waiting = append(d.waiting, v)
	d.queue.Run(func() { d.f(d.take()) })
}

// take takes the first value. There is one for each call that is queued.
func (d *Feed[T]) take() T {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.waiting[0]
	var zero T
	d.waiting[0] = zero
	d.waiting = d.waiting[1:]
	return v
}
