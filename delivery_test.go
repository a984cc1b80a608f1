package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// onWire is how many bytes a message of n takes in masked frames of at most
// limit below 126.
func onWire(n, limit int) int {
	frames := max(1, (n+limit-1)/limit)
	return n + 6*frames
}

// A write that fails: what it says agrees with what the gateway got, whatever
// byte was the last.
func TestWriteTellsTheTruth(t *testing.T) {
	const frame = 8
	for _, msg := range []string{"", "hello", "three frames of these"} {
		end := onWire(len(msg), frame)
		for cut := 1; cut <= end; cut++ {
			for _, resend := range []int{0, 1000} {
				clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
					var network clienttest.Brittle
					opts := apigws.Options{Resend: resend, Limits: apigws.Limits{Frame: frame}}
					opts.HTTPClient = network.Client(gw)
					c := clienttest.Dial(t, gw, &opts)
					network.BreakAfter(cut)
					err := c.Write(t.Context(), []byte(msg))
					if flushed := c.Flush(t.Context()); flushed != nil {
						t.Errorf("Flush = %v: Write has told already", flushed)
					}
					synctest.Wait()
					got := clienttest.Received(gw)
					want := []string{msg} // once, on the second connection
					switch {
					case resend > 0 && cut == end:
						want = []string{msg, msg} // it was not seen to arrive
						fallthrough
					case resend > 0, cut < end:
						if err != nil {
							t.Errorf("Write = %v", err)
						}
					default: // it has left, and the connection is broken
						if !errors.Is(err, apigws.ErrUnconfirmed) || errors.Is(err, apigws.ErrNotSent) ||
							!strings.Contains(err.Error(), "connection lost") {
							t.Errorf("Write = %v, want ErrUnconfirmed and why", err)
						}
					}
					if !slices.Equal(got, want) {
						t.Errorf("%q cut after byte %d of %d, resend %d: received %q, want %q", msg, cut, end, resend, got, want)
					}
				})
			}
		}
	}
}

// A message that was cut short by a close frame goes out again, unless the gateway says that it
// objects to what was sent.
func TestWriteCutShortByAClose(t *testing.T) {
	for code, again := range map[uint16]bool{1001: true, 1008: true, 1002: false, 1007: false, 1009: false} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second)})
			result := stuck(t, gw, c)
			clienttest.Only(t, gw).SendRaw([]byte{0x88, 2, byte(code >> 8), byte(code)})
			err := <-result
			clienttest.Sleep(time.Minute)
			var closed *apigws.CloseError
			switch got := len(clienttest.Received(gw)); {
			case again && (err != nil || got != 1):
				t.Errorf("%d: Write = %v, and %d messages arrived, want one", code, err, got)
			case !again && (!errors.Is(err, apigws.ErrNotSent) || errors.Is(err, apigws.ErrUnconfirmed) ||
				!errors.As(err, &closed) || closed.Code != int(code) || got != 0):
				t.Errorf("%d: Write = %v, and %d messages arrived, want ErrNotSent and why", code, err, got)
			}
		})
	}
}

// A message that was cut short and finds no other connection has not been
// sent.
func TestWriteNotSent(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var network clienttest.Brittle
		var opts apigws.Options
		opts.HTTPClient = network.Client(gw)
		c := clienttest.Dial(t, gw, &opts)
		gw.Refuse(503, -1)
		network.BreakAfter(5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.Write(ctx, []byte("hello"))
		if !errors.Is(err, apigws.ErrNotSent) || errors.Is(err, apigws.ErrUnconfirmed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write = %v, want ErrNotSent and the end of its context", err)
		}
		gw.Refuse(0, 0)
		clienttest.Write(t, c, "world")
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v: there is nothing that Write has not told", err)
		}
		clienttest.Equal(t, "received", clienttest.Received(gw), []string{"world"})
	})
}

