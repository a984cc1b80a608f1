//go:build linux && realnet

package realnet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/apigws/apigws"
	"github.com/cenkalti/backoff/v4"
)

// clientVariable is the environment variable that makes the test binary a client: one process in
// the clients' namespace, which can be stopped and whose goroutines and descriptors are its own.
const clientVariable = "APIGWS_REALNET_CLIENT"

// Settings say what a client does.
type settings struct {
	URL      string
	Every    time.Duration // between messages; 0: as fast as possible
	Size     int           // of a message
	Flush    time.Duration // between Flushes; 0: none
	Resend   int
	Interval time.Duration // of the keepalive
	Timeout  time.Duration
	Rotate   time.Duration // 0: never
}

// clientMain holds a conversation until the standard input ends, and writes its history to the
// standard output.
func clientMain() {
	var s settings
	if err := json.Unmarshal([]byte(os.Getenv(clientVariable)), &s); err != nil {
		panic(err)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // the runtime has its descriptors from here on
	}
	h := history{Resend: s.Resend > 0, GoroutinesBefore: runtime.NumGoroutine(), DescriptorsBefore: descriptors()}
	s.converse(&h)
	eventually(func() bool {
		h.GoroutinesAfter, h.DescriptorsAfter = runtime.NumGoroutine(), descriptors()
		return h.GoroutinesAfter <= h.GoroutinesBefore && h.DescriptorsAfter <= h.DescriptorsBefore
	})
	if h.GoroutinesAfter > h.GoroutinesBefore {
		stacks := make([]byte, 64<<10)
		h.Stacks = string(stacks[:runtime.Stack(stacks, true)])
	}
	if err := json.NewEncoder(os.Stdout).Encode(&h); err != nil {
		panic(err)
	}
}

func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// converse is the life of the client.
func (s *settings) converse(h *history) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	var states sync.Mutex
	opts := apigws.Options{
		HTTPClient:       &http.Client{Transport: transport},
		AllowInsecure:    true,
		Logger:           slog.New(slog.DiscardHandler), // OnState is told the same
		Keepalive:        apigws.Keepalive{Interval: s.Interval, Timeout: s.Timeout},
		Resend:           s.Resend,
		HandshakeTimeout: 1500 * time.Millisecond,
		Reconnect: apigws.Reconnect{
			RotateAfter: s.Rotate,
			Drain:       time.Second,
			Backoff: func() backoff.BackOff {
				return backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
					backoff.WithMaxInterval(500*time.Millisecond), backoff.WithMaxElapsedTime(0))
			},
		},
		OnState: func(_ *apigws.Client, change apigws.StateChange) {
			states.Lock()
			defer states.Unlock()
			st := state{At: time.Now(), From: change.From, To: change.To}
			if change.Err != nil {
				st.Err = change.Err.Error()
			}
			h.States = append(h.States, st)
		},
	}
	if s.Rotate == 0 {
		opts.Reconnect.RotateAfter = -1
	}
	ctx := context.Background()
	c, err := apigws.Dial(ctx, s.URL, &opts)
	if err != nil {
		panic(err)
	}

	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { s.write(c, h, stop) })
	if s.Flush > 0 {
		all.Go(func() { s.flush(c, h, stop) })
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for p, err := range c.Messages(ctx) {
			if err != nil {
				return
			}
			got := push{At: time.Now()}
			if _, err := fmt.Sscanf(string(p), "push %d %d", &got.Conn, &got.N); err != nil {
				got.N = -1
			}
			h.Reads = append(h.Reads, got)
		}
	})

	io.Copy(io.Discard, os.Stdin)
	close(stop)
	all.Wait()
	h.note(func() error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return c.Flush(ctx)
	})
	h.note(c.Close)
	reader.Wait()
	for _, p := range c.Unconfirmed() {
		var n int
		fmt.Sscanf(string(p), "message %d ", &n)
		h.Kept = append(h.Kept, n)
	}
	h.Stats = c.Stats()
	states.Lock()
	h.States = append([]state(nil), h.States...)
	states.Unlock()
}

// write writes numbered messages until stop is closed. It does not make up for the time in which a
// Write waited.
func (s *settings) write(c *apigws.Client, h *history, stop <-chan struct{}) {
	next := time.Now()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Until(next)):
		}
		text := fmt.Sprintf("message %d ", n)
		text += strings.Repeat("x", max(0, s.Size-len(text)))
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		w := write{N: n, Start: time.Now()}
		err := c.Write(ctx, []byte(text))
		cancel()
		w.End = time.Now()
		w.Outcome = outcomeOf(err, sent)
		if err != nil {
			w.Err = err.Error()
		}
		h.Writes = append(h.Writes, w)
		next = next.Add(s.Every)
		if next.Before(w.End) {
			next = w.End
		}
	}
}

// flush calls Flush at an interval until stop is closed, beside the writing.
func (s *settings) flush(c *apigws.Client, h *history, stop <-chan struct{}) {
	tick := time.NewTicker(s.Flush)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			h.note(func() error {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				return c.Flush(ctx)
			})
		}
	}
}

// note runs a Flush or a Close and notes what came of it.
func (h *history) note(f func() error) {
	entry := flush{Start: time.Now()}
	err := f()
	entry.End = time.Now()
	entry.Outcome = outcomeOf(err, confirmed)
	if err != nil {
		entry.Err = err.Error()
	}
	h.Flushes = append(h.Flushes, entry)
}

// outcomeOf classes the error of a Write, or of a Flush or Close, for which ok is what nil means.
func outcomeOf(err error, ok outcome) outcome {
	switch {
	case err == nil:
		return ok
	case errors.Is(err, apigws.ErrUnconfirmed):
		return unconfirmed
	case errors.Is(err, apigws.ErrNotSent) && ok == sent:
		return notSent
	case errors.Is(err, context.DeadlineExceeded) && ok == confirmed:
		return undecided
	}
	return unexpected
}
