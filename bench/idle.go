package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// Idle clients are measured in a process of their own, so that nothing that
// another library has left behind counts.

// The metrics of idle clients, per client, but for keepaliveCPU.
const (
	heap         = "heap B"
	stack        = "stack B"
	memory       = "heap and stack B"
	goroutines   = "goroutines"
	perPing      = "CPU µs/PING"
	keepaliveCPU = "CPU s/hour" // of the keepalives of all clients

	lostConnections = "lost connections" // of all clients, while the keepalives were measured
)

// An idleRun is a number of clients, of which half an interval is measured. Intervals are divided
// by haste: with 1, which takes a minute and a half, PINGs come at their real rate. A process that
// sleeps in between pays more for waking up than for the PINGs, and haste makes that look cheaper
// than it is.
type idleRun struct {
	transport      string
	clients, haste int
}

// idleTask is what the process with the clients is told.
type idleTask struct {
	Scenario, Library string
	Transport         string
	Clients, Haste    int
}

// idleLibraries has apigws without the goroutine of the application that waits in Read, too: the
// others need theirs, or the PONGs would not be read.
func idleLibraries() []library { return slices.Insert(slices.Clone(libraries), 1, unread) }

// measureIdle has the libraries side by side, each in a process with a server of its own, so that
// whatever the machine does meanwhile hits all alike, and waking up costs all the same.
func measureIdle(ctx context.Context, cfg config, _ *server, r *report) error {
	for _, run := range cfg.idle {
		scenario := fmt.Sprintf("%s, %d idle clients", run.transport, run.clients)
		if !cfg.wants(scenario) {
			continue
		}
		if err := enoughFiles(run.clients + 100); err != nil {
			r.note("%s: left out, %v", scenario, err)
			continue
		}
		libs := cfg.chosen(idleLibraries())
		records, errs := make([][]record, len(libs)), make([]error, len(libs))
		var measuring sync.WaitGroup
		for i, lib := range libs {
			measuring.Go(func() {
				t := idleTask{scenario, lib.name, run.transport, run.clients, run.haste}
				records[i], errs[i] = inChild(ctx, task{Idle: &t}, nil)
			})
		}
		measuring.Wait()
		for i, lib := range libs {
			r.records = append(r.records, records[i]...)
			if lost := r.median(scenario, lib.name, lostConnections); lost > 0 {
				r.note("%s, %s: %v connections were lost, so its figures are too high.", scenario, lib.name, lost)
			}
			if errs[i] != nil { // the figures of the others are worth having
				r.note("%s, %s: left out, %v", scenario, lib.name, errs[i])
			}
		}
	}
	return nil
}

// runIdle is the process with the clients.
func runIdle(ctx context.Context, t idleTask, r *report) error {
	libs := idleLibraries()
	i := slices.IndexFunc(libs, func(l library) bool { return l.name == t.Library })
	if i < 0 {
		return fmt.Errorf("no library %q", t.Library)
	}
	srv, err := startServer()
	if err != nil {
		return err
	}
	defer srv.stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // in case the server has gone
	defer cancel()
	return idle(ctx, libs[i], t, srv.url(t.Transport)+"/", r)
}

func idle(ctx context.Context, lib library, t idleTask, url string, r *report) error {
	haste := time.Duration(t.Haste)
	// The timeout is not divided: on a busy machine a PONG takes its time.
	hasty := settings{interval: usual.interval / haste, timeout: usual.timeout}

	var conns []conn
	defer func() {
		runtime.KeepAlive(conns) // they end with the process
	}()
	// dial spreads n over a period, so that PINGs are spread as well.
	dial := func(n int, period time.Duration) error {
		start := time.Now()
		for i := range n {
			time.Sleep(time.Until(start.Add(period * time.Duration(i) / time.Duration(n))))
			c, err := lib.dial(ctx, url+"idle", hasty, func([]byte) {})
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		return nil
	}

	// What the first connection sets up for all is not a cost of each.
	if err := dial(1, 0); err != nil {
		return err
	}
	memoryBefore, goroutinesBefore := settled(), runtime.NumGoroutine()
	if err := dial(t.Clients, hasty.interval); err != nil {
		return err
	}
	countsBefore, err := counts(ctx, url)
	if err != nil {
		return err
	}
	cpuBefore := cpuTime()
	time.Sleep(hasty.interval / 2) // in which half of the clients send a PING
	cpu := cpuTime() - cpuBefore
	countsAfter, err := counts(ctx, url)
	if err != nil {
		return err
	}
	pings := countsAfter.Pings - countsBefore.Pings
	if pings < int64(t.Clients)/2*9/10 {
		return fmt.Errorf("%d PINGs of %d clients", pings, t.Clients)
	}

	memoryAfter := settled()
	each := func(before, after uint64) float64 {
		return (float64(after) - float64(before)) / float64(t.Clients)
	}
	hourly := float64(t.Clients) * float64(time.Hour) / float64(usual.interval)
	heapEach := each(memoryBefore.HeapAlloc, memoryAfter.HeapAlloc)
	stackEach := each(memoryBefore.StackInuse, memoryAfter.StackInuse)
	for metric, value := range map[string]float64{
		heap:            heapEach,
		stack:           stackEach,
		memory:          heapEach + stackEach,
		goroutines:      each(uint64(goroutinesBefore), uint64(runtime.NumGoroutine())),
		perPing:         cpu.Seconds() * 1e6 / float64(pings),
		keepaliveCPU:    cpu.Seconds() / float64(pings) * hourly,
		lostConnections: float64(countsAfter.Ended - countsBefore.Ended),
	} {
		r.add(t.Scenario, lib.name, metric, value)
	}
	return nil
}

// settled returns the memory in use when garbage, and what pools kept, is gone
// and stacks have shrunk.
func settled() (m runtime.MemStats) {
	for range 4 {
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return m
}

// counts asks the server what it has seen.
func counts(ctx context.Context, url string) (n idleCounts, err error) {
	dialer := ws.Dialer{TLSConfig: insecure}
	conn, early, _, err := dialer.Dial(ctx, url+"counts")
	if err != nil {
		return n, err
	}
	defer conn.Close()
	var in io.Reader = conn
	if early != nil { // the answer came with that to the handshake
		in = early
	}
	_, p, err := readFrame(in, make([]byte, smallFrame))
	if err != nil {
		return n, err
	}
	return n, json.Unmarshal(p, &n)
}

// cpuTime returns what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail for oneself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// enoughFiles reports whether a process may open n files. Go itself raises the
// soft limit to the hard one.
func enoughFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur < uint64(n) {
		return fmt.Errorf("a process may open %d files only (ulimit -n), and they need %d", limit.Cur, n)
	}
	return nil
}
