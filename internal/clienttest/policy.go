package clienttest

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws"
)

// Every returns a policy that always waits for d, so that instants are known.
func Every(d time.Duration) apigws.Reconnect {
	return apigws.Reconnect{Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(d) }}
}

// Doubling returns an exponential policy without chance: 1s, 2s, 4s ... 30s.
func Doubling() apigws.Reconnect {
	return apigws.Reconnect{Backoff: func() backoff.BackOff {
		return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
			backoff.WithRandomizationFactor(0), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	}}
}

// Waits returns a policy whose waits are those given, and then backoff.Stop.
func Waits(waits ...time.Duration) apigws.Reconnect {
	return apigws.Reconnect{Backoff: func() backoff.BackOff { return &listed{all: waits} }}
}

type listed struct {
	all  []time.Duration
	next int
}

func (l *listed) NextBackOff() time.Duration {
	if l.next == len(l.all) {
		return backoff.Stop
	}
	l.next++
	return l.all[l.next-1]
}

func (l *listed) Reset() { l.next = 0 }
