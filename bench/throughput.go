package main

import (
	"context"
	"errors"
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
	libs  []library
	start func(ctx context.Context, lib library, base string, n *atomic.Int64) (stop func(), err error)
}

var throughputs = []throughput{
	{"receive 128 B", receivers, receive(128)},
	{"receive 4 KiB", receivers, receive(4 << 10)},
	{"receive 64 KiB", receivers, receive(64 << 10)},
	{"send 128 B, 1 writer", withFloor, send(1)},
	{"send 128 B, 64 writers", libraries, send(64)},
	{"echo 120 B, ask and wait", withFloor, ask},
	{"echo 120 B, from the reader", withFloor, bounce},
}

// onOneCore are the scenarios that are measured again with client and server on one core: which
// cores the kernel gives to the two decides about an echo more than any library does.
var onOneCore = []throughput{
	{"echo 120 B, ask and wait, one core", withFloor, ask},
	{"echo 120 B, from the reader, one core", withFloor, bounce},
}

var transports = []string{"TCP", "TLS"}

func measureThroughput(ctx context.Context, cfg config, srv *server, r *report) error {
	for _, transport := range transports {
		for _, t := range throughputs {
			scenario := transport + ", " + t.name
			if !cfg.wants(scenario) {
				continue
			}
			if err := t.measure(ctx, cfg, scenario, srv.url(transport), r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t throughput) measure(ctx context.Context, cfg config, scenario, base string, r *report) error {
	err := interleave(cfg.chosen(t.libs), cfg.rounds, func(lib library) error {
		var n atomic.Int64
		stop, err := t.start(ctx, lib, base, &n)
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
	return nil
}

// A pinnedTask is what the process on one core is told.
type pinnedTask struct {
	Rounds    int
	Duration  time.Duration
	Only, Lib string
}

// measurePinned lets a process that has one core, and starts a server there, measure onOneCore.
func measurePinned(ctx context.Context, cfg config, _ *server, r *report) error {
	wanted := false
	for _, transport := range transports {
		for _, t := range onOneCore {
			wanted = cfg.wants(transport+", "+t.name) || wanted
		}
	}
	if !wanted {
		return nil
	}
	pinned := pinnedTask{cfg.rounds, cfg.duration, cfg.only, cfg.lib}
	records, err := inChild(ctx, task{Pinned: &pinned}, startOnOneCore)
	if errors.Is(err, errors.ErrUnsupported) {
		r.note("Echo on one core: left out, this system does not pin processes.")
		return nil
	}
	r.records = append(r.records, records...)
	return err
}

func runPinned(ctx context.Context, p pinnedTask, r *report) error {
	srv, err := startServer()
	if err != nil {
		return err
	}
	defer srv.stop()
	cfg := config{rounds: p.Rounds, duration: p.Duration, only: p.Only, lib: p.Lib}
	for _, transport := range transports {
		for _, t := range onOneCore {
			scenario := transport + ", " + t.name
			if !cfg.wants(scenario) {
				continue
			}
			if err := t.measure(ctx, cfg, scenario, srv.url(transport), r); err != nil {
				return err
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