// The gateway's end breaks after each byte. The operating system has taken the
// message, so Write knows nothing; Flush tells, once.
func TestFlushTellsTheTruth(t *testing.T) {
	const frame = 8
	for _, msg := range []string{"hello", "three frames of these"} {
		end := onWire(len(msg), frame)
		for cut := 1; cut <= end+10; cut++ { // into the PING of Flush
			clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
				opts := apigws.Options{Limits: apigws.Limits{Frame: frame}}
				c := clienttest.Dial(t, gw, &opts)
				clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{CutIn: int64(cut)})
				if err := c.Write(t.Context(), []byte(msg)); err != nil {
					t.Errorf("cut after %d: Write = %v", cut, err)
				}
				err := c.Flush(t.Context())
				got := len(clienttest.Received(gw))
				switch {
				case err != nil && !errors.Is(err, apigws.ErrUnconfirmed):
					t.Errorf("cut after %d: Flush = %v", cut, err)
				case err == nil && got != 1, (cut >= end) != (got == 1):
					t.Errorf("cut after %d of %d: Flush = %v, and the gateway got %d messages", cut, end, err, got)
				case err != nil && c.Stats().Unconfirmed != 1:
					t.Errorf("cut after %d: Unconfirmed = %d", cut, c.Stats().Unconfirmed)
				}
				if err := c.Flush(t.Context()); err != nil {
					t.Errorf("cut after %d: the second Flush told it again: %v", cut, err)
				}
			})
		}
	}
}

func TestFlushWithoutPongs(t *testing.T) {
	cfg := *clienttest.Silent()
	cfg.SilentPings = true
	clienttest.Bubble(t, &cfg, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Timeout: 3 * time.Second, Disabled: true}})
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush with nothing written = %v", err)
		}
		clienttest.Write(t, c, "x")
		start := time.Now()
		err := c.Flush(t.Context())
		if !errors.Is(err, apigws.ErrUnconfirmed) || !errors.Is(err, apigws.ErrNoPong) || time.Since(start) != 3*time.Second {
			t.Errorf("Flush = %v after %v, want ErrNoPong after Keepalive.Timeout", err, time.Since(start))
		}
		clienttest.Only(t, gw) // it costs nothing else
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Flush(ctx); !errors.Is(err, apigws.ErrUnconfirmed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush = %v, want the end of its context", err)
		}
		if err := c.Close(); !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("Close = %v, want ErrUnconfirmed", err)
		}
	})
}

// While Flush waits, messages are received that nobody reads, for the PONG is behind them: up to a
// bound.
func TestFlushBehindUnreadMessages(t *testing.T) {
	for n, want := range map[int]error{3500: nil, 6000: apigws.ErrNoPong} {
		cfg := &gatewaytest.Config{Backend: gatewaytest.Silent, Buffer: 8 << 20}
		clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, nil)
			conn := clienttest.Only(t, gw)
			go func() {
				for range n {
					conn.Send([]byte(strings.Repeat(".", 1000)))
				}
			}()
			time.Sleep(time.Second)
			clienttest.Write(t, c, "x")
			err := c.Flush(t.Context())
			if !errors.Is(err, want) || want != nil && !errors.Is(err, apigws.ErrUnconfirmed) {
				t.Errorf("Flush behind %d messages = %v, want %v", n, err, want)
			}
			for range n {
				if _, err := c.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Flush(t.Context()); err != nil {
				t.Errorf("Flush after reading = %v", err)
			}
			clienttest.Only(t, gw)
		})
	}
}

// Each message of a connection that breaks is told of by the next Flush, and
// Close tells what no Flush has.
func TestFlushAfterBreaks(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		lose := func(n int) {
			conn := clienttest.Only(t, gw)
			conn.FreezeIn(true)
			clienttest.Write(t, c, clienttest.Numbered("lost", n)...)
			conn.Drop()
			time.Sleep(time.Second) // the first wait is below half of that
		}
		lose(2)
		lose(3)
		err := c.Flush(t.Context())
		if !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "5 messages") || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Flush = %v, want 5 messages and ECONNRESET", err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush told it again: %v", err)
		}
		lose(1)
		if err := c.Close(); !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "1 messages") {
			t.Errorf("Close = %v, want 1 message", err)
		}
	})
}

