// Command load measures apigws gateway with its inspector: how soon it is ready, and how many
// messages a second go through an echo route on many connections while somebody reads the
// inspector's stream. It drives the program that is given to it, over sockets:
//
//	go build -o /tmp/apigws . && go run ./internal/gateway/load -apigws /tmp/apigws
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

func main() {
	l := load{}
	program := flag.String("apigws", "apigws", "the `program` to measure")
	starts := flag.Int("starts", 20, "how many times to start it")
	flag.IntVar(&l.conns, "conns", 1000, "connections")
	flag.IntVar(&l.rate, "rate", 20000, "messages a second, on all of them together")
	flag.DurationVar(&l.time, "time", 10*time.Second, "how long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, *program, *starts, &l); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, program string, starts int, l *load) error {
	var took []time.Duration
	for range starts {
		g, err := start(ctx, program)
		if err != nil {
			return err
		}
		took = append(took, g.took)
		g.stop()
	}
	slices.Sort(took)
	fmt.Printf("start to ready, inspector included: median %v, slowest %v of %d\n",
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
	g, err := start(ctx, program)
	if err != nil {
		return err
	}
	defer g.stop()
	return l.run(ctx, g)
}

// A gateway is a process of apigws gateway.
type gateway struct {
	cmd       *exec.Cmd
	took      time.Duration // from its start to the first client that is connected
	URL       string        `json:"url"`
	Inspector string        `json:"inspector"`
}

func start(ctx context.Context, program string) (*gateway, error) {
	g := &gateway{cmd: exec.CommandContext(ctx, program, "gateway", "--json", "--addr", "127.0.0.1:0",
		"--inspect", "127.0.0.1:0", "--route", "$default=echo")}
	g.cmd.Cancel = func() error { return g.cmd.Process.Signal(os.Interrupt) }
	g.cmd.Stderr = os.Stderr
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	before := time.Now()
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(out).Decode(g); err != nil {
		g.stop()
		return nil, fmt.Errorf("it did not start: %w", err)
	}
	c, _, err := websocket.Dial(ctx, g.URL, nil)
	if err != nil {
		g.stop()
		return nil, err
	}
	g.took = time.Since(before)
	return g, c.CloseNow()
}

func (g *gateway) stop() {
	g.cmd.Process.Signal(os.Interrupt)
	g.cmd.Wait()
}

// memory is what the kernel says of the process: its greatest resident set. Linux only.
func (g *gateway) memory() string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return "not known here"
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "not known"
}

// A load is messages at a rate, and their echoes.
type load struct {
	conns, rate int
	time        time.Duration

	mu         sync.Mutex // guards late
	late       []time.Duration
	sent, back atomic.Int64
}

const text = `{"action":"sendmessage","sent":%d,"data":"hello, everybody in the room"}`

func (l *load) run(ctx context.Context, g *gateway) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group  sync.WaitGroup // all goroutines
		writes sync.WaitGroup
		clock  = make(chan struct{}) // closed when all are connected
		streak watcher
	)
	group.Go(func() { streak.watch(ctx, g.Inspector) })
	for i := range l.conns {
		c, _, err := websocket.Dial(ctx, g.URL, nil)
		if err != nil {
			return err
		}
		defer c.CloseNow()
		writes.Go(func() { l.write(ctx, c, clock, i) })
		group.Go(func() { l.read(ctx, c) })
	}
	before := time.Now()
	close(clock)
	writes.Wait()
	took := time.Since(before)
	for deadline := time.Now().Add(time.Minute); l.back.Load() < l.sent.Load(); { // the last are on their way
		time.Sleep(10 * time.Millisecond)
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%d messages, %d echoes", l.sent.Load(), l.back.Load())
		}
	}
	time.Sleep(time.Second) // for the inspector
	memory := g.memory()
	var state struct {
		Counts struct{ Messages, Pushes, Open int }
	}
	if err := get(ctx, g.Inspector+"api/state", &state); err != nil {
		return err
	}
	cancel()
	group.Wait()
	slices.Sort(l.late)
	n := len(l.late)
	if n == 0 {
		return errors.New("no echo came back")
	}
	fmt.Printf("%d connections, %d messages sent in %v: %.0f a second; %d echoes came back\n",
		l.conns, l.sent.Load(), took.Round(time.Millisecond), float64(l.sent.Load())/took.Seconds(), n)
	fmt.Printf("there and back: median %v, 99%% %v\n",
		l.late[n/2].Round(10*time.Microsecond), l.late[n*99/100].Round(10*time.Microsecond))
	fmt.Printf("the inspector counted %d messages and %d pushes on %d connections; a reader of its stream got %d messages, "+
		"%d MiB, the longest pause was %v\n", state.Counts.Messages, state.Counts.Pushes, state.Counts.Open,
		streak.messages, streak.bytes>>20, streak.pause.Round(time.Millisecond))
	fmt.Printf("memory of the gateway, at most: %s\n", memory)
	return nil
}

// write sends this connection's share, evenly.
func (l *load) write(ctx context.Context, c *websocket.Conn, clock <-chan struct{}, i int) {
	select {
	case <-clock:
	case <-ctx.Done():
		return
	}
	every := time.Duration(float64(time.Second) * float64(l.conns) / float64(l.rate))
	begin := time.Now().Add(every * time.Duration(i) / time.Duration(l.conns))
	for n := range int(l.time / every) {
		select {
		case <-time.After(time.Until(begin.Add(time.Duration(n) * every))):
		case <-ctx.Done():
			return
		}
		if c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, text, time.Now().UnixNano())) != nil {
			return
		}
		l.sent.Add(1)
	}
}

func (l *load) read(ctx context.Context, c *websocket.Conn) {
	var late []time.Duration
	for {
		_, msg, err := c.Read(ctx)
		if err != nil {
			break
		}
		var sent int64
		fmt.Sscanf(string(msg), `{"action":"sendmessage","sent":%d`, &sent)
		late = append(late, time.Duration(time.Now().UnixNano()-sent))
		l.back.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, late...)
}

// A watcher reads the inspector's stream as its page does.
type watcher struct {
	messages, bytes int
	pause           time.Duration // the longest between two messages
}

func (w *watcher) watch(ctx context.Context, inspector string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, inspector+"api/stream", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for last := time.Now(); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		w.bytes += len(line)
		if strings.HasPrefix(line, "data:") {
			w.messages++
			w.pause = max(w.pause, time.Since(last))
			last = time.Now()
		}
	}
}

func get(ctx context.Context, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
