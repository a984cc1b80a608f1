package apigws_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/cenkalti/backoff/v4"
)

// policy returns a Reconnect whose waits are those given, and then
// backoff.Stop.
func policy(waits ...time.Duration) apigws.Reconnect {
	return apigws.Reconnect{Backoff: func() backoff.BackOff { return &listed{all: waits} }}
}

type listed struct {
	all  []time.Duration
	next int
}

func (l *listed) NextBackOff() time.Duration {
	if l.next == len(l.all) {
		return backoff.Stop
	}
	l.next++
	return l.all[l.next-1]
}

func (l *listed) Reset() { l.next = 0 }

// doubling is an exponential policy without chance: 1s, 2s, 4s ... 30s.
func doubling() apigws.Reconnect {
	return apigws.Reconnect{Backoff: func() backoff.BackOff {
		return backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(2),
			backoff.WithRandomizationFactor(0), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	}}
}

// After every way of breaking, the client is back, by one reconnect, although
// reader, writers and pingers all found out about it.
func TestOneReconnectPerBreak(t *testing.T) {
	type gateway = gatewaytest.Server
	closing := func(code int) func(*gateway, *gatewaytest.Conn) {
		return func(_ *gateway, conn *gatewaytest.Conn) { conn.Close(code, "because") }
	}
	refusing := func(status int) func(*gateway, *gatewaytest.Conn) {
		return func(gw *gateway, conn *gatewaytest.Conn) {
			gw.Refuse(status, 3)
			conn.Drop()
		}
	}
	tests := map[string]func(*gateway, *gatewaytest.Conn){
		"close 1000": closing(1000), "close 1001": closing(1001), "close 1005": closing(1005),
		"end of stream": closing(1006), "close 1009": closing(1009), "close 1011": closing(1011),
		"close 1012": closing(1012), "close 4000": closing(4000),
		"reset":      func(_ *gateway, conn *gatewaytest.Conn) { conn.Drop() },
		"freeze":     func(_ *gateway, conn *gatewaytest.Conn) { conn.Freeze(true) },
		"freeze in":  func(_ *gateway, conn *gatewaytest.Conn) { conn.FreezeIn(true) },
		"freeze out": func(_ *gateway, conn *gatewaytest.Conn) { conn.FreezeOut(true) },
		"garbage":    func(_ *gateway, conn *gatewaytest.Conn) { conn.SendRaw([]byte{0xff, 0xff, 0xff}) },
		"408":        refusing(408), "429": refusing(429), "500": refusing(500),
		"502": refusing(502), "503": refusing(503), "504": refusing(504),
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				var j journal
				// Shorter than CloseTimeout and the like: a second reconnect
				// would have its chance.
				c := dial(t, gw, &apigws.Options{OnState: j.note, Reconnect: every(time.Second)})
				ctx, cancel := context.WithCancel(t.Context())
				var users sync.WaitGroup
				defer users.Wait()
				defer cancel()
				got := make(chan string, 10000)
				users.Go(func() {
					for p, err := range c.Messages(ctx) {
						if err == nil {
							got <- string(p)
						}
					}
				})
				for range 3 {
					users.Go(func() {
						for ctx.Err() == nil {
							if err := c.Write(ctx, []byte("tick")); err != nil &&
								!errors.Is(err, apigws.ErrUnconfirmed) && ctx.Err() == nil {
								t.Errorf("Write: %v", err)
							}
							time.Sleep(time.Second)
						}
					})
					users.Go(func() {
						for ctx.Err() == nil {
							limited, cancel := context.WithTimeout(ctx, time.Second)
							c.Ping(limited) // fails at times: that is no reason for anything
							cancel()
							time.Sleep(time.Second)
						}
					})
				}
				sleep(20*time.Second + time.Second/2)
				breakIt(gw, line(t, gw))
				sleep(5 * time.Minute)
				accepted(t, gw, 2)
				inState(t, c, apigws.StateOpen)
				opened := 0
				for _, s := range j.all() {
					if s.To == apigws.StateOpen {
						opened++
						if s.Generation != opened {
							t.Errorf("generation %d is open, want %d", s.Generation, opened)
						}
					}
				}
				if opened != 2 {
					t.Errorf("the client was told %d times that it is open, want twice", opened)
				}
				s := c.Stats()
				if lost := s.LostClosed + s.LostNetwork + s.LostTimeout; lost != 1 || s.Connects != 2 {
					t.Errorf("Stats = %+v, want one loss and two connects", s)
				}
				for len(got) > 0 {
					<-got
				}
				sleep(10 * time.Second)
				if len(got) != 30 {
					t.Errorf("%d echoes in ten seconds after the break, want those of three writers: 30", len(got))
				}
			})
		})
	}
}

