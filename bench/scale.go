package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apigws/apigws"
	"github.com/cenkalti/backoff/v4"
	"github.com/gobwas/ws"
)

// Many clients of this library that do the same thing at once, in a process of their own.

// inMemory is the transport of clients whose connections are stubs. What the stubs cost is
// counted with the clients.
const inMemory = "memory"

// atOnce is how many clients dial, rotate or close at a time.
const atOnce = 1000

// The phases, in their order.
const (
	dialStorm    = "dial storm"
	pingAll      = "PING"
	rotationWave = "rotation wave"
	massLoss     = "mass reconnect"
	closeAll     = "Close"
)

var phases = []string{dialStorm, pingAll, rotationWave, massLoss, closeAll}

// The metrics of a phase, per client. Memory is heap and stacks, less what was there before the
// first client.
func phaseCPU(phase string) string   { return phase + ": CPU µs" }
func phasePeak(phase string) string  { return phase + ": B at the peak, garbage included" }
func phaseAfter(phase string) string { return phase + ": B afterwards, once garbage is collected" }

type scaleTask struct {
	Transport string
	Clients   int
	Debug     string `json:",omitempty"` // of GODEBUG
}

func (t scaleTask) scenario() string {
	s := fmt.Sprintf("scale, %s, %d clients", t.Transport, t.Clients)
	if t.Debug != "" {
		s += ", " + t.Debug
	}
	return s
}

// start starts the process of t.
func (t scaleTask) start(cmd *exec.Cmd) error {
	if t.Debug != "" {
		cmd.Env = append(os.Environ(), "GODEBUG="+t.Debug)
	}
	return cmd.Start()
}

func measureScale(ctx context.Context, cfg config, _ *server, r *report) error {
	if cfg.lib != "" && cfg.lib != ours {
		return nil
	}
	for _, t := range cfg.scale {
		if !cfg.wants(t.scenario()) {
			continue
		}
		if err := enoughFiles(t.Clients + atOnce + 100); err != nil && t.Transport != inMemory {
			r.note("%s: left out, %v", t.scenario(), err)
			continue
		}
		records, err := inChild(ctx, task{Scale: &t}, t.start)
		if err != nil { // the others are worth having
			r.note("%s: left out, %v", t.scenario(), err)
		}
		r.records = append(r.records, records...)
	}
	return nil
}

// A network is where the clients are.
type network struct {
	url    string
	client *http.Client
	cut    func(context.Context) error // ends all connections at once
}

// tcpNetwork has the server's.
func tcpNetwork(srv *server) network {
	url := srv.url("TCP")
	return network{url + "/scale", sharedHTTP, func(ctx context.Context) error {
		conn, _, _, err := ws.Dial(ctx, url+"/cut")
		if err != nil {
			return err
		}
		return conn.Close()
	}}
}

// stubNetwork has a stub for each connection.
func stubNetwork() network {
	var (
		mu   sync.Mutex // guards open
		open = make(map[*stub]bool)
	)
	closed := func(s *stub) {
		mu.Lock()
		defer mu.Unlock()
		delete(open, s)
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		s := newStub()
		s.closed = closed
		mu.Lock()
		defer mu.Unlock()
		open[s] = true
		return s, nil
	}
	cut := func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		for s := range open {
			s.end(syscall.ECONNRESET)
		}
		return nil
	}
	return network{"ws://127.0.0.1/", &http.Client{Transport: &http.Transport{DialContext: dial}}, cut}
}

// runScale is the process with the clients.
func runScale(ctx context.Context, t scaleTask, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	n := stubNetwork()
	if t.Transport != inMemory {
		srv, err := startServer()
		if err != nil {
			return err
		}
		defer srv.stop()
		n = tcpNetwork(srv)
	}
	clients := make([]*apigws.Client, t.Clients)
	var readers sync.WaitGroup
	defer readers.Wait()
	steps := map[string]func() error{
		dialStorm: func() error {
			return each(clients, func(c **apigws.Client) (err error) {
				*c, err = apigws.Dial(ctx, n.url, &apigws.Options{
					HTTPClient: n.client,
					Reconnect: apigws.Reconnect{
						Drain:   time.Millisecond,
						Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} },
					},
				})
				if err == nil {
					readers.Go(func() { (*c).Read(context.Background()) }) // until it is closed
				}
				return err
			})
		},
		pingAll: func() error {
			return each(clients, func(c **apigws.Client) error {
				_, err := (*c).Ping(ctx)
				return err
			})
		},
		rotationWave: func() error {
			return each(clients, func(c **apigws.Client) error { return (*c).Rotate(ctx) })
		},
		massLoss: func() error {
			if err := n.cut(ctx); err != nil {
				return err
			}
			for _, c := range clients {
				for c.Stats().Connects < 3 { // the first, the rotation's, and this
					if err := ctx.Err(); err != nil {
						return err
					}
					time.Sleep(time.Millisecond)
				}
			}
			return nil
		},
		closeAll: func() error {
			return each(clients, func(c **apigws.Client) error { return (*c).Close() })
		},
	}
	before := settled()
	for _, phase := range phases {
		peak := watchMemory()
		cpuBefore := cpuTime()
		err := steps[phase]()
		cpu, most := cpuTime()-cpuBefore, peak()
		if err != nil {
			return fmt.Errorf("%s: %w", phase, err)
		}
		if phase == closeAll {
			clear(clients) // nobody needs a closed one
		}
		after := settled()
		each := func(now uint64) float64 {
			return (float64(now) - float64(before.HeapAlloc+before.StackInuse)) / float64(t.Clients)
		}
		r.add(t.scenario(), ours, phaseCPU(phase), cpu.Seconds()*1e6/float64(t.Clients))
		r.add(t.scenario(), ours, phasePeak(phase), each(most))
		r.add(t.scenario(), ours, phaseAfter(phase), each(after.HeapAlloc+after.StackInuse))
	}
	runtime.KeepAlive(clients)
	return nil
}

// each calls f for all clients, atOnce of them at a time, and returns the first error.
func each(clients []*apigws.Client, f func(**apigws.Client) error) error {
	var (
		next    atomic.Int64
		once    sync.Once
		first   error
		working sync.WaitGroup
	)
	for range atOnce {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(clients)); i = next.Add(1) - 1 {
				if err := f(&clients[i]); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	working.Wait()
	return first
}

// watchMemory looks each 5 ms how much heap and stacks hold until the function that it returns is
// called, which returns the most it has seen.
func watchMemory() (most func() uint64) {
	var (
		peak     uint64
		stop     = make(chan struct{})
		watching sync.WaitGroup
	)
	watching.Go(func() {
		samples := []metrics.Sample{
			{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"},
		}
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			metrics.Read(samples)
			peak = max(peak, samples[0].Value.Uint64()+samples[1].Value.Uint64())
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
		}
	})
	return func() uint64 {
		close(stop)
		watching.Wait()
		return peak
	}
}
