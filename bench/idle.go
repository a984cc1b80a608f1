package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Idle clients are measured in a process of their own, so that nothing that
// another library has left behind counts.

// idleFigures are per client.
type idleFigures struct {
	Heap, Stack int64   // bytes
	Goroutines  float64 // rounded to hundredths
	// CPU is the share of a core that keepalive takes for all clients at an
	// interval of 55 s, scaled from PINGs every fastPing.
	CPU float64
}

const (
	fastPing  = 2 * time.Second
	fastPings = 4 // that many are measured
)

func measureIdle(ctx context.Context, r *report, base, name string, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	figures := make(map[string]idleFigures)
	for _, lib := range libraries {
		cmd := exec.CommandContext(ctx, self, "-idle-client", lib.name, "-idle-n", strconv.Itoa(n), "-target", base)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", lib.name, err)
		}
		var f idleFigures
		if err := json.Unmarshal(out, &f); err != nil {
			return fmt.Errorf("%s: %w", lib.name, err)
		}
		figures[lib.name] = f
	}
	r.idle(name, n, figures)
	return nil
}

func runIdleClient(name string, n int, base string) error {
	var lib library
	for _, l := range libraries {
		if l.name == name {
			lib = l
		}
	}
	if lib.dial == nil {
		return fmt.Errorf("no library %q", name)
	}
	ctx := context.Background()
	memory, err := idleMemory(ctx, lib, base, n)
	if err != nil {
		return err
	}
	cpu, err := idleCPU(ctx, lib, base, n)
	if err != nil {
		return err
	}
	memory.CPU = cpu
	return json.NewEncoder(os.Stdout).Encode(memory)
}

func dialMany(ctx context.Context, lib library, base string, n int, ping time.Duration) (closeAll func(), err error) {
	conns := make([]conn, 0, n)
	closeAll = func() {
		for _, c := range conns {
			c.close()
		}
	}
	for range n {
		c, err := lib.dial(ctx, base+"/idle", ping, func([]byte) {})
		if err != nil {
			closeAll()
			return nil, err
		}
		conns = append(conns, c)
	}
	return closeAll, nil
}

func idleMemory(ctx context.Context, lib library, base string, n int) (idleFigures, error) {
	// What the first connection sets up for all is not a cost of each.
	closeOne, err := dialMany(ctx, lib, base, 1, pingEvery)
	if err != nil {
		return idleFigures{}, err
	}
	defer closeOne()
	before, goroutines := settled(), runtime.NumGoroutine()
	closeAll, err := dialMany(ctx, lib, base, n, pingEvery)
	if err != nil {
		return idleFigures{}, err
	}
	defer closeAll()
	after := settled()
	per := func(a, b uint64) int64 { return (int64(a) - int64(b)) / int64(n) }
	return idleFigures{
		Heap:       per(after.HeapAlloc, before.HeapAlloc),
		Stack:      per(after.StackInuse, before.StackInuse),
		Goroutines: float64((runtime.NumGoroutine()-goroutines)*100/n) / 100,
	}, nil
}

// settled returns the memory in use when garbage, and what pools kept, is gone
// and stacks have shrunk.
func settled() (m runtime.MemStats) {
	for range 5 {
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return m
}

func idleCPU(ctx context.Context, lib library, base string, n int) (float64, error) {
	closeAll, err := dialMany(ctx, lib, base, n, fastPing)
	if err != nil {
		return 0, err
	}
	defer closeAll()
	time.Sleep(fastPing) // the first PINGs
	before := cpuTime()
	time.Sleep(fastPings * fastPing)
	perPing := (cpuTime() - before).Seconds() / fastPings
	return perPing / pingEvery.Seconds(), nil
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