// Flush tells why the last connection that has lost something was lost, whatever became of those
// that have lost nothing.
func TestFlushTellsTheLastCause(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second)})
		for code := 1001; code <= 1003; code++ {
			conn := clienttest.Only(t, gw)
			conn.FreezeIn(true)
			if code < 1003 {
				clienttest.Write(t, c, "x")
			}
			conn.Close(code, "")
			clienttest.Sleep(5 * time.Second)
		}
		err := c.Flush(t.Context())
		var closed *apigws.CloseError
		if !strings.Contains(fmt.Sprint(err), "2 messages") || !errors.As(err, &closed) || closed.Code != 1002 {
			t.Errorf("Flush = %v, want 2 messages and 1002", err)
		}
		if n := c.Stats().Unconfirmed; n != 2 {
			t.Errorf("Unconfirmed = %d, want 2 also after Flush", n)
		}
	})
}

func TestCloseConfirms(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := apigws.Options{Resend: 1 << 20}
		c := clienttest.Dial(t, gw, &opts)
		clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: time.Second})
		clienttest.Write(t, c, clienttest.Numbered("", 10)...)
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if left := c.Unconfirmed(); len(left) != 0 {
			t.Errorf("%d messages unconfirmed", len(left))
		}
		clienttest.Equal(t, "received", clienttest.Received(gw), clienttest.Numbered("", 10))
	})
}

// Close asks for an acknowledgement, and a Flush that waits for it waits on.
func TestFlushWhileClosing(t *testing.T) {
	for _, resend := range []int{0, 1000} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, &apigws.Options{Resend: resend})
			clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: time.Second})
			clienttest.Write(t, c, "x")
			flushed := make(chan error)
			go func() { flushed <- c.Flush(t.Context()) }()
			synctest.Wait()
			go c.Close()
			if err := <-flushed; err != nil {
				t.Errorf("Resend %d: Flush = %v", resend, err)
			}
		})
	}
}

func TestCloseKeepsTheUnconfirmed(t *testing.T) {
	for _, broken := range []bool{false, true} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20})
			clienttest.Write(t, c, "confirmed")
			if err := c.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			clienttest.Only(t, gw).FreezeIn(true)
			clienttest.Write(t, c, clienttest.Numbered("", 10)...)
			if broken {
				gw.Refuse(503, -1)
				clienttest.Only(t, gw).Drop()
				synctest.Wait()
			}
			start := time.Now()
			err := c.Close()
			if !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "10 messages") {
				t.Errorf("Close = %v, want 10 unconfirmed messages", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("Close took %v, more than CloseTimeout", took)
			}
			var left []string
			for _, p := range c.Unconfirmed() {
				left = append(left, string(p))
			}
			clienttest.Equal(t, "Unconfirmed", left, clienttest.Numbered("", 10))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := c.Flush(ctx); !errors.Is(err, apigws.ErrUnconfirmed) || !errors.Is(err, apigws.ErrClosed) {
				t.Errorf("Flush after Close = %v", err)
			}
		})
	}
}

func TestRefusedMessageWithoutResend(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := apigws.Options{Limits: apigws.Limits{Message: 1 << 20}}
		c := clienttest.Dial(t, gw, &opts)
		err := c.Write(t.Context(), []byte(strings.Repeat("x", 200<<10)))
		if err == nil {
			err = c.Flush(t.Context())
		}
		var closed *apigws.CloseError
		if !errors.As(err, &closed) || closed.Code != 1009 {
			t.Errorf("got %v, want the 1009", err)
		}
		clienttest.Write(t, c, "next")
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v", err)
		}
		clienttest.Equal(t, "received", clienttest.Received(gw), []string{"next"})
		if n := gw.Stats().Closed[1009]; n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

// What Unconfirmed returns is the caller's: changing it changes nothing that is
// sent again.
func TestUnconfirmedIsACopy(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1000, Reconnect: clienttest.Every(time.Second)})
		clienttest.Only(t, gw).FreezeIn(true)
		clienttest.Write(t, c, "kept")
		for _, p := range c.Unconfirmed() {
			clear(p)
		}
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(2 * time.Second)
		clienttest.Equal(t, "the gateway has", clienttest.Texts(clienttest.Only(t, gw)), []string{"kept"})
	})
}
