package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Timers of one instant fire in no order, so what happens at an instant is
// looked at this long before and after it.
const moment = time.Nanosecond

// mortal are options of a client that does nothing to stay alive, and ends
// with its connection.
func mortal() *apigws.Options {
	return &apigws.Options{
		Keepalive: apigws.Keepalive{Disabled: true},
		Reconnect: apigws.Reconnect{Disabled: true},
	}
}

// endsAt checks that a client is open until an instant, and not after it.
// elapsed is how long ago it was opened.
func endsAt(t *testing.T, c *apigws.Client, elapsed, at time.Duration) {
	t.Helper()
	clienttest.Sleep(at - elapsed - moment)
	clienttest.InState(t, c, apigws.StateOpen)
	clienttest.Sleep(2 * moment)
	if got := c.State(); got == apigws.StateOpen {
		t.Fatalf("still open after %v", at)
	}
}

// The first experiment of the article: a client that says nothing is cut.
func TestSilentClientIsCut(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, mortal())
		endsAt(t, c, 0, 2*time.Minute)
		var closed *apigws.CloseError
		if err := c.Err(); !errors.As(err, &closed) || closed.Code != 1001 || closed.Reason != "Going away" {
			t.Errorf("Err = %v, want the close frame 1001", err)
		}
		if s := c.Stats(); s.LostClosed != 1 || s.Pings != 0 || s.KeepaliveMessages != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// The second: one message moves the cut to two minutes after it.
func TestOneMessageMovesTheCut(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, mortal())
		clienttest.Sleep(40 * time.Second)
		clienttest.Write(t, c, "hello")
		endsAt(t, c, 40*time.Second, 2*time.Minute+40*time.Second)
	})
}

// Cut as other captures have it, without a close frame.
func TestSilentClientIsCutAbruptly(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{AbruptIdle: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, mortal())
		endsAt(t, c, 0, 2*time.Minute)
		var closed *apigws.CloseError
		if err := c.Err(); !errors.Is(err, apigws.ErrClosed) || errors.As(err, &closed) {
			t.Errorf("Err = %v, want a loss without a close frame", err)
		}
		if s := c.Stats(); s.LostNetwork != 1 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// Without a keepalive, reconnecting is what is left.
func TestDisabledIsCutAndComesBack(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Disabled: true}, Reconnect: clienttest.Every(time.Second)})
		endsAt(t, c, 0, 2*time.Minute)
		clienttest.InState(t, c, apigws.StateBackoff)
		clienttest.Sleep(time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Accepted(t, gw, 2)
		clienttest.Write(t, c, "back")
		if got := clienttest.Read(t, c); got != "back" {
			t.Errorf("Read = %q", got)
		}
		if s := c.Stats(); s.Pings != 0 || s.Generation != 2 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// With the defaults a client that says nothing holds one and the same
// connection, by one PING each 55 s.
func TestDefaultsHoldAnHour(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		id := clienttest.Only(t, gw).ID()
		clienttest.Sleep(time.Hour)
		clienttest.InState(t, c, apigws.StateOpen)
		if got := clienttest.Only(t, gw).ID(); got != id {
			t.Errorf("the connection is %s, was %s", got, id)
		}
		clienttest.Accepted(t, gw, 1)
		if got := gw.Stats(); got.Pings != 65 || got.Messages != 0 {
			t.Errorf("the gateway got %d PINGs and %d messages in an hour, want 65 and none", got.Pings, got.Messages)
		}
		if s := c.Stats(); s.Pings != 65 || s.Pongs != 65 || s.KeepaliveMessages != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// On a gateway that ignores PINGs they do not help, which shows that the test
// below tests something.
func TestPingsDoNotHoldAGatewayThatIgnoresThem(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{IgnorePings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
		endsAt(t, c, 0, 2*time.Minute)
	})
}

// The article's way holds there: a message right after connecting, and then
// one each Interval.
func TestMessagesHoldAnHour(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{IgnorePings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{
			Message: []byte(`{"action":"ping"}`),
			IsReply: func(p []byte) bool { return strings.Contains(string(p), "ping") },
		}})
		synctest.Wait()
		conn := clienttest.Only(t, gw)
		if got := clienttest.Texts(conn); !slices.Equal(got, []string{`{"action":"ping"}`}) {
			t.Errorf("right after connecting the gateway has %q", got)
		}
		clienttest.Sleep(time.Hour)
		if got := clienttest.Only(t, gw); got != conn {
			t.Error("it is another connection")
		}
		clienttest.Accepted(t, gw, 1)
		if got := len(clienttest.Texts(conn)); got != 66 {
			t.Errorf("%d messages in an hour, want 66", got)
		}
		s := c.Stats()
		if s.KeepaliveMessages != 66 || s.MessagesReceived != 66 || s.Unread != 0 {
			t.Errorf("Stats = %+v; the echoes are replies, and not for Read", s)
		}
		// What is no reply gets through.
		conn.Send([]byte("news"))
		if got := clienttest.Read(t, c); got != "news" {
			t.Errorf("Read = %q", got)
		}
	})
}

