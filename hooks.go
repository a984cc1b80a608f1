package apigws

import (
	"sync"

	"github.com/apigws/apigws/internal/callback"
)

// hooks runs the callbacks that must be in order and never concurrent, on a
// goroutine that exists only while there is something to run. What is queued
// is bounded by what causes it: changes of state, as often as the client
// reconnects, and error frames of the gateway, see maxReports.
type hooks struct {
	mu      sync.Mutex // guards what follows
	queue   []func()
	running bool
	idle    *sync.Cond // on mu: nothing is running
}

func newHooks() *hooks {
	h := &hooks{}
	h.idle = sync.NewCond(&h.mu)
	return h
}

// run queues f.
func (h *hooks) run(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, f)
	if !h.running {
		h.running = true
		go h.work() // ends when the queue is empty; wait waits for that
	}
}

func (h *hooks) work() {
	h.mu.Lock()
	defer func() { // also when a hook has ended its goroutine, as t.FailNow does
		if len(h.queue) > 0 {
			go h.work()
		} else {
			h.running = false
			h.idle.Broadcast()
		}
		h.mu.Unlock()
	}()
	for len(h.queue) > 0 {
		f := h.queue[0]
		h.queue = h.queue[1:]
		h.call(f)
	}
}

// call runs f without the lock, and has it again however f ends.
func (h *hooks) call(f func()) {
	h.mu.Unlock()
	defer h.mu.Lock()
	runHook(f)
}

// wait returns when all that was queued has run.
func (h *hooks) wait() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.running {
		h.idle.Wait()
	}
}

func runHook(f func()) { callback.Run(f) }

// inHook reports whether the caller runs inside a callback. Close asks this:
// it waits for the goroutines of the client, and a callback that calls Close
// is on one of them.
func inHook() bool { return callback.Inside() }
