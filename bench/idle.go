package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
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
)

// An idleRun is a number of clients, of which half an interval is measured.
// Intervals and timeouts are divided by haste: with 1, which takes a minute and a
// half for each library, PINGs come at their real rate. A process that sleeps in between pays
// more for waking up than for the PINGs, and haste makes that look cheaper than
// it is.
type idleRun struct {
	transport      string
	clients, haste int
}

// idleTask is what the process with the clients is told, idleFigures what it
// answers.
type idleTask struct {
	Library, URL   string
	Clients, Haste int
}

type idleFigures struct {
	Heap, Stack, Goroutines float64       // per client
	CPU                     time.Duration // per PING
	Lost                    int64         // connections
}

// unread is apigws without the goroutine of the application that waits in Read:
// the others need theirs, or the PONGs would not be read.
var unread = library{"apigws, unread", dialUnread}

func idleLibraries() []library {
	libs := slices.Clone(libraries)
	if i := slices.IndexFunc(libs, func(l library) bool { return l.name == ours }); i >= 0 {
		libs = slices.Insert(libs, i+1, unread)
	}
	return libs
}

func measureIdle(ctx context.Context, cfg config, srv *server, r *report) error {
	for _, run := range cfg.idle {
		scenario := fmt.Sprintf("%s, %d idle clients", run.transport, run.clients)
		if !cfg.wants(scenario) {
			continue
		}
		if err := enoughFiles(run.clients + 100); err != nil {
			r.note("%s: left out, %v", scenario, err)
			continue
		}
		err := interleave(idleLibraries(), 1, func(lib library) error {
			f, err := idleProcess(ctx, idleTask{lib.name, srv.url(run.transport) + "/", run.clients, run.haste})
			if err != nil {
				return err
			}
			if f.Lost > 0 {
				// Their deadlines are as hasty as their PINGs: the machine was busy.
				r.note("%s, %s: %d connections were lost, so its figures are too high.", scenario, lib.name, f.Lost)
			}
			pingsAnHour := float64(run.clients) * float64(time.Hour) / float64(usual.interval)
			r.add(scenario, lib.name, heap, f.Heap)
			r.add(scenario, lib.name, stack, f.Stack)
			r.add(scenario, lib.name, memory, f.Heap+f.Stack)
			r.add(scenario, lib.name, goroutines, f.Goroutines)
			r.add(scenario, lib.name, perPing, f.CPU.Seconds()*1e6)
			r.add(scenario, lib.name, keepaliveCPU, f.CPU.Seconds()*pingsAnHour)
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", scenario, err)
		}
	}
	return nil
}

func idleProcess(ctx context.Context, task idleTask) (f idleFigures, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	arg, err := json.Marshal(task)
	if err != nil {
		return f, err
	}
	cmd := exec.CommandContext(ctx, self, "-idle", string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(out, &f)
}

// runIdle is the process with the clients.
func runIdle(arg string) error {
	var task idleTask
	if err := json.Unmarshal([]byte(arg), &task); err != nil {
		return err
	}
	libs := idleLibraries()
	i := slices.IndexFunc(libs, func(l library) bool { return l.name == task.Library })
	if i < 0 {
		return fmt.Errorf("no library %q", task.Library)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // in case the server has gone
	defer cancel()
	f, err := idle(ctx, libs[i], task)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

func idle(ctx context.Context, lib library, task idleTask) (f idleFigures, err error) {
	haste := time.Duration(task.Haste)
	hasty := keepalive{usual.interval / haste, usual.timeout / haste}

	var conns []conn
	defer func() {
		runtime.KeepAlive(conns) // they end with the process
	}()
	// dial spreads n over a period, so that PINGs are spread as well.
	dial := func(n int, period time.Duration) error {
		start := time.Now()
		for i := range n {
			time.Sleep(time.Until(start.Add(period * time.Duration(i) / time.Duration(n))))
			c, err := lib.dial(ctx, task.URL+"idle", hasty, func([]byte) {})
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		return nil
	}

	// What the first connection sets up for all is not a cost of each.
	if err := dial(1, 0); err != nil {
		return f, err
	}
	memoryBefore, goroutinesBefore := settled(), runtime.NumGoroutine()
	if err := dial(task.Clients, hasty.interval); err != nil {
		return f, err
	}
	countsBefore, err := counts(ctx, task.URL)
	if err != nil {
		return f, err
	}
	cpuBefore := cpuTime()
	time.Sleep(hasty.interval / 2) // in which half of the clients send a PING
	cpu := cpuTime() - cpuBefore
	countsAfter, err := counts(ctx, task.URL)
	if err != nil {
		return f, err
	}
	pings := countsAfter.Pings - countsBefore.Pings
	if pings < int64(task.Clients)/2*9/10 {
		return f, fmt.Errorf("%d PINGs of %d clients", pings, task.Clients)
	}

	memoryAfter := settled()
	each := func(before, after uint64) float64 {
		return (float64(after) - float64(before)) / float64(task.Clients)
	}
	return idleFigures{
		Heap:       each(memoryBefore.HeapAlloc, memoryAfter.HeapAlloc),
		Stack:      each(memoryBefore.StackInuse, memoryAfter.StackInuse),
		Goroutines: each(uint64(goroutinesBefore), uint64(runtime.NumGoroutine())),
		CPU:        cpu / time.Duration(pings),
		Lost:       countsAfter.Ended - countsBefore.Ended,
	}, nil
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
