package probe

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/apigws/apigws"
)

type probe struct {
	url      string
	opts     apigws.Options // how to make a handshake
	message  []byte
	oversize bool

	// In the time of the gateway; divided by scale before anybody waits.
	watch, interval time.Duration
	scale           int
}

// A subject is one client, which keeps its connection alive, or not, in one
// way.
type subject struct {
	name  string
	pings bool          // it sends PINGs rather than messages
	first time.Duration // when the first goes out; negative: none does
	again time.Duration // the time between two; 0: there is but one

	client *apigws.Client
	opened time.Time

	mu  sync.Mutex // guards what follows
	out outcome
}

// An outcome is what became of a subject. Times are those of the gateway, but
// for round trips.
type outcome struct {
	name     string
	ended    bool // cut, or no longer watched
	cut      error
	lived    time.Duration // until it was cut, or so far
	sent     []sending
	received int64
	refused  map[string]int // error frames of the gateway, by their message
}

// A sending is a PING or a message.
type sending struct {
	at   time.Duration
	ping bool
	rtt  time.Duration // of a PING; 0: no PONG came
}

// run measures the gateway. When ctx ends before its time, the report is
// partial.
func (p *probe) run(ctx context.Context, out io.Writer) (*report, error) {
	r := &report{message: p.message, watch: p.watch, interval: p.interval}
	sizes := []int{frameLimit}
	if p.oversize {
		sizes = append(sizes, frameLimit+1)
	}
	for _, n := range sizes {
		s, err := p.tryFrame(ctx, n)
		if err != nil {
			return nil, err
		}
		r.frames = append(r.frames, s)
	}

	// The one message goes out late: then the time of the cut tells whether it
	// counted.
	subjects := []*subject{
		{name: "silent", first: -1},
		{name: "one message, after " + short(p.interval), first: p.interval},
		{name: "a PING every " + short(p.interval), first: p.interval, again: p.interval, pings: true},
		{name: "a message every " + short(p.interval), again: p.interval},
	}
	for _, s := range subjects {
		if err := p.connect(ctx, s); err != nil {
			return nil, err
		}
		defer s.client.Close()
	}

	start := time.Now()
	watching, stop := context.WithTimeout(ctx, p.real(p.watch))
	defer stop()
	var observers, display sync.WaitGroup
	display.Go(func() { p.show(watching, subjects, out) })
	for _, s := range subjects {
		observers.Go(func() { p.observe(watching, s) })
	}
	observers.Wait()
	stop() // all were cut, perhaps: then there is no need to watch on
	display.Wait()
	r.interrupted = ctx.Err() != nil
	r.watched = min(p.virtual(time.Since(start)), p.watch)
	for i, o := range r.outcomes() {
		*o = p.snapshot(subjects[i])
	}
	return r, nil
}

// real turns a time of the gateway into one to wait for.
func (p *probe) real(d time.Duration) time.Duration { return d / time.Duration(p.scale) }

// virtual is its inverse.
func (p *probe) virtual(d time.Duration) time.Duration { return d * time.Duration(p.scale) }

// options are those of a client that does nothing by itself.
func (p *probe) options() *apigws.Options {
	opts := p.opts
	opts.Keepalive.Disabled = true
	opts.Reconnect.Disabled = true
	opts.Logger = slog.New(slog.DiscardHandler)
	return &opts
}

func (p *probe) connect(ctx context.Context, s *subject) error {
	s.out = outcome{name: s.name, refused: make(map[string]int)}
	opts := p.options()
	opts.OnGatewayError = func(_ *apigws.Client, e *apigws.GatewayError) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.out.refused[e.Message]++
	}
	var err error
	s.client, err = apigws.Dial(ctx, p.url, opts)
	s.opened = time.Now()
	return err
}

// observe plays a subject until it is cut or ctx ends.
func (p *probe) observe(ctx context.Context, s *subject) {
	// What the backend answers is of no interest, but PONGs come behind it.
	var reader sync.WaitGroup
	reader.Go(func() {
		for range s.client.Messages(ctx) {
		}
	})
	defer reader.Wait()

	var due <-chan time.Time
	next := s.opened.Add(p.real(s.first))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	if s.first >= 0 {
		due = timer.C
	}
	for {
		select {
		case <-due:
			p.send(ctx, s)
			next = next.Add(p.real(s.again))
			if s.again == 0 || !next.Before(s.opened.Add(p.real(p.watch))) {
				due = nil
				continue
			}
			timer.Reset(time.Until(next))
		case <-s.client.Done():
			p.end(s, s.client.Err())
			return
		case <-ctx.Done():
			p.end(s, nil)
			return
		}
	}
}

// send sends a PING or a message. It returns early when the connection is cut
// meanwhile, which observe sees then.
func (p *probe) send(ctx context.Context, s *subject) {
	b := sending{at: p.virtual(time.Since(s.opened)), ping: s.pings}
	if s.pings {
		waiting, cancel := context.WithTimeout(ctx, min(10*time.Second, p.real(p.interval)/2))
		defer cancel()
		rtt, err := s.client.Ping(waiting)
		if err != nil && (s.client.Err() != nil || ctx.Err() != nil) {
			return
		}
		b.rtt = rtt // 0 with an error
	} else if err := s.client.Write(ctx, p.message); err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.sent = append(s.out.sent, b)
}

func (p *probe) end(s *subject, cut error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.ended, s.out.cut = true, cut
	s.out.lived = p.virtual(time.Since(s.opened))
	s.out.received = s.client.Stats().MessagesReceived
}

// snapshot returns how s fares.
func (p *probe) snapshot(s *subject) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.out
	o.sent = slices.Clone(o.sent)
	if !o.ended {
		o.lived = p.virtual(time.Since(s.opened))
	}
	return o
}
