// Command idle repeats the experiment that this library began with: who is cut
// when, if a connection is silent, sends once, sends at intervals, or sends
// PINGs only? On its embedded fake gateway the two minutes are scaled down to
// two seconds.
//
//	go run ./examples/idle
//	go run ./examples/idle -url wss://abc123.execute-api.eu-west-1.amazonaws.com/prod -idle 2m -watch 15m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	var e experiment
	flag.StringVar(&e.url, "url", "", "a real gateway; default: an embedded fake")
	flag.DurationVar(&e.idle, "idle", 2*time.Second, "the idle limit: that of the fake, or the one you expect")
	flag.DurationVar(&e.watch, "watch", 0, "how long to watch (default: four times -idle)")
	flag.Parse()
	if err := e.run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

type experiment struct {
	url         string
	client      *http.Client // nil: the default
	idle, watch time.Duration
}

// A subject is one client of the experiment.
type subject struct {
	name      string
	keepalive bool // PINGs
	once      bool // one message after connecting
	repeat    bool // a message at intervals

	lived time.Duration
	err   error // why it was cut; nil: it was not
}

func (e *experiment) run(ctx context.Context, out io.Writer) error {
	if e.watch == 0 {
		e.watch = 4 * e.idle
	}
	if e.url == "" {
		gw := gatewaytest.NewServer(&gatewaytest.Config{Idle: e.idle})
		defer gw.Close()
		e.url = gw.URL
		fmt.Fprintf(out, "a fake gateway that cuts after %v of silence, watched for %v\n\n", e.idle, e.watch)
	}

	subjects := []*subject{
		{name: "silent"},
		{name: "one message, then silent", once: true},
		{name: fmt.Sprintf("a message every %v", e.idle/2), once: true, repeat: true},
		{name: fmt.Sprintf("PINGs only, after %v of silence", e.idle/2), keepalive: true},
	}
	var observed sync.WaitGroup
	for _, s := range subjects {
		c, err := e.dial(ctx, s)
		if err != nil {
			return err
		}
		defer c.Close()
		observed.Go(func() { e.observe(ctx, s, c) })
	}
	observed.Wait()

	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "client\tlived\tthen")
	for _, s := range subjects {
		fmt.Fprintf(table, "%s\t%v\t%s\n", s.name, s.lived.Round(min(e.idle/100, time.Second)), s.end())
	}
	return table.Flush()
}

// dial makes a client that keeps its connection alive by PINGs or not at all,
// and ends with it.
func (e *experiment) dial(ctx context.Context, s *subject) (*apigws.Client, error) {
	return apigws.Dial(ctx, e.url, &apigws.Options{
		HTTPClient: e.client,
		Limits:     apigws.Limits{Idle: e.idle},
		Keepalive: apigws.Keepalive{
			Disabled: !s.keepalive,
			Interval: e.idle / 2,
		},
		Reconnect: apigws.Reconnect{Disabled: true}, // the first cut is the result
	})
}

// observe sends what s is to send and notes how long its connection lives.
func (e *experiment) observe(ctx context.Context, s *subject, c *apigws.Client) {
	start := time.Now()
	defer func() { s.lived = time.Since(start) }()

	// What the backend answers is of no interest, but must be read.
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		for range c.Messages(reading) {
		}
	})
	defer reader.Wait()
	defer stop()

	end := time.After(e.watch)
	var again <-chan time.Time
	if s.repeat {
		ticker := time.NewTicker(e.idle / 2)
		defer ticker.Stop()
		again = ticker.C
	}
	send := s.once
	for {
		if send {
			if err := c.Write(ctx, []byte(`{"action":"ping"}`)); err != nil {
				s.err = err
				return
			}
		}
		select {
		case <-again:
			send = true
		case <-c.Done():
			s.err = c.Err()
			return
		case <-end:
			return
		}
	}
}

func (s *subject) end() string {
	var closed *apigws.CloseError
	switch {
	case s.err == nil:
		return "still open"
	case errors.As(s.err, &closed):
		return fmt.Sprintf("cut with %d %q", closed.Code, closed.Reason)
	default:
		return "cut: " + s.err.Error()
	}
}
