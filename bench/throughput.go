package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// The metrics of throughput.
const (
	rate   = "messages/s"
	allocs = "allocations/message" // on the heap, by the whole client process
)

// A throughput scenario counts in n what its work has done; stop ends the work
// and returns when it has ended.
type throughput struct {
	name  string
	start func(ctx context.Context, lib library, base string, n *atomic.Int64) (stop func(), err error)
}

var throughputs = []throughput{
	{"receive 128 B", receive(128)},
	{"receive 4 KiB", receive(4 << 10)},
	{"receive 64 KiB", receive(64 << 10)},
	{"send 128 B, 1 writer", send(1)},
	{"send 128 B, 64 writers", send(64)},
	{"echo 120 B, ask and wait", ask},
	{"echo 120 B, from the reader", bounce},
}

var transports = []string{"TCP", "TLS"}

func measureThroughput(ctx context.Context, cfg config, srv *server, r *report) error {
	for _, transport := range transports {
		for _, t := range throughputs {
			scenario := transport + ", " + t.name
			if !cfg.wants(scenario) {
				continue
			}
			err := interleave(libraries, cfg.rounds, func(lib library) error {
				var n atomic.Int64
				stop, err := t.start(ctx, lib, srv.url(transport), &n)
				if err != nil {
					return err
				}
				defer stop()
				perSecond, perMessage := count(&n, cfg.duration)
				if perSecond == 0 {
					return fmt.Errorf("not one message in %v", cfg.duration)
				}
				r.add(scenario, lib.name, rate, perSecond)
				r.add(scenario, lib.name, allocs, perMessage)
				return nil
			})
			if err != nil {
				return fmt.Errorf("%s: %w", scenario, err)
			}
		}
	}
	return nil
}

// count measures how fast n grows, and what is allocated meanwhile.
func count(n *atomic.Int64, d time.Duration) (perSecond, allocations float64) {
	time.Sleep(d / 10) // buffers fill, stacks grow
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	first, start := n.Load(), time.Now()
	time.Sleep(d)
	done, took := float64(n.Load()-first), time.Since(start)
	runtime.ReadMemStats(&after)
	if done == 0 {
		return 0, 0
	}
	return done / took.Seconds(), float64(after.Mallocs-before.Mallocs) / done
}
