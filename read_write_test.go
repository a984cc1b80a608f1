package apigws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// sizesAround are the sizes at which something changes.
func sizesAround() []int {
	sizes := []int{0, 1, 2, 125, 126, 127} // where the header of a frame grows
	for _, limit := range []int{32 << 10, 64 << 10, 96 << 10, 128 << 10} {
		sizes = append(sizes, limit-1, limit, limit+1)
	}
	return sizes[:len(sizes)-1] // 128 KiB + 1 is too large
}

// Messages of every size come and go, and the gateway, which closes on frames
// of more than 32 KiB, finds nothing to object to.
func TestSizes(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		for _, size := range sizesAround() {
			msg := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			clienttest.Write(t, c, msg)
			if got := clienttest.Read(t, c); got != msg {
				t.Errorf("of %d bytes %d came back, or others", size, len(got))
			}
			got := clienttest.Texts(conn)
			if len(got) == 0 || got[len(got)-1] != msg {
				t.Errorf("%d bytes did not reach the gateway as they were", size)
			}
		}
		clienttest.Accepted(t, gw, 1)
		c.Close()
		if got := gw.Stats().Closed; got[1009] != 0 || got[1000] != 1 {
			t.Errorf("connections were closed with %v", got)
		}
	})
}

// A message goes out in frames that are full but for the last.
func TestFrames(t *testing.T) {
	for _, size := range []int{0, 9, 10, 11, 19, 20, 21, 1000} {
		cfg := &gatewaytest.Config{MaxFrame: 10, MaxMessage: 1000}
		clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, &apigws.Options{Limits: apigws.Limits{Frame: 10, Message: 1000}})
			conn := clienttest.Only(t, gw)
			// Each frame has a header of 6 bytes. The line is cut after what
			// the frames should take: one byte more, and the message is lost.
			frames := max(1, (size+9)/10)
			conn.SetFaults(gatewaytest.Faults{CutIn: int64(size + 6*frames)})
			clienttest.Write(t, c, strings.Repeat("x", size))
			synctest.Wait()
			if got := clienttest.Texts(conn); len(got) != 1 || len(got[0]) != size {
				t.Errorf("%d bytes did not arrive in %d frames", size, frames)
			}
		})
	}
}

// A frame is as large as the gateway takes by default.
func TestDefaultFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		c := newRaw(t, peer, &apigws.Options{})
		clienttest.Write(t, c, strings.Repeat("x", 32<<10+1))
		peer.do(func() {
			if got := peer.conns[0].texts; len(got) != 1 || len(got[0]) != 32<<10 {
				t.Errorf("%d first frames, want one of 32 KiB", len(got))
			}
		})
	})
}

// One byte too many costs the message and not the connection, in either
// direction.
func TestTooLarge(t *testing.T) {
	const limit = 128 << 10
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		tooLarge := func(err error, size int) {
			t.Helper()
			var e *apigws.TooLargeError
			if !errors.As(err, &e) || *e != (apigws.TooLargeError{Size: size, Limit: limit}) ||
				!strings.Contains(err.Error(), fmt.Sprint(size)) || !strings.Contains(err.Error(), fmt.Sprint(limit)) {
				t.Errorf("%d bytes: %v, want a TooLargeError", size, err)
			}
		}
		for _, size := range []int{limit + 1, 2 * limit, 1 << 20} {
			tooLarge(c.Write(t.Context(), make([]byte, size)), size)
			tooLarge(c.WriteJSON(t.Context(), strings.Repeat("x", size-2)), size)
		}
		sizes := []int{limit + 1, limit, 2 * limit, 10 << 20, 0, limit + 1}
		go func() {
			for _, size := range sizes {
				conn.Send(bytes.Repeat([]byte("y"), size))
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, size := range sizes {
			p, err := c.Read(ctx)
			if size > limit {
				tooLarge(err, size)
			} else if err != nil || len(p) != size {
				t.Errorf("Read: %d bytes, %v, want %d", len(p), err, size)
			}
		}
		if got := len(clienttest.Texts(conn)); got != 0 {
			t.Errorf("%d messages reached the gateway, which were too large", got)
		}
		clienttest.Accepted(t, gw, 1)
		clienttest.InState(t, c, apigws.StateOpen)
	})
}

// Limits.Message is the caller's to set.
func TestMessageLimitOption(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Limits: apigws.Limits{Message: 10}})
		var tooLarge *apigws.TooLargeError
		if err := c.Write(t.Context(), make([]byte, 11)); !errors.As(err, &tooLarge) || tooLarge.Limit != 10 {
			t.Errorf("Write: %v", err)
		}
		clienttest.Only(t, gw).Send(make([]byte, 11))
		if _, err := c.Read(t.Context()); !errors.As(err, &tooLarge) || tooLarge.Size != 11 {
			t.Errorf("Read: %v", err)
		}
		clienttest.Write(t, c, "0123456789")
		if got := clienttest.Read(t, c); got != "0123456789" {
			t.Errorf("Read = %q", got)
		}
	})
}

// frame is a frame of the gateway, with a payload shorter than 126 bytes.
func frame(first byte, payload string) []byte {
	return append([]byte{first, byte(len(payload))}, payload...)
}

