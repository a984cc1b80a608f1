// Package pace says how long to wait between attempts. The policy is the user's; whatever it does,
// the waits end, and they do not make the client spin.
package pace

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/jitter"
)

// MinWait is the shortest wait between two attempts, with one exception.
const MinWait = 10 * time.Millisecond

// A Pacer asks a policy how long to wait. One goroutine at a time may use it.
type Pacer struct {
	policy backoff.BackOff
	hasted bool // a wait shorter than MinWait has been allowed
}

// New returns a Pacer with the policy that makePolicy returns. The default policy, a jitter.Full,
// stands in if makePolicy is nil, if it ends its goroutine, and if it returns nil; ok is false in
// the last case.
func New(makePolicy func() backoff.BackOff) (p *Pacer, ok bool) {
	p = &Pacer{policy: jitter.NewFull(rand.N)}
	if makePolicy == nil {
		return p, true
	}
	var policy backoff.BackOff
	if callback.Do(func() { policy = makePolicy() }) != nil {
		return p, true
	}
	if policy == nil {
		return p, false
	}
	p.policy = policy
	return p, true
}

// Next returns how long to wait: once anything from 0 on, then at least MinWait. A policy that ends
// its goroutine has not answered, and the first wait of the default policy is taken. ok is false if
// the policy gives up.
func (p *Pacer) Next() (wait time.Duration, ok bool) {
	if callback.Do(func() { wait = p.policy.NextBackOff() }) != nil {
		wait = jitter.NewFull(rand.N).NextBackOff()
	}
	switch {
	case wait == backoff.Stop:
		return 0, false
	case wait >= MinWait:
		return wait, true
	case !p.hasted:
		p.hasted = true
		return max(wait, 0), true
	}
	return MinWait, true
}

// Reset has the policy start over, and allows one short wait again.
func (p *Pacer) Reset() {
	p.hasted = false
	callback.Do(p.policy.Reset)
}

// Sleep reports whether d has passed before ctx ended or stop was closed.
func Sleep(ctx context.Context, d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	return false
}
