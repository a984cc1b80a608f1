package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws"
)

// measureRotations measures how long a Write takes at most while apigws renews
// its connection, and beside it the round trip of a PING. The others have
// nothing to compare with: renewing a connection by hand is a comeback.
func measureRotations(ctx context.Context, cfg config, srv *server, r *report) error {
	if cfg.lib != "" && cfg.lib != ours {
		return nil
	}
	for _, path := range paths {
		stalls, pings := path.stall(), path.ping()
		if !cfg.wants(stalls) {
			continue
		}
		c, err := apigws.Dial(ctx, path.url(srv), &apigws.Options{
			HTTPClient: sharedHTTP,
			Reconnect:  apigws.Reconnect{Drain: time.Millisecond},
		})
		if err != nil {
			return err
		}
		if _, err := c.Read(ctx); err != nil { // the greeting
			return err
		}
		for range cfg.comebacks {
			ping, err := c.Ping(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", pings, err)
			}
			stall, err := rotationStall(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", stalls, err)
			}
			r.add(pings, ours, elapsed, micros(ping))
			r.add(stalls, ours, elapsed, micros(stall))
		}
		c.Close()
	}
	return nil
}

// rotationStall is the longest that a Write took while c was renewed. A Write
// begins at least each 0.1 ms or so.
func rotationStall(ctx context.Context, c *apigws.Client) (time.Duration, error) {
	var (
		ended  atomic.Bool
		most   time.Duration
		result = make(chan error)
	)
	go func() {
		var err error
		for err == nil && !ended.Load() {
			start := time.Now()
			err = c.Write(ctx, []byte("x"))
			most = max(most, time.Since(start))
			time.Sleep(100 * time.Microsecond)
		}
		result <- err
	}()
	err := c.Rotate(ctx)
	ended.Store(true)
	if err := <-result; err != nil {
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	_, err = c.Read(ctx) // the greeting
	return most, err
}