// A rune may be cut in two by a frame's end, going out and coming in.
func TestRuneAcrossFrames(t *testing.T) {
	for name, r := range map[string]string{"two bytes": "é", "three bytes": "€", "four bytes": "🛰"} {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				c := clienttest.Dial(t, gw, nil)
				conn := clienttest.Only(t, gw)
				for cut := 1; cut < len(r); cut++ {
					msg := strings.Repeat("x", 32<<10-cut) + r + "end"
					clienttest.Write(t, c, msg)
					if got := clienttest.Read(t, c); got != msg {
						t.Errorf("cut after %d bytes on the way out", cut)
					}
					conn.SendRaw(append(frame(0x01, "x"+r[:cut]), frame(0x80, r[cut:]+"end")...))
					if got := clienttest.Read(t, c); got != "x"+r+"end" {
						t.Errorf("cut after %d bytes on the way in: %q", cut, got)
					}
				}
				clienttest.Accepted(t, gw, 1)
			})
		})
	}
}

// A message that comes in many frames, with a PING between them, is one.
func TestFragmentsIn(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		var raw []byte
		raw = append(raw, frame(0x01, "a")...)
		raw = append(raw, frame(0x00, "")...)
		raw = append(raw, frame(0x89, "ping")...)
		raw = append(raw, frame(0x00, "b")...)
		raw = append(raw, frame(0x80, "")...)
		raw = append(raw, frame(0x81, "c")...)
		clienttest.Only(t, gw).SendRaw(raw)
		for _, want := range []string{"ab", "c"} {
			if got := clienttest.Read(t, c); got != want {
				t.Errorf("Read = %q, want %q", got, want)
			}
		}
	})
}

// Text only: what is not UTF-8 does not leave.
func TestNotText(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		for _, msg := range []string{"\xff", "cut \xe2\x82", "\xed\xa0\x80", "\xc0\x80", strings.Repeat("x", 40<<10) + "\x80"} {
			if err := c.Write(t.Context(), []byte(msg)); !errors.Is(err, apigws.ErrNotText) {
				t.Errorf("Write(%.10q): %v", msg, err)
			}
		}
		synctest.Wait()
		if got := gw.Stats().Messages; got != 0 {
			t.Errorf("the gateway got %d messages", got)
		}
		clienttest.Write(t, c, "text, with \x00 in it")
		if got := clienttest.Read(t, c); got != "text, with \x00 in it" {
			t.Errorf("Read = %q", got)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// The bytes that Read returns are the caller's; those given to Write are so
// again when it has returned.
func TestBuffersAreNotShared(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 10})
		out := []byte("first")
		if err := c.Write(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		copy(out, "xxxxx")
		first, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clienttest.Write(t, c, "other")
		if other := clienttest.Read(t, c); string(first) != "first" || other != "other" {
			t.Errorf("Read = %q and then %q", first, other)
		}
	})
}

// stuck makes a Write that the path does not take, and returns what it came to.
func stuck(t *testing.T, gw *gatewaytest.Server, c *apigws.Client) <-chan error {
	t.Helper()
	clienttest.Only(t, gw).FreezeIn(true)
	result := make(chan error, 1)
	go func() { result <- c.Write(t.Context(), make([]byte, 128<<10)) }()
	clienttest.Sleep(time.Second)
	return result
}

// The gateway's CLOSE says why it does not take a message any more: the Write
// that is stuck must learn it, and not WriteTimeout.
func TestCloseFrameWhileAWriteIsStuck(t *testing.T) {
	for code, frame := range map[int]string{1009: "\x88\x02\x03\xf1", 0: "\x88\x01x"} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, mortal())
			result := stuck(t, gw, c)
			start := time.Now()
			clienttest.Only(t, gw).SendRaw([]byte(frame))
			err := <-result
			var closed *apigws.CloseError
			if code != 0 && (!errors.As(err, &closed) || closed.Code != code) || errors.Is(err, apigws.ErrWriteTimeout) {
				t.Errorf("Write: %v, want the reason %d", err, code)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("it took %v to give the answer up", took)
			}
		})
	}
}

// A message is there for Read at once, even if the PONG to the PING behind it
// has to wait.
func TestMessageBeforeAPing(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, mortal())
		clienttest.Only(t, gw).Send([]byte("first"))
		clienttest.Read(t, c)
		stuck(t, gw, c)
		start := time.Now()
		got := make(chan string)
		go func() { got <- clienttest.Read(t, c) }()
		synctest.Wait()
		clienttest.Only(t, gw).SendRaw(append(frame(0x81, "hello"), frame(0x89, "ping")...))
		if msg := <-got; msg != "hello" || time.Since(start) > 0 {
			t.Errorf("Read = %q after %v", msg, time.Since(start))
		}
	})
}

// A context ends the waiting for a PONG also while the path takes no PING.
func TestPingOnAStuckPath(t *testing.T) {
	for name, call := range map[string]func(context.Context, *apigws.Client) error{
		"Ping":  func(ctx context.Context, c *apigws.Client) error { _, err := c.Ping(ctx); return err },
		"Flush": func(ctx context.Context, c *apigws.Client) error { return c.Flush(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
				c := clienttest.Dial(t, gw, nil)
				stuck(t, gw, c)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				if err := call(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("%s took %v", name, took)
				}
			})
		})
	}
}
