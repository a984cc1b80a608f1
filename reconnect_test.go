package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
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

// A refusal that no retry can mend ends Dial at once.
func TestDialRefused(t *testing.T) {
	for _, status := range []int{302, 400, 404, 410, 414, 426} {
		inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			gw.Refuse(status, -1)
			start := time.Now()
			_, err := tryDial(t, gw, time.Hour, nil)
			var refused *apigws.HandshakeError
			if !errors.As(err, &refused) || refused.StatusCode != status {
				t.Errorf("Dial refused with %d: %v", status, err)
			}
			if got := gw.Stats().Refused[status]; got != 1 || time.Since(start) != 0 {
				t.Errorf("%d: %d attempts in %v, want one", status, got, time.Since(start))
			}
		})
	}
}

// Nor does a client live on that is refused like that when it reconnects.
func TestReconnectRefused(t *testing.T) {
	for _, status := range []int{400, 404, 426} {
		inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			var j journal
			c := dial(t, gw, &apigws.Options{OnState: j.note, Reconnect: every(time.Second)})
			gw.Refuse(status, -1)
			line(t, gw).Drop()
			sleep(time.Second)
			inState(t, c, apigws.StateClosed)
			<-c.Done()
			var refused *apigws.HandshakeError
			if err := c.Err(); !errors.Is(err, apigws.ErrClosed) || !errors.As(err, &refused) || refused.StatusCode != status {
				t.Errorf("Err = %v, want ErrClosed and %d", err, status)
			}
			changes := j.all()
			if last := changes[len(changes)-1]; last.To != apigws.StateClosed || !errors.As(last.Err, &refused) {
				t.Errorf("the last change is %+v", last)
			}
			if got := gw.Stats().Refused[status]; got != 1 {
				t.Errorf("%d attempts, want one", got)
			}
			allSayWhy(t, c, refused)
		})
	}
}

// allSayWhy checks that every call of a client that has ended wraps ErrClosed,
// and the failure that ended it if there was one.
func allSayWhy(t *testing.T, c *apigws.Client, cause error) {
	t.Helper()
	ctx := t.Context()
	_, readErr := c.Read(ctx)
	_, pingErr := c.Ping(ctx)
	var v any
	for call, err := range map[string]error{
		"Read": readErr, "ReadJSON": c.ReadJSON(ctx, &v), "Ping": pingErr, "Rotate": c.Rotate(ctx),
		"Write": c.Write(ctx, []byte("x")), "WriteJSON": c.WriteJSON(ctx, 1), "Err": c.Err(),
	} {
		if !errors.Is(err, apigws.ErrClosed) || cause != nil && !errors.Is(err, cause) {
			t.Errorf("%s after the end: %v, want ErrClosed and %v", call, err, cause)
		}
		if isWrite := call == "Write" || call == "WriteJSON"; isWrite != errors.Is(err, apigws.ErrNotSent) {
			t.Errorf("%s after the end: %v", call, err)
		}
	}
	for _, err := range c.Messages(ctx) {
		if !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Messages after the end: %v", err)
		}
	}
}

// A 401 or 403 gets one more try with a fresh Prepare: the token may have been
// stale. Twice running, it is final.
func TestUnauthorized(t *testing.T) {
	// What the gateway answers, in order; then it lets everybody in.
	tests := []struct {
		name     string
		answers  []int
		attempts int
		ends     int // status with which the client ends; 0: it does not
	}{
		{"once", []int{403}, 2, 0},
		{"once 401", []int{401}, 2, 0},
		{"twice", []int{403, 403, 403}, 2, 403},
		{"one after the other", []int{401, 403, 403}, 2, 403},
		{"not running", []int{403, 503, 403, 429, 401}, 6, 0},
		{"late", []int{500, 500, 403, 401}, 4, 401},
	}
	for _, test := range tests {
		for _, during := range []string{"Dial", "reconnect"} {
			t.Run(test.name+" in "+during, func(t *testing.T) {
				prepared, attempts := 0, 0
				authorize := func(r *http.Request) int {
					if got, want := r.URL.Query().Get("try"), fmt.Sprint(prepared); got != want {
						t.Errorf("the handshake has token %s, want the fresh one %s", got, want)
					}
					attempts++
					if attempts > len(test.answers) {
						return 200
					}
					return test.answers[attempts-1]
				}
				inBubble(t, &gatewaytest.Config{Authorize: authorize}, func(t *testing.T, gw *gatewaytest.Server) {
					if during == "reconnect" {
						attempts = len(test.answers) // let in the first time
					}
					opts := &apigws.Options{Reconnect: every(time.Second), Prepare: func(req *http.Request) error {
						prepared++
						q := req.URL.Query()
						q.Set("try", fmt.Sprint(prepared))
						req.URL.RawQuery = q.Encode()
						return nil
					}}
					c, err := tryDial(t, gw, time.Hour, opts)
					if during == "reconnect" {
						attempts, prepared = 0, 0
						line(t, gw).Drop()
						sleep(time.Minute)
						err = c.Err()
					}
					var refused *apigws.HandshakeError
					if test.ends == 0 && err != nil {
						t.Errorf("ended: %v", err)
					}
					if test.ends != 0 && (!errors.As(err, &refused) || refused.StatusCode != test.ends) {
						t.Errorf("ended with %v, want %d", err, test.ends)
					}
					if attempts != test.attempts || prepared != test.attempts {
						t.Errorf("%d attempts, %d calls of Prepare, want %d", attempts, prepared, test.attempts)
					}
				})
			})
		}
	}
}

