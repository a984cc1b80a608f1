package gatewaytest

import (
	"sync"
	"time"
)

// A bucket lets rate events a second pass, and after a pause as many at once as burst, which is
// rate if it is 0 and at least one. It counts by the clock and needs no goroutine. The zero value
// lets all pass.
type bucket struct {
	rate, burst float64

	mu    sync.Mutex // guards spent and last
	spent float64    // of a full bucket
	last  time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.rate == 0 {
		return true
	}
	burst := b.burst
	if burst == 0 {
		burst = b.rate
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent-now.Sub(b.last).Seconds()*b.rate, 0)
	b.last = now
	if b.spent+1 > max(burst, 1) {
		return false
	}
	b.spent++
	return true
}
