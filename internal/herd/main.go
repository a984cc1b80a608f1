// Command herd simulates clients that lose their connections all at once and
// come back through a gateway that admits 500 new connections a second. It
// prints a Markdown table that compares this library's waits with others.
//
//	go run ./internal/herd
package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/internal/jitter"
)

// rate is the gateway's default quota of new connections a second.
const rate = 500

// A policy makes the waits of one client of n.
type policy struct {
	name string
	new  func(n int, draw jitter.Draw) backoff.BackOff
}

var policies = []policy{
	{"apigws, Fleet set", func(n int, draw jitter.Draw) backoff.BackOff {
		return &fleet{n: n, draw: draw, then: jitter.NewFull(draw)}
	}},
	{"apigws, defaults", func(_ int, draw jitter.Draw) backoff.BackOff { return jitter.NewFull(draw) }},
	{"at once, then each 1 s", func(int, jitter.Draw) backoff.BackOff {
		return &atOnce{then: backoff.NewConstantBackOff(time.Second)}
	}},
	{"at once, then backoff/v4's defaults", func(_ int, draw jitter.Draw) backoff.BackOff {
		return &atOnce{then: newExponential(draw)}
	}},
}

// atOnce does not wait the first time, as backoff.Retry does not, nor most
// loops written by hand.
type atOnce struct {
	then  backoff.BackOff
	tried bool
}

func (a *atOnce) NextBackOff() time.Duration {
	if !a.tried {
		a.tried = true
		return 0
	}
	return a.then.NextBackOff()
}

func (a *atOnce) Reset() { a.tried = false }

// fleet waits as a client with Reconnect.Fleet does.
type fleet struct {
	n      int
	draw   jitter.Draw
	then   backoff.BackOff
	waited bool
}

func (f *fleet) NextBackOff() time.Duration {
	wait := f.then.NextBackOff()
	if !f.waited {
		f.waited = true
		return jitter.Fleet(f.draw, f.n, rate)
	}
	return wait
}

func (f *fleet) Reset() { f.waited = false }

// exponential is backoff.ExponentialBackOff with its default intervals and
// with MaxElapsedTime 0, drawing from the simulation's source: the original has
// one of its own, and a clock.
type exponential struct {
	draw     jitter.Draw
	interval time.Duration
}

func newExponential(draw jitter.Draw) *exponential {
	return &exponential{draw, backoff.DefaultInitialInterval}
}

func (e *exponential) NextBackOff() time.Duration {
	const spread = backoff.DefaultRandomizationFactor
	low := time.Duration((1 - spread) * float64(e.interval))
	wait := low + e.draw(time.Duration(2*spread*float64(e.interval))+1)
	e.interval = min(time.Duration(backoff.DefaultMultiplier*float64(e.interval)), backoff.DefaultMaxInterval)
	return wait
}

func (e *exponential) Reset() { e.interval = backoff.DefaultInitialInterval }

// roundTrip is how long an attempt takes, whatever its outcome: a handshake
// with TCP, TLS and the request at 35 ms a round trip.
const roundTrip = 100 * time.Millisecond

// A result says how a herd came back.
type result struct {
	most time.Duration // until 99 % were back
	mean float64       // attempts a client
	max  int
}

// simulate drops n clients at time 0 and lets them come back.
func simulate(n int, p policy, seed uint64) result {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	draw := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

	type client struct {
		waits    backoff.BackOff
		attempts int
	}
	clients := make([]client, n)
	var due queue
	for i := range clients {
		clients[i].waits = p.new(n, draw)
		due = append(due, attempt{clients[i].waits.NextBackOff(), i})
	}
	heap.Init(&due)

	var (
		r      result
		total  int
		back   int
		tokens = float64(rate) // a full bucket
		last   time.Duration
	)
	for due.Len() > 0 {
		a := heap.Pop(&due).(attempt)
		c := &clients[a.client]
		c.attempts++
		total++
		r.max = max(r.max, c.attempts)
		tokens = min(rate, tokens+(a.at-last).Seconds()*rate)
		last = a.at
		if tokens < 1 { // 429
			heap.Push(&due, attempt{a.at + roundTrip + c.waits.NextBackOff(), a.client})
			continue
		}
		tokens--
		back++
		if back == (99*n+99)/100 {
			r.most = a.at + roundTrip
		}
	}
	r.mean = float64(total) / float64(n)
	return r
}

// An attempt is an event: a client knocks at the gateway.
type attempt struct {
	at     time.Duration
	client int
}

type queue []attempt

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(a any)        { *q = append(*q, a.(attempt)) }
func (q *queue) Pop() any {
	old := *q
	a := old[len(old)-1]
	*q = old[:len(old)-1]
	return a
}

// physical is how long n connections take at best, but for the first 500.
func physical(n int) time.Duration { return time.Duration(n) * time.Second / rate }

func main() {
	fmt.Println("| clients | policy | 99 % back after | of N/500 s | attempts, mean | attempts, max |")
	fmt.Println("|---:|---|---:|---:|---:|---:|")
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, p := range policies {
			r := simulate(n, p, 1)
			fmt.Printf("| %d | %s | %.1f s | %.2f | %.2f | %d |\n",
				n, p.name, r.most.Seconds(), r.most.Seconds()/physical(n).Seconds(), r.mean, r.max)
		}
	}
}
