package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A scenario is work whose figure is operations a second.
type scenario struct {
	name string
	work func(ctx context.Context, lib library, base string, d time.Duration) (sample, error)
}

// A sample is the outcome of one measurement.
type sample struct {
	perSecond float64
	allocs    float64 // heap allocations per operation, by the whole client process
}

var throughput = []scenario{
	{"receive 128 B", receive(128)},
	{"receive 4 KiB", receive(4 << 10)},
	{"receive 64 KiB", receive(64 << 10)},
	{"send 128 B, 1 writer", send(1)},
	{"send 128 B, 64 writers", send(64)},
	{"echo 120 B, one in flight", echoes},
}

const pingEvery = 55 * time.Second

// measure runs a scenario for each library in turn, and that so many times.
func measure(ctx context.Context, cfg config, r *report, base, name string, s scenario) error {
	samples := make(map[string][]sample)
	for round := range cfg.rounds {
		for i := range libraries {
			// Each round begins with another one.
			lib := libraries[(i+round)%len(libraries)]
			got, err := s.work(ctx, lib, base, cfg.duration)
			if err != nil {
				return fmt.Errorf("%s: %w", lib.name, err)
			}
			samples[lib.name] = append(samples[lib.name], got)
		}
	}
	r.throughput(name, samples)
	return nil
}

// count measures how fast n grows.
func count(n *atomic.Int64, d time.Duration) sample {
	time.Sleep(d / 10) // buffers fill, stacks grow
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	first, start := n.Load(), time.Now()
	time.Sleep(d)
	done, took := float64(n.Load()-first), time.Since(start)
	runtime.ReadMemStats(&after)
	return sample{done / took.Seconds(), float64(after.Mallocs-before.Mallocs) / done}
}

func receive(size int) func(context.Context, library, string, time.Duration) (sample, error) {
	return func(ctx context.Context, lib library, base string, d time.Duration) (sample, error) {
		var n atomic.Int64
		c, err := lib.dial(ctx, fmt.Sprintf("%s/flood/%d", base, size), pingEvery, func([]byte) { n.Add(1) })
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		return count(&n, d), nil
	}
}

func send(writers int) func(context.Context, library, string, time.Duration) (sample, error) {
	p := bytes.Repeat([]byte("x"), 128)
	return func(ctx context.Context, lib library, base string, d time.Duration) (sample, error) {
		c, err := lib.dial(ctx, base+"/sink", pingEvery, nil)
		if err != nil {
			return sample{}, err
		}
		var (
			n       atomic.Int64
			stop    atomic.Bool
			working sync.WaitGroup
		)
		for range writers {
			working.Go(func() {
				for !stop.Load() && c.write(p) == nil {
					n.Add(1)
				}
			})
		}
		s := count(&n, d)
		stop.Store(true)
		working.Wait()
		c.close()
		return s, nil
	}
}

// A roundTripper reads the answer on the goroutine that wrote. The others hand
// it over from the goroutine that they need for reading.
type roundTripper interface {
	roundTrip(p []byte) error
}

func echoes(ctx context.Context, lib library, base string, d time.Duration) (sample, error) {
	answers := make(chan struct{}, 1)
	received := func([]byte) { answers <- struct{}{} }
	if lib.name == "apigws" {
		received = nil // see apigwsConn.roundTrip
	}
	c, err := lib.dial(ctx, base+"/echo", pingEvery, received)
	if err != nil {
		return sample{}, err
	}
	var (
		n       atomic.Int64
		stop    atomic.Bool
		working sync.WaitGroup
	)
	p := bytes.Repeat([]byte("x"), 120)
	working.Go(func() {
		for !stop.Load() {
			if rt, ok := c.(roundTripper); ok {
				if rt.roundTrip(p) != nil {
					return
				}
			} else {
				if c.write(p) != nil {
					return
				}
				<-answers
			}
			n.Add(1)
		}
	})
	s := count(&n, d)
	stop.Store(true)
	working.Wait()
	c.close()
	return s, nil
}
