package callback

import (
	"context"
	"math"
	"sync"
)

// A Queue runs callbacks one after another, in order, on a goroutine that exists only while there
// is something to run. All methods may be called concurrently.
type Queue struct {
	mu      sync.Mutex // guards what follows; not held while a callback runs
	waiting []func()
	running bool          // the goroutine exists
	idle    chan struct{} // closed when the goroutine ends; nil when nobody waits for that
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return &Queue{} }

// Run queues f and returns. If f ends its goroutine, as runtime.Goexit does, the callbacks after it
// run all the same. A panic in f that is not recovered ends the process. There is no bound: whoever
// calls Run must see to it that not too much waits.
func (q *Queue) Run(f func()) { q.TryRun(math.MaxInt, f) }

// TryRun does as Run does, unless limit callbacks wait; one that runs is not counted. It reports
// whether it has queued f.
func (q *Queue) TryRun(limit int, f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= limit {
		return false
	}
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.work() // ends when nothing is waiting; Wait waits for that
	}
	return true
}

// Wait waits until nothing is queued and nothing runs. A callback of the queue must not call it.
func (q *Queue) Wait() { q.WaitContext(context.Background()) }

// WaitContext does as Wait does, until ctx has ended. It returns ctx.Err() if the wait was in vain.
func (q *Queue) WaitContext(ctx context.Context) error {
	q.mu.Lock()
	if !q.running {
		q.mu.Unlock()
		return nil
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work runs what is waiting.
func (q *Queue) work() {
	q.mu.Lock()
	defer q.finish() // also when a callback ends this goroutine
	for len(q.waiting) > 0 {
		f := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.call(f)
	}
}

// call runs f without the lock, and has it again however f ends.
func (q *Queue) call(f func()) {
	q.mu.Unlock()
	defer q.mu.Lock()
	Run(f)
}

// finish ends the goroutine, or has another one go on. It unlocks q.mu.
func (q *Queue) finish() {
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		go q.work()
		return
	}
	q.running = false
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}