// Each new connection begins with a message.
func TestMessageAfterReconnect(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		clienttest.Dial(t, gw, &apigws.Options{
			Keepalive: apigws.Keepalive{Message: []byte("keep")},
			Reconnect: clienttest.Every(time.Second),
		})
		for range 3 {
			synctest.Wait()
			if got := clienttest.Texts(clienttest.Only(t, gw)); !slices.Equal(got, []string{"keep"}) {
				t.Fatalf("the gateway has %q", got)
			}
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Second)
		}
		clienttest.Accepted(t, gw, 4)
	})
}

// pingAt checks that the next PING comes at an instant; elapsed is now.
func pingAt(t *testing.T, gw *gatewaytest.Server, elapsed, at time.Duration) {
	t.Helper()
	before := gw.Stats().Pings
	clienttest.Sleep(at - elapsed - moment)
	if got := gw.Stats().Pings; got != before {
		t.Fatalf("%d PINGs came before %v", got-before, at)
	}
	clienttest.Sleep(2 * moment)
	if got := gw.Stats().Pings; got != before+1 {
		t.Fatalf("%d PINGs came at %v, want 1", got-before, at)
	}
}

// A PING is due one Interval after the last frame that was received, whatever its kind, and one
// Timeout after a message was sent that no PING follows.
func TestPingAfterInterval(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		pingAt(t, gw, 0, 55*time.Second)
		clienttest.Sleep(5*time.Second - moment) // 1:00
		conn.Send([]byte("a message"))
		clienttest.Sleep(5 * time.Second) // 1:05
		clienttest.Write(t, c, "to be acknowledged within Timeout")
		pingAt(t, gw, 65*time.Second, 75*time.Second)
		clienttest.Sleep(45*time.Second - moment) // 2:00
		conn.SendRaw([]byte{0x89, 0x00})          // a PING of the gateway
		pingAt(t, gw, 120*time.Second, 175*time.Second)
		clienttest.Sleep(5*time.Second - moment) // 3:00
		conn.SendRaw([]byte{0x01, 0x01, 'x'})    // half a message
		pingAt(t, gw, 180*time.Second, 235*time.Second)
	})
}

func TestIntervalOption(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Interval: 7 * time.Second}})
		pingAt(t, gw, 0, 7*time.Second)
		pingAt(t, gw, 7*time.Second+moment, 14*time.Second)
	})
}

