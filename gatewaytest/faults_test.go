package gatewaytest_test

import (
	"bytes"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// A frame with 5 bytes of text from a client is 11 bytes, from the gateway 7.
const (
	frameIn  = 11
	frameOut = 7
)

func TestCutIn(t *testing.T) {
	for _, test := range []struct {
		cut      int64
		messages int
	}{{1, 0}, {frameIn - 1, 0}, {frameIn, 1}, {frameIn + 1, 1}, {3 * frameIn, 3}} {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			s.SetFaults(gatewaytest.Faults{CutIn: test.cut})
			c := dial(t, s)
			conn := s.Conns()[0]
			// Succeeds.
			c.Write(bytes.Repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("hello")))), 5))
			synctest.Wait()
			if n := len(conn.Received()); n != test.messages || closed(s, 1006) != 1 {
				t.Errorf("cut after %d: %d messages, %+v", test.cut, n, s.Stats())
			}
			for {
				if f, err := c.read(); err != nil {
					c.wantError(syscall.ECONNRESET)
					break
				} else if string(f.Payload) != "hello" {
					t.Errorf("%q", f.Payload)
				}
			}
			s.SetFaults(gatewaytest.Faults{})
			c = dial(t, s)
			c.text("hello")
			c.wantText("hello")
		})
	}
}

func TestCutOut(t *testing.T) {
	for _, cut := range []int64{1, frameOut, frameOut + 3} {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			s.SetFaults(gatewaytest.Faults{CutOut: cut})
			c := dial(t, s)
			conn := s.Conns()[0]
			for range 3 {
				conn.Send([]byte("hello"))
			}
			synctest.Wait()
			got, err := io.ReadAll(c)
			want := strings.Repeat("\x81\x05hello", 3)[:cut]
			if string(got) != want || !strings.Contains(err.Error(), syscall.ECONNRESET.Error()) {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			if closed(s, 1006) != 1 {
				t.Errorf("%+v", s.Stats())
			}
		})
	}
}

// Faults of one connection, set while it waits in a read, count from then on.
func TestSetFaults(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c, other := dial(t, s), dial(t, s)
		conn := s.Conns()[0]
		c.text("hello")
		c.wantText("hello")
		conn.SetFaults(gatewaytest.Faults{CutIn: 2 * frameIn})
		// In one write: of several, the last might find the connection reset.
		c.Write(bytes.Repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("hello")))), 5))
		synctest.Wait()
		if n := len(conn.Received()); n != 3 {
			t.Errorf("%d messages", n)
		}
		other.text("hello")
		other.wantText("hello")
	})
}

func TestRates(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		conn.SetFaults(gatewaytest.Faults{RateOut: 1000})
		conn.Send(make([]byte, 10_000-4)) // 10,000 with the header
		sleep(10*time.Second - 1)
		c.SetReadDeadline(time.Now().Add(1))
		if n, err := io.ReadFull(c, make([]byte, 10_000)); n != 9950 || err == nil {
			t.Errorf("%d bytes too early, %v", n, err)
		}
		c.SetReadDeadline(time.Time{})
		if _, err := io.ReadFull(c, make([]byte, 50)); err != nil {
			t.Errorf("not there in time: %v", err)
		}

		conn.SetFaults(gatewaytest.Faults{RateIn: 1000})
		began := time.Now()
		go c.text(strings.Repeat("x", 10_000-8))
		for ; len(conn.Received()) == 0; sleep(time.Millisecond) {
		}
		if d := time.Since(began); d < 9900*time.Millisecond || d > 10100*time.Millisecond {
			t.Errorf("10,000 bytes came in within %v", d)
		}
	})
	t.Run("full", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			s.Conns()[0].SetFaults(gatewaytest.Faults{RateIn: 1000})
			frames := bytes.Repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 32<<10)))), 32)
			c.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if n, err := c.Write(frames); !isTimeout(err) || n > 64<<10+12_000 {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	})
}

func TestLatency(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		s.SetFaults(gatewaytest.Faults{Latency: 3 * time.Second})
		c := dial(t, s)
		began := time.Now()
		after := func(d time.Duration) {
			t.Helper()
			if got := time.Since(began); got != d {
				t.Errorf("after %v, want %v", got, d)
			}
		}
		c.send(ws.NewPingFrame(nil))
		sleep(time.Second)
		c.text("hello")
		c.want(ws.OpPong, "")
		after(3 * time.Second)
		c.wantText("hello") // many can be under way
		after(4 * time.Second)
		s.Conns()[0].Close(1000, "bye")
		c.wantClose(1000, "bye")
		after(7 * time.Second)
	})
}

