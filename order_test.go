package apigws

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/internal/loop"
)

// until waits for something that other goroutines do without delay, and reports whether it has
// come.
func until(is func() bool) bool {
	for range 10_000_000 {
		if is() {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// The run loop is woken when it can see that the client ends: it may sleep for long afterwards.
func TestEndComesBeforeItsWake(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &Client{ctx: ctx, life: &life{connector: &connector{}}}
	seen := make(chan error, 1)
	c.life.loop = loop.New(func() bool {
		seen <- ctx.Err()
		return false
	})
	c.cancel = func() {
		yield()
		if c.life.connector.ended {
			t.Error("connect was ended before the client")
		}
		cancel()
	}
	c.end(ErrClosed)
	if !until(func() bool { return len(seen) > 0 }) {
		t.Fatal("the loop was not woken")
	}
	if <-seen == nil {
		t.Error("the loop was woken before the client ended")
	}
}

// The run loop is woken when it can see that a call of Rotate waits.
func TestRequestComesBeforeItsWake(t *testing.T) {
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		synctest.Wait()
		before := l.looks.Load()
		l.life.requests.mu.Lock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		rotated := make(chan error)
		go func() { rotated <- l.Rotate(ctx) }()
		yield()
		if l.looks.Load() != before {
			t.Error("the loop was woken before the request")
		}
		l.life.requests.mu.Unlock()
		if err := <-rotated; err != nil {
			t.Error(err)
		}
	})
}

// What a rotation does, one after the other: it counts, the next connection is in use, OnState and
// the call of Rotate are told, and OnRetire runs.
func TestOrderOfAHandover(t *testing.T) {
	var retired atomic.Bool
	opts := Options{OnRetire: func(context.Context, *Conn) { retired.Store(true) }}
	onLaptop(t, opts, func(t *testing.T, l *laptop) {
		synctest.Wait()
		rotated := make(chan error, 1)
		l.line.mu.Lock()
		go func() { rotated <- l.Rotate(t.Context()) }()
		if !until(func() bool {
			_, _, generation := l.status.now()
			return generation == 2 && l.counters.rotations.Load() == 1
		}) {
			t.Error("the next connection has no generation, or the rotation is not counted, before it is in use")
		}
		yield()
		if len(rotated) > 0 || retired.Load() {
			t.Error("Rotate has returned or OnRetire runs, and the next connection is not in use")
		}
		l.status.mu.Lock()
		l.line.mu.Unlock()
		if !until(func() bool {
			conn := l.line.inUse()
			return conn != nil && conn.generation == 2
		}) {
			t.Error("the next connection is not in use before the state is told")
		}
		yield()
		if len(rotated) > 0 || retired.Load() {
			t.Error("Rotate has returned or OnRetire runs, and OnState was not told")
		}
		l.status.mu.Unlock()
		if err := <-rotated; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !retired.Load() {
			t.Error("OnRetire has not run")
		}
	})
}

// A connection that a rotation has made, and that the run loop has not seen when the client is
// closed or fails, is ended, too. What it brought can be read.
func TestCloseWithAConnectionInHand(t *testing.T) {
	for _, end := range []string{"Close", "Retry"} {
		opts := Options{Reconnect: Reconnect{Retry: func(error) bool { return false }}}
		onLaptop(t, opts, func(t *testing.T, l *laptop) { closeInHand(t, l, end) })
	}
}

func closeInHand(t *testing.T, l *laptop, end string) {
	l.gw.Hold(true)
	go l.Rotate(t.Context())
	time.Sleep(time.Second)
	l.slow.Store(int64(10 * time.Second))
	if err := l.Write(t.Context(), []byte("x")); err != nil { // which wakes the loop
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	l.gw.Hold(false)
	time.Sleep(time.Second)
	conns := l.gw.Conns()
	if len(conns) != 2 || l.Stats().Generation != 1 {
		t.Fatalf("%d connections, and %+v", len(conns), l.Stats())
	}
	conns[1].Send([]byte("early"))
	synctest.Wait()
	l.slow.Store(0)
	start := time.Now()
	if end == "Retry" {
		conns[0].Drop()
		<-l.Done()
	}
	l.Close()
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("%s: the client ended after %v", end, took)
	}
	synctest.Wait()
	if n := len(l.gw.Conns()); n != 0 {
		t.Errorf("%d connections are open after Close", n)
	}
	var got []string
	for p := range l.Messages(t.Context()) {
		got = append(got, string(p))
	}
	if !slices.Contains(got, "early") {
		t.Errorf("Read = %q, want the early message", got)
	}
}

// The time that a machine has slept counts for Stable, and for the age that is logged.
func TestSleepMakesAConnectionStable(t *testing.T) {
	var log bytes.Buffer
	var waits []time.Duration
	opts := Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		OnState: func(_ *Client, s StateChange) {
			if s.To == StateBackoff {
				waits = append(waits, s.RetryIn)
			}
		},
		Reconnect: Reconnect{RotateAfter: -1, Stable: time.Minute, Backoff: func() backoff.BackOff {
			return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
				backoff.WithRandomizationFactor(0))
		}},
	}
	onLaptop(t, opts, func(t *testing.T, l *laptop) {
		for generation := range 3 {
			if generation == 2 {
				l.suspend(2 * time.Hour)
				time.Sleep(11 * time.Second) // the clocks are looked at each ten
			}
			l.gw.Conns()[0].Drop()
			time.Sleep(5 * time.Second)
			l.live(t, generation+2)
		}
		l.Close()
		if want := []time.Duration{time.Second, 2 * time.Second, time.Second}; !slices.Equal(waits, want) {
			t.Errorf("waits %v, want %v", waits, want)
		}
		if !strings.Contains(log.String(), "age=2h0m") {
			t.Errorf("the log is\n%s\nwant an age of two hours", &log)
		}
	})
}
