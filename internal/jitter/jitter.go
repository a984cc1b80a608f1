// Package jitter draws the waits between attempts to connect. It is apart from
// the client so that the simulation in internal/herd runs the very same code.
package jitter

import "time"

// A Draw returns a random duration from 0 up to n, without n.
type Draw func(n time.Duration) time.Duration

const first, last = 500 * time.Millisecond, 30 * time.Second

// Full is a backoff policy: a random wait below a bound that grows by two
// thirds from half a second to 30 seconds, without an end. Full jitter spreads
// a crowd of clients better than any narrower one. If the bound doubled, the
// last of 10,000 clients would wait longer than the gateway needs; see
// internal/herd.
type Full struct {
	draw  Draw
	bound time.Duration
}

// NewFull returns a Full that has not waited yet.
func NewFull(draw Draw) *Full { return &Full{draw, first} }

// NextBackOff returns the next wait, at least 1 ns.
func (b *Full) NextBackOff() time.Duration {
	wait := b.draw(b.bound) + 1
	b.bound = min(b.bound*5/3, last)
	return wait
}

// Reset has the waits start over.
func (b *Full) Reset() { b.bound = first }

// Fleet is the first wait of one of n clients that lost their connections at
// once: together they come at the rate, in connections a second, that the
// gateway admits.
func Fleet(draw Draw, n, rate int) time.Duration {
	return draw(time.Duration(float64(n)/float64(rate)*float64(time.Second)) + 1)
}