// A connection on which something comes in time needs no PINGs, and no
// keepalive messages either: those cost money.
func TestBusyConnectionNeedsNothing(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Message: []byte("keep")}})
		synctest.Wait()
		conn := clienttest.Only(t, gw)
		for i := range 60 {
			clienttest.Sleep(54 * time.Second)
			conn.Send(fmt.Append(nil, i))
			if got := clienttest.Read(t, c); got != fmt.Sprint(i) {
				t.Fatalf("Read = %q", got)
			}
		}
		if got := gw.Stats(); got.Pings != 0 || got.Messages != 1 {
			t.Errorf("%d PINGs and %d messages, want none and the first one", got.Pings, got.Messages)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// A keepalive message is due one Interval after the last data in either
// direction. PINGs and PONGs are no data.
func TestMessageAfterInterval(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Message: []byte("keep")}})
		conn := clienttest.Only(t, gw)
		messageAt := func(elapsed, at time.Duration) {
			t.Helper()
			synctest.Wait()
			before := len(clienttest.Texts(conn))
			clienttest.Sleep(at - elapsed - moment)
			if got := len(clienttest.Texts(conn)); got != before {
				t.Fatalf("a message came before %v", at)
			}
			clienttest.Sleep(2 * moment)
			if got := clienttest.Texts(conn); len(got) != before+1 || got[before] != "keep" {
				t.Fatalf("at %v the gateway has %q", at, got)
			}
		}
		messageAt(0, 55*time.Second)
		clienttest.Sleep(5*time.Second - moment) // 1:00
		clienttest.Write(t, c, "data out")
		messageAt(60*time.Second, 115*time.Second)
		clienttest.Sleep(5*time.Second - moment) // 2:00
		conn.Send([]byte("data in"))
		messageAt(120*time.Second, 175*time.Second)
		clienttest.Sleep(5*time.Second - moment) // 3:00
		if _, err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		messageAt(180*time.Second, 230*time.Second) // 55 s after the one at 175 s
	})
}

// A path that has died is noticed one Timeout after the PING, which is one
// Interval after the last frame.
func TestFrozenPath(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)})
		conn := clienttest.Only(t, gw)
		clienttest.Sleep(10 * time.Second)
		conn.Send([]byte("the last"))
		clienttest.Sleep(10 * time.Second)
		conn.Freeze(true)
		endsAt(t, c, 20*time.Second, 75*time.Second) // 10 + 55 + 10
		changes := j.All()
		if last := changes[len(changes)-1]; last.To != apigws.StateBackoff || !errors.Is(last.Err, apigws.ErrNoPong) {
			t.Errorf("the last change is %+v, want one to Backoff for ErrNoPong", last)
		}
		clienttest.Sleep(time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Accepted(t, gw, 2)
		if s := c.Stats(); s.LostTimeout != 1 || s.LostClosed+s.LostNetwork != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

func TestTimeoutOption(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Interval: 30 * time.Second, Timeout: 3 * time.Second}})
		clienttest.Only(t, gw).Freeze(true)
		endsAt(t, c, 0, 33*time.Second)
	})
}

// A PONG just in time is in time.
func TestLatePong(t *testing.T) {
	for _, test := range []struct {
		latency time.Duration
		cut     bool
	}{{10*time.Second - moment, false}, {10*time.Second + moment, true}} {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
			clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: test.latency})
			clienttest.Sleep(66 * time.Second)
			if cut := c.State() == apigws.StateClosed; cut != test.cut {
				t.Errorf("a PONG after %v: cut is %v", test.latency, cut)
			}
		})
	}
}

// Any frame proves that the peer is alive: on a gateway that answers no PING,
// a message after it does, be it too large for Read or only half there.
func TestAnyFrameIsProofOfLife(t *testing.T) {
	tests := map[string]func(conn *gatewaytest.Conn){
		"message":   func(conn *gatewaytest.Conn) { conn.Send([]byte("tick")) },
		"too large": func(conn *gatewaytest.Conn) { conn.Send(make([]byte, 128<<10+1)) },
		"PING":      func(conn *gatewaytest.Conn) { conn.SendRaw([]byte{0x89, 0x00}) },
		"fragment":  func(conn *gatewaytest.Conn) { conn.SendRaw([]byte{0x01, 0x01, 'x', 0x80, 0x00}) },
	}
	for name, send := range tests {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
				c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
				conn := clienttest.Only(t, gw)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					for range c.Messages(ctx) {
					}
				}()
				// Each frame comes 5 s after a PING.
				for range 60 {
					clienttest.Sleep(time.Minute)
					send(conn)
				}
				clienttest.InState(t, c, apigws.StateOpen)
				if got := gw.Stats().Pings; got != 60 {
					t.Errorf("%d PINGs, want 60", got)
				}
				// And without one, the next PING is the last.
				endsAt(t, c, 0, 65*time.Second)
				if err := c.Err(); !errors.Is(err, apigws.ErrNoPong) {
					t.Errorf("Err = %v", err)
				}
			})
		})
	}
}

