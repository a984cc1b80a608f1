package apigws_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

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
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				var j clienttest.Journal
				// Shorter than CloseTimeout and the like: a second reconnect
				// would have its chance.
				c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)})
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
				clienttest.Sleep(20*time.Second + time.Second/2)
				breakIt(gw, clienttest.Only(t, gw))
				clienttest.Sleep(5 * time.Minute)
				clienttest.Accepted(t, gw, 2)
				clienttest.InState(t, c, apigws.StateOpen)
				opened := 0
				for _, s := range j.All() {
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
				clienttest.Sleep(10 * time.Second)
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
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}}
		gw.Refuse(503, 1)
		var refused *apigws.HandshakeError
		if _, err := clienttest.TryDial(t, gw, time.Hour, opts); !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Dial: %v", err)
		}
		c := clienttest.Dial(t, gw, opts)
		clienttest.Only(t, gw).Close(1001, "Going away")
		<-c.Done()
		var closed *apigws.CloseError
		if !errors.As(c.Err(), &closed) || closed.Code != 1001 {
			t.Fatalf("Err = %v", c.Err())
		}
		allSayWhy(t, c, closed)
		clienttest.Sleep(time.Hour)
		clienttest.Accepted(t, gw, 1)
	})
}

// Dial retries what is worth it until ctx ends, and then tells of the last
// failure.
func TestDialUntilContextEnds(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, -1)
		start := time.Now()
		_, err := clienttest.TryDial(t, gw, time.Minute, nil)
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
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, 1)
		time.AfterFunc(time.Second, func() { gw.Hold(true) })
		_, err := clienttest.TryDial(t, gw, 10*time.Second, &apigws.Options{Reconnect: clienttest.Every(2 * time.Second)})
		var refused *apigws.HandshakeError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Dial: %v, want DeadlineExceeded and the refusal before it", err)
		}
	})
}

func TestDialUnreachable(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		client := gw.Client()
		gw.Close()
		_, err := clienttest.TryDial(t, gw, time.Minute, &apigws.Options{HTTPClient: client})
		var failed *apigws.HandshakeError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) ||
			!errors.As(err, &failed) || failed.StatusCode != 0 {
			t.Errorf("Dial: %v, want DeadlineExceeded and ECONNREFUSED", err)
		}
	})
}

// HandshakeTimeout bounds one attempt; another follows.
func TestHandshakeTimeout(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Hold(true)
		time.AfterFunc(31*time.Second+moment, func() { gw.Hold(false) })
		var j clienttest.Journal
		start := time.Now()
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)})
		if took := time.Since(start); took != 31*time.Second+moment {
			t.Errorf("connected after %v, want 30 s of the first attempt, 1 s of waiting, and the second", took)
		}
		synctest.Wait()
		if first := j.All()[0]; !errors.Is(first.Err, context.DeadlineExceeded) || first.To != apigws.StateBackoff {
			t.Errorf("the first change is %+v", first)
		}
		if s := c.Stats(); s.ConnectErrors != 1 || s.Refused != 0 || s.Connects != 1 {
			t.Errorf("Stats = %+v", s)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// A thousand breaks leave no goroutine behind.
func TestThousandBreaks(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Discard: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second)})
		synctest.Wait()
		before := clienttest.Goroutines()
		for i := range 1000 {
			conn := clienttest.Only(t, gw)
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
				clienttest.Sleep(66 * time.Second)
				conn.Drop() // the gateway never learns of the end otherwise
			}
			clienttest.Sleep(3 * time.Second)
			clienttest.Write(t, c, "hello")
			if got := clienttest.Read(t, c); got != "hello" {
				t.Fatalf("Read = %q", got)
			}
		}
		clienttest.Sleep(time.Second)
		if after := clienttest.Goroutines(); after != before {
			t.Errorf("%d goroutines after a thousand breaks, %d before", after, before)
		}
		clienttest.Accepted(t, gw, 1001)
	})
}
