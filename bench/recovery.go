package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws"
	"github.com/cenkalti/backoff/v4"
)

// measureRecovery measures what only a client that lasts does: coming back
// after a cut, and renewing its connection. The others come back as a loop
// that dials again at once does.
func measureRecovery(ctx context.Context, cfg config, r *report, base string) error {
	var apigwsBack, coderBack, rtt, stall []time.Duration
	for range 10 * cfg.rounds {
		a, err := apigwsRecovery(ctx, base)
		if err != nil {
			return err
		}
		b, err := handRecovery(ctx, base)
		if err != nil {
			return err
		}
		apigwsBack, coderBack = append(apigwsBack, a), append(coderBack, b)
	}
	c, err := apigws.Dial(ctx, base+"/echo", &apigws.Options{HTTPClient: sharedHTTP()})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 10 * cfg.rounds {
		d, err := c.Ping(ctx)
		if err != nil {
			return err
		}
		s, err := rotationStall(ctx, c)
		if err != nil {
			return err
		}
		rtt, stall = append(rtt, d), append(stall, s)
	}
	r.recovery(apigwsBack, coderBack, rtt, stall)
	return nil
}

// apigwsRecovery is the time from a cut to the next message delivered, without
// the jitter before the attempt.
func apigwsRecovery(ctx context.Context, base string) (time.Duration, error) {
	c, err := apigws.Dial(ctx, base+"/echo", &apigws.Options{
		HTTPClient: sharedHTTP(),
		Reconnect: apigws.Reconnect{
			Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} },
		},
		OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			return conn.Write(ctx, []byte("hello"))
		},
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Read(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := c.Write(ctx, []byte("cut")); err != nil {
		return 0, err
	}
	if _, err := c.Read(ctx); err != nil { // the echo of the hello on the next connection
		return 0, err
	}
	return time.Since(start), nil
}

func handRecovery(ctx context.Context, base string) (time.Duration, error) {
	answers := make(chan struct{}, 1)
	dial := func() (conn, error) {
		return dialCoder(ctx, base+"/echo", pingEvery, func([]byte) { answers <- struct{}{} })
	}
	c, err := dial()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := c.write([]byte("cut")); err != nil {
		return 0, err
	}
	<-c.(*coderConn).ctx.Done()
	c.close()
	if c, err = dial(); err != nil {
		return 0, err
	}
	defer c.close()
	if err := c.write([]byte("hello")); err != nil {
		return 0, err
	}
	<-answers
	return time.Since(start), nil
}

// rotationStall is the longest that a Write took while the connection was
// renewed.
func rotationStall(ctx context.Context, c *apigws.Client) (time.Duration, error) {
	var (
		stop    atomic.Bool
		longest = make(chan time.Duration)
		failed  = make(chan error, 1)
	)
	go func() {
		var most time.Duration
		for !stop.Load() {
			start := time.Now()
			if err := c.Write(ctx, []byte("x")); err != nil {
				failed <- err
				break
			}
			most = max(most, time.Since(start))
			if _, err := c.Read(ctx); err != nil {
				failed <- err
				break
			}
		}
		longest <- most
	}()
	err := c.Rotate(ctx)
	stop.Store(true)
	most := <-longest
	select {
	case err2 := <-failed:
		return 0, fmt.Errorf("during a rotation: %w", err2)
	default:
		return most, err
	}
}
