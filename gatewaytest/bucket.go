package gatewaytest

import (
	"sync"
	"time"
)

// A bucket lets rate events a second pass, and after a pause as many at once, but at least one. It counts by the clock
// and needs no goroutine. The zero value lets all pass.
type bucket struct {
	rate float64

	mu    sync.Mutex
	spent float64 // of a full bucket
	last  time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.rate == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent-now.Sub(b.last).Seconds()*b.rate, 0)
	b.last = now
	if b.spent+1 > max(b.rate, 1) {
		return false
	}
	b.spent++
	return true
}