// A line that gets faster does not change the order of what is on its way.
func TestLatencyKeepsOrder(t *testing.T) {
	for _, lower := range []time.Duration{time.Second, 0} {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			conn.SetFaults(gatewaytest.Faults{Latency: 3 * time.Second})
			began := time.Now()
			conn.Send([]byte("one"))
			conn.SetFaults(gatewaytest.Faults{Latency: lower})
			conn.Send([]byte("two"))
			c.send(ws.NewPingFrame(nil))
			c.wantText("one")
			c.wantText("two")
			c.want(ws.OpPong, "")
			if d := time.Since(began); d != 3*time.Second {
				t.Errorf("after %v", d)
			}
			conn.Send([]byte("three"))
			c.wantText("three")
			if d := time.Since(began); d != 3*time.Second+lower {
				t.Errorf("after %v", d)
			}
		})
	}
}

// The second that the client has for its close frame begins when it can have got the gateway's: a
// fault that holds that up costs neither it nor what is in line before it.
func TestFaultsHoldUpClose(t *testing.T) {
	type conn = gatewaytest.Conn
	set := func(f gatewaytest.Faults) func(*conn) { return func(c *conn) { c.SetFaults(f) } }
	freeze := func(c *conn) { c.Freeze(true) }
	thaw := func(c *conn) { time.Sleep(time.Hour); c.Freeze(false) }
	nothing := func(*conn) {}
	long := strings.Repeat("x", 3000) // 3004 bytes with the header; the close frame is 7
	tests := map[string]struct {
		text                     string
		beforeSend, before, then func(*conn) // before Close, and after it
		after                    time.Duration
	}{
		"slow line":                   {long, set(gatewaytest.Faults{RateOut: 1000}), nothing, nothing, 3011 * time.Millisecond},
		"slow even for a close frame": {"x", set(gatewaytest.Faults{RateOut: 1}), nothing, nothing, 10 * time.Second},
		"slow from now on": {"x", set(gatewaytest.Faults{Latency: 500 * time.Millisecond}), nothing,
			set(gatewaytest.Faults{RateOut: 1}), 10*time.Second + 500*time.Millisecond},
		"less latency":    {"x", set(gatewaytest.Faults{Latency: 3 * time.Second}), set(gatewaytest.Faults{}), nothing, 3 * time.Second},
		"dead path":       {"x", freeze, nothing, thaw, time.Hour},
		"dead path, long": {long, freeze, set(gatewaytest.Faults{RateOut: 1000}), thaw, time.Hour + 3011*time.Millisecond},
		"dead since it closed": {"x", set(gatewaytest.Faults{Latency: time.Second}), nothing,
			func(c *conn) { freeze(c); thaw(c) }, time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				conn := s.Conns()[0]
				began := time.Now()
				test.beforeSend(conn)
				conn.Send([]byte(test.text))
				test.before(conn)
				conn.Close(1000, "bye")
				test.then(conn)
				c.wantText(test.text)
				c.wantClose(1000, "bye")
				if d := time.Since(began); d != test.after {
					t.Errorf("after %v, want %v", d, test.after)
				}
				c.wantError(io.EOF)
				if d := time.Since(began); d != test.after+time.Second {
					t.Errorf("hung up after %v, want a second more than %v", d, test.after)
				}
			})
		})
	}
}

func TestPushFaults(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		conn.SetFaults(gatewaytest.Faults{PushCopies: 2})
		s.Post(c.id, []byte("hello"))
		for range 3 {
			c.wantText("hello")
		}

		conn.SetFaults(gatewaytest.Faults{PushCopies: -1})
		if err := s.Post(c.id, []byte("lost")); err != nil {
			t.Error(err) // nobody can know
		}
		c.wantSilence()

		conn.SetFaults(gatewaytest.Faults{PushDelay: 5 * time.Second})
		began := time.Now()
		conn.Send([]byte("one"))
		conn.Send([]byte("two"))
		synctest.Wait()
		c.send(ws.NewPingFrame(nil))
		c.want(ws.OpPong, "") // overtakes
		if d := time.Since(began); d != 0 {
			t.Errorf("PONG after %v", d)
		}
		c.wantText("one")
		c.wantText("two")
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("after %v", d)
		}

		conn.SetFaults(gatewaytest.Faults{PushDelay: 500 * time.Millisecond})
		conn.Send([]byte("lost"))
		conn.Close(1000, "")
		c.wantClose(1000, "")
		c.wantError(io.EOF)
	})
}

func TestSendRaw(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		b := []byte{0x89, 0x01, 'x'}
		conn.SendRaw(b)
		b[2] = 'y' // the caller's again
		c.want(ws.OpPing, "x")
		conn.SendRaw([]byte{0xff, 0x7f, 0x01})
		got := make([]byte, 3)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "\xff\x7f\x01" {
			t.Errorf("%x, %v", got, err)
		}
	})
}