// With Reconnect.Disabled, Dial tries once, and the client ends with its
// connection.
func TestReconnectDisabled(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}}
		gw.Refuse(503, 1)
		var refused *apigws.HandshakeError
		if _, err := tryDial(t, gw, time.Hour, opts); !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Dial: %v", err)
		}
		c := dial(t, gw, opts)
		line(t, gw).Close(1001, "Going away")
		<-c.Done()
		var closed *apigws.CloseError
		if !errors.As(c.Err(), &closed) || closed.Code != 1001 {
			t.Fatalf("Err = %v", c.Err())
		}
		allSayWhy(t, c, closed)
		sleep(time.Hour)
		accepted(t, gw, 1)
	})
}

// Dial retries what is worth it until ctx ends, and then tells of the last
// failure.
func TestDialUntilContextEnds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, -1)
		start := time.Now()
		_, err := tryDial(t, gw, time.Minute, nil)
		var refused *apigws.HandshakeError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Dial: %v, want DeadlineExceeded and the refusal", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("Dial took %v", took)
		}
		if got := gw.Stats().Refused[503]; got < 3 {
			t.Errorf("%d attempts in a minute", got)
		}
	})
}

// So it does when ctx ends in the middle of a later attempt.
func TestDialKeepsTheLastFailure(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, 1)
		time.AfterFunc(time.Second, func() { gw.Hold(true) })
		_, err := tryDial(t, gw, 10*time.Second, &apigws.Options{Reconnect: every(2 * time.Second)})
		var refused *apigws.HandshakeError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Dial: %v, want DeadlineExceeded and the refusal before it", err)
		}
	})
}

func TestDialUnreachable(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		client := gw.Client()
		gw.Close()
		_, err := tryDial(t, gw, time.Minute, &apigws.Options{HTTPClient: client})
		var failed *apigws.HandshakeError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) ||
			!errors.As(err, &failed) || failed.StatusCode != 0 {
			t.Errorf("Dial: %v, want DeadlineExceeded and ECONNREFUSED", err)
		}
	})
}

// HandshakeTimeout bounds one attempt; another follows.
func TestHandshakeTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Hold(true)
		time.AfterFunc(31*time.Second+moment, func() { gw.Hold(false) })
		var j journal
		start := time.Now()
		c := dial(t, gw, &apigws.Options{OnState: j.note, Reconnect: every(time.Second)})
		if took := time.Since(start); took != 31*time.Second+moment {
			t.Errorf("connected after %v, want 30 s of the first attempt, 1 s of waiting, and the second", took)
		}
		synctest.Wait()
		if first := j.all()[0]; !errors.Is(first.Err, context.DeadlineExceeded) || first.To != apigws.StateBackoff {
			t.Errorf("the first change is %+v", first)
		}
		if s := c.Stats(); s.ConnectErrors != 1 || s.Refused != 0 || s.Connects != 1 {
			t.Errorf("Stats = %+v", s)
		}
		accepted(t, gw, 1)
	})
}

// goroutines counts those in bubbles. runtime.NumGoroutine would also count
// what the runtime and earlier tests are busy with.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for line := range strings.Lines(string(stacks)) {
		if strings.HasPrefix(line, "goroutine ") && strings.Contains(line, "synctest bubble") {
			n++
		}
	}
	return n
}

// A thousand breaks leave no goroutine behind.
func TestThousandBreaks(t *testing.T) {
	inBubble(t, &gatewaytest.Config{Discard: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Reconnect: every(time.Second)})
		synctest.Wait()
		before := goroutines()
		for i := range 1000 {
			conn := line(t, gw)
			switch i % 4 {
			case 0:
				conn.Drop()
			case 1:
				conn.Close(1001, "Going away")
			case 2:
				gw.Refuse(503, 1)
				conn.Close(1006, "")
			case 3:
				conn.Freeze(true)
				sleep(66 * time.Second)
				conn.Drop() // the gateway never learns of the end otherwise
			}
			sleep(3 * time.Second)
			write(t, c, "hello")
			if got := read(t, c); got != "hello" {
				t.Fatalf("Read = %q", got)
			}
		}
		sleep(time.Second)
		if after := goroutines(); after != before {
			t.Errorf("%d goroutines after a thousand breaks, %d before", after, before)
		}
		accepted(t, gw, 1001)
	})
}