// A connection in between makes a 403 the first again.
func TestUnauthorizedAfterConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(403, 1)
		c := dial(t, gw, &apigws.Options{Reconnect: every(time.Second)})
		for range 3 {
			gw.Refuse(403, 1)
			line(t, gw).Drop()
			sleep(10 * time.Second)
			inState(t, c, apigws.StateOpen)
		}
		accepted(t, gw, 4)
	})
}

// Retry decides alone when it is set.
func TestCustomRetry(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var asked []error
		opts := &apigws.Options{Reconnect: every(time.Second)}
		opts.Reconnect.Retry = func(err error) bool {
			asked = append(asked, err)
			var closed *apigws.CloseError
			return !errors.As(err, &closed) || closed.Code != 4001
		}
		gw.Refuse(404, 2) // which Retryable would not retry
		c := dial(t, gw, opts)
		if len(asked) != 2 {
			t.Errorf("Retry was asked %d times, want twice", len(asked))
		}
		gw.Refuse(403, 5)
		line(t, gw).Drop()
		sleep(time.Minute)
		inState(t, c, apigws.StateOpen)
		line(t, gw).Close(4001, "go away")
		synctest.Wait()
		inState(t, c, apigws.StateClosed)
		var closed *apigws.CloseError
		if err := c.Err(); !errors.As(err, &closed) || closed.Code != 4001 {
			t.Fatalf("Err = %v", err)
		}
		allSayWhy(t, c, closed)
		accepted(t, gw, 2)
	})
}

func TestRetryable(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                                        false,
		apigws.ErrClosed:                           false,
		&apigws.OptionError{Field: "url"}:          false,
		&net.OpError{Err: syscall.EPIPE}:           true,
		context.DeadlineExceeded:                   true, // a handshake that took too long
		apigws.ErrNoPong:                           true,
		apigws.ErrWriteTimeout:                     true,
		&apigws.HandshakeError{Err: net.ErrClosed}: true,
	} {
		if got := apigws.Retryable(err); got != want {
			t.Errorf("Retryable(%v) = %v", err, got)
		}
	}
	for status := 200; status < 600; status++ {
		want := status == 408 || status == 429 || status >= 500
		err := fmt.Errorf("wrapped: %w", &apigws.HandshakeError{StatusCode: status})
		if got := apigws.Retryable(err); got != want {
			t.Errorf("Retryable(%v) = %v", err, got)
		}
	}
	for code := 1000; code < 5000; code++ {
		if !apigws.Retryable(&apigws.CloseError{Code: code}) {
			t.Errorf("close code %d is not worth a retry", code)
		}
	}
}

// The waits are those of the policy, and Stop ends the client with the last
// failure.
func TestCustomBackoff(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j journal
		c := dial(t, gw, &apigws.Options{OnState: j.note, Reconnect: policy(3*time.Second, 0, 5*time.Second)})
		gw.Refuse(503, -1)
		line(t, gw).Drop()
		sleep(8*time.Second - moment)
		if got := gw.Stats().Refused[503]; got != 2 {
			t.Errorf("%d attempts after 3 s and no wait, want 2", got)
		}
		sleep(2 * moment)
		if got := gw.Stats().Refused[503]; got != 3 {
			t.Errorf("%d attempts after 8 s, want 3", got)
		}
		if got := j.waits(); !slices.Equal(got, []time.Duration{3 * time.Second, 5 * time.Second}) {
			t.Errorf("waits %v", got)
		}
		var refused *apigws.HandshakeError
		if err := c.Err(); !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Err = %v, want the last failure", err)
		}
	})
}