// With Resend a PONG that never comes ends the connection, also when other frames come and the
// keepalive is disabled: it would hold up the window for ever.
func TestPongThatNeverComesWithResend(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true, Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.New(t, gw, &apigws.Options{
				Resend:    1 << 10,
				Keepalive: apigws.Keepalive{Disabled: disabled},
				Reconnect: apigws.Reconnect{Disabled: true},
			})
			synctest.Wait()
			conn := clienttest.Only(t, gw)
			conn.SendRaw(frame(0x8a, "1")) // the PONG without which the connection is not used
			synctest.Wait()
			conn.Send([]byte("hello")) // the reader now knows where to put what comes
			clienttest.Read(t, c)
			clienttest.Write(t, c, "never acknowledged")
			for range 12 {
				clienttest.Sleep(5 * time.Second)
				conn.Send([]byte("tick"))
				clienttest.Read(t, c)
			}
			endsAt(t, c, time.Minute, 65*time.Second) // Interval and Timeout of the message
			if err := c.Err(); !errors.Is(err, apigws.ErrNoPong) {
				t.Errorf("Err = %v", err)
			}
		})
	}
}

// The time in which the reader waited for a slow consumer does not count
// against the peer: when it goes on, a dead path has a whole Timeout again.
func TestFrozenPathOfASlowConsumer(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
		conn := clienttest.Only(t, gw)
		for range 65 { // one more than the client keeps for Read
			conn.Send([]byte("unread"))
		}
		synctest.Wait()
		conn.Freeze(true)
		clienttest.Sleep(5*time.Minute + 3*time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Read(t, c)
		endsAt(t, c, 0, 10*time.Second)
		if err := c.Err(); !errors.Is(err, apigws.ErrNoPong) {
			t.Errorf("Err = %v", err)
		}
		for range 64 { // and nothing of what came is lost
			clienttest.Read(t, c)
		}
	})
}

// A PONG that answers no PING of ours is legal, and answers none.
func TestStrangePongs(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		strange := func() {
			for _, payload := range []string{"", "0", "2", "-1", "x", "18446744073709551616", strings.Repeat("9", 125)} {
				conn.SendRaw(frame(0x8a, payload))
			}
		}
		strange()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.AfterFunc(time.Second/2, strange)
		if rtt, err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping = %v, %v, and nothing has answered it", rtt, err)
		}
		if s := c.Stats(); s.Pongs != 0 || s.RTT != 0 {
			t.Errorf("Stats = %+v", s)
		}
		clienttest.Write(t, c, "still here")
		if got := clienttest.Read(t, c); got != "still here" {
			t.Errorf("Read = %q", got)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// A path that takes no bytes any more is noticed by a write, without any
// keepalive.
func TestWriteTimeout(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, mortal())
		clienttest.Only(t, gw).Freeze(true)
		start := time.Now()
		err := c.Write(t.Context(), make([]byte, 128<<10))
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("Write took %v, want WriteTimeout", took)
		}
		// Half of it left: it cannot be delivered.
		if !errors.Is(err, apigws.ErrNotSent) || !errors.Is(err, apigws.ErrWriteTimeout) {
			t.Errorf("Write: %v", err)
		}
		synctest.Wait()
		if err := c.Err(); !errors.Is(err, apigws.ErrWriteTimeout) {
			t.Errorf("Err = %v", err)
		}
		if s := c.Stats(); s.LostTimeout != 1 {
			t.Errorf("Stats = %+v", s)
		}
	})
}
