// Package loop is a run loop that needs no goroutine while it has nothing to do.
package loop

import (
	"math"
	"sync"
	"time"
)

// A Loop calls a function whenever it was woken, never twice at once. It has a goroutine only while
// the function runs. All methods may be called concurrently, also by the function.
type Loop struct {
	step  func() (more bool)
	timer *time.Timer // wakes the loop

	mu      sync.Mutex // guards what follows; not held while step runs
	running bool       // there is a goroutine, or the loop has ended
	news    bool       // the loop was woken since step was last called
}

// New returns a loop that sleeps. When step returns false, the loop has ended, and step is not
// called again.
func New(step func() (more bool)) *Loop {
	l := &Loop{step: step}
	l.timer = time.AfterFunc(math.MaxInt64, l.tick)
	return l
}

// Wake has step called: at once if the loop sleeps, and once more if step runs now. It never waits.
func (l *Loop) Wake() {
	if l.start() {
		go l.run() // ends when there is no news
	}
}

// WakeAfter wakes the loop after d, and not when an earlier WakeAfter has said.
func (l *Loop) WakeAfter(d time.Duration) { l.timer.Reset(d) }

// tick is Wake on the goroutine of the timer.
func (l *Loop) tick() {
	if l.start() {
		l.run()
	}
}

// start notes that there is news, and reports whether the caller is to call run.
func (l *Loop) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.news = true
	if l.running {
		return false
	}
	l.running = true
	return true
}

// run calls step as long as there is news.
func (l *Loop) run() {
	for l.take() {
		if !l.step() {
			l.timer.Stop()
			return // running stays true
		}
	}
}

// take takes the news. It reports whether there was any; if not, the loop sleeps.
func (l *Loop) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.news = l.news, false
	return l.running
}