// A policy that stops at once ends the client with what broke the connection.
func TestBackoffStops(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, &apigws.Options{Reconnect: policy()})
		line(t, gw).Close(1012, "")
		synctest.Wait()
		var closed *apigws.CloseError
		if err := c.Err(); !errors.As(err, &closed) || closed.Code != 1012 {
			t.Errorf("Err = %v", err)
		}
		gw.Refuse(500, -1)
		var refused *apigws.HandshakeError
		if _, err := tryDial(t, gw, time.Hour, &apigws.Options{Reconnect: policy(time.Second)}); !errors.As(err, &refused) {
			t.Errorf("Dial: %v", err)
		}
		if got := gw.Stats().Refused[500]; got != 2 {
			t.Errorf("%d attempts, want 2", got)
		}
	})
}

// A server that accepts and drops at once sees growing waits: a connection
// counts as success only when it has been open for Stable.
func TestAcceptThenDrop(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j journal
		c := dial(t, gw, &apigws.Options{OnState: j.note, Reconnect: doubling()})
		for i := range 7 {
			synctest.Wait()
			line(t, gw).Drop()
			sleep(min(time.Second<<i, 30*time.Second))
		}
		seconds := func(ns ...time.Duration) []time.Duration {
			for i := range ns {
				ns[i] *= time.Second
			}
			return ns
		}
		if got, want := j.waits(), seconds(1, 2, 4, 8, 16, 30, 30); !slices.Equal(got, want) {
			t.Errorf("waits %v, want %v", got, want)
		}

		// A moment less than Stable changes nothing, a moment more does.
		sleep(10*time.Second - moment)
		line(t, gw).Drop()
		sleep(30 * time.Second)
		sleep(10*time.Second + moment)
		line(t, gw).Drop()
		sleep(time.Second)
		inState(t, c, apigws.StateOpen)
		if got, want := j.waits()[7:], seconds(30, 1); !slices.Equal(got, want) {
			t.Errorf("waits around Stable: %v, want %v", got, want)
		}
	})
}

func TestStableOption(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j journal
		opts := &apigws.Options{OnState: j.note, Reconnect: doubling()}
		opts.Reconnect.Stable = time.Minute
		dial(t, gw, opts)
		for _, test := range []struct{ open, wait time.Duration }{
			{time.Minute - moment, time.Second},
			{time.Minute - moment, 2 * time.Second},
			{time.Minute + moment, time.Second},
		} {
			sleep(test.open)
			line(t, gw).Drop()
			sleep(test.wait)
		}
		if got := j.waits(); !slices.Equal(got, []time.Duration{time.Second, 2 * time.Second, time.Second}) {
			t.Errorf("waits %v", got)
		}
	})
}

// The default waits are random, below a bound that grows from half a second
// to half a minute, and do not end. The first attempt is jittered too.
func TestDefaultBackoff(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j journal
		c := dial(t, gw, &apigws.Options{OnState: j.note})
		gw.Refuse(503, -1)
		line(t, gw).Drop()
		sleep(24 * time.Hour)
		inState(t, c, apigws.StateBackoff)
		waits := j.waits()
		bound, longest := 500*time.Millisecond, time.Duration(0)
		for i, wait := range waits {
			if wait <= 0 || wait > bound {
				t.Fatalf("wait %d is %v, want one up to %v", i, wait, bound)
			}
			bound = min(bound*5/3, 30*time.Second)
			longest = max(longest, wait)
		}
		// 86400 s in waits of 15 s on average: 5760. Their deviation is 8.7 s
		// each, so that 1 % is more than six deviations of the sum.
		if n := len(waits); n < 5300 || n > 6200 || longest < 29*time.Second {
			t.Errorf("%d waits in a day, the longest %v", n, longest)
		}
		gw.Refuse(0, 0)
		sleep(30 * time.Second)
		inState(t, c, apigws.StateOpen)
	})
}

// With Fleet, the first attempt after a break is spread over Fleet/500 s; what
// follows is the policy's.
func TestFleet(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j journal
		opts := &apigws.Options{OnState: j.note, Reconnect: every(time.Minute)}
		opts.Reconnect.Fleet = 10000 // 20 s
		c := dial(t, gw, opts)
		for range 200 {
			sleep(time.Minute)
			gw.Refuse(429, 1)
			line(t, gw).Drop()
			sleep(2 * time.Minute)
			inState(t, c, apigws.StateOpen)
		}
		waits := j.waits()
		if len(waits) != 400 {
			t.Fatalf("%d waits, want two for each break", len(waits))
		}
		least, most := time.Hour, time.Duration(0)
		for i := 0; i < len(waits); i += 2 {
			least, most = min(least, waits[i]), max(most, waits[i])
			if waits[i+1] != time.Minute {
				t.Errorf("second wait %v, want that of the policy", waits[i+1])
			}
		}
		// That 200 draws all miss the outer quarters has a chance of 1 in 10^24.
		if least < 0 || least > 5*time.Second || most < 15*time.Second || most > 20*time.Second {
			t.Errorf("first waits from %v to %v, want them all over 20 s", least, most)
		}
	})
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
