package main

import (
	"context"
	"fmt"
	"time"

	"github.com/apigws/apigws"
	"github.com/cenkalti/backoff/v4"
)

const elapsed = "µs"

// cut is the message for which the server resets the connection.
var cut = []byte("cut")

// A path is a transport over so long a round trip.
type path struct {
	transport string
	rtt       time.Duration
}

// paths are those over which cuts and rotations are measured: the loopback
// interface, and one on which round trips can be counted.
var paths = []path{{"TCP", 0}, {"TLS", 0}, farTCP, {"TLS", farTCP.rtt}}

var farTCP = path{"TCP", 20 * time.Millisecond}

func (p path) url(srv *server) string {
	return fmt.Sprintf("%s/far/%v", srv.url(p.transport), p.rtt)
}

// scenario names what is measured over p.
func (p path) scenario(what string) string {
	if p.rtt == 0 {
		return fmt.Sprintf("%s, %s, loopback", p.transport, what)
	}
	return fmt.Sprintf("%s, %s, round trip of %v", p.transport, what, p.rtt)
}

func (p path) comeback() string { return p.scenario("back after a cut") }
func (p path) stall() string    { return p.scenario("longest Write in a rotation") }
func (p path) ping() string     { return p.scenario("PING to PONG") }

// measureComebacks measures the time from a cut to the next message delivered:
// the server greets on each connection. apigws comes back by itself, without
// the jitter that it would wait for by default. For the others a loop dials
// again as soon as the reader has failed.
func measureComebacks(ctx context.Context, cfg config, srv *server, r *report) error {
	for _, path := range paths {
		scenario := path.comeback()
		if !cfg.wants(scenario) {
			continue
		}
		err := interleave(cfg.chosen(libraries), cfg.comebacks, func(lib library) error {
			comeback := comebackByHand
			if lib.name == ours {
				comeback = comebackOfOurs
			}
			d, err := comeback(ctx, lib, path.url(srv))
			if err != nil {
				return err
			}
			r.add(scenario, lib.name, elapsed, micros(d))
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", scenario, err)
		}
	}
	return nil
}

func comebackOfOurs(ctx context.Context, _ library, url string) (time.Duration, error) {
	c, err := apigws.Dial(ctx, url, &apigws.Options{
		HTTPClient: sharedHTTP,
		Reconnect:  apigws.Reconnect{Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }},
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Read(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	c.Write(ctx, cut) // may already see the reset
	if _, err := c.Read(ctx); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

func comebackByHand(ctx context.Context, lib library, url string) (time.Duration, error) {
	greetings := make(chan struct{}, 2)
	dial := func() (conn, error) {
		return lib.dial(ctx, url, usual, func([]byte) { greetings <- struct{}{} })
	}
	c, err := dial()
	if err != nil {
		return 0, err
	}
	if err := within(10*time.Second, greetings); err != nil {
		return 0, fmt.Errorf("greeting: %w", err)
	}
	start := time.Now()
	c.write(cut) // may already see the reset
	if err := within(10*time.Second, c.lost()); err != nil {
		return 0, fmt.Errorf("cut: %w", err)
	}
	c.close()
	if c, err = dial(); err != nil {
		return 0, err
	}
	defer c.close()
	if err := within(10*time.Second, greetings); err != nil {
		return 0, fmt.Errorf("second greeting: %w", err)
	}
	return time.Since(start), nil
}

// within waits for ch, but no longer than limit.
func within(limit time.Duration, ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("nothing within %v", limit)
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
