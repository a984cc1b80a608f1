package gatewaytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// A handler that takes its time delays no PONG and no idle cut, and the messages stay in order.
func TestSlowHandler(t *testing.T) {
	slow := func(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		time.Sleep(20 * time.Second)
		return &gatewaytest.Response{Body: ev.Body}, nil
	}
	cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$default": slow}, RouteResponse: true}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		began := time.Now()
		c.text("one")
		c.text("two")
		c.text("three")
		c.send(ws.NewPingFrame(nil))
		c.want(ws.OpPong, "")
		if d := time.Since(began); d != 0 {
			t.Errorf("PONG after %v", d)
		}
		for i, want := range []string{"one", "two", "three"} {
			c.wantText(want)
			if d := time.Since(began); d != time.Duration(i+1)*20*time.Second {
				t.Errorf("%s after %v", want, d)
			}
		}
	})
	t.Run("idle", func(t *testing.T) {
		cfg := *cfg
		cfg.Idle = 10 * time.Second
		bubble(t, &cfg, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.text("one")
			sleep(10*time.Second - 1)
			c.wantSilence()
			c.wantClose(1001, "Going away")
		})
	})
}

// A client that does not read is still read, and holds up nobody else.
func TestClientThatDoesNotRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		big := strings.Repeat("x", 32<<10)
		for range 8 { // 256 KiB: much more than the line holds
			c.text(big)
		}
		c.send(ws.NewPingFrame(nil))
		synctest.Wait()
		if st := s.Stats(); st.Messages != 8 || st.Pings != 1 {
			t.Fatalf("%+v", st)
		}
		other := dial(t, s)
		other.text("hello")
		other.wantText("hello")

		for i := range 8 {
			f, err := c.read()
			if f.Header.OpCode == ws.OpPong {
				f, err = c.read()
			}
			if err != nil || string(f.Payload) != big {
				t.Fatalf("echo %d: %v", i, err)
			}
		}
	})
}

// Everything that is full makes the client wait in the end, costs no message, and is not taken for
// silence.
func TestBackPressure(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		const n = 100 // of 32 KiB: 3.2 MB
		msg := func(i int) string { return fmt.Sprintf("%0*d", 32<<10, i) }
		var sent int
		go func() {
			for sent = range n {
				c.text(msg(sent))
			}
		}()
		sleep(time.Hour) // far beyond Idle
		if sent > 90 || len(s.Conns()) != 1 {
			t.Fatalf("%d messages fit, %d connections", sent, len(s.Conns()))
		}
		for i := range n {
			c.wantText(msg(i))
		}
		sleep(2*time.Minute + 1)
		c.wantClose(1001, "Going away")
	})
	t.Run("lifetime", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			go c.Write(bytes.Repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 32<<10)))), 100))
			sleep(2*time.Hour + 1)
			if closed(s, 1001) != 1 {
				t.Errorf("%+v", s.Stats())
			}
		})
	})
}

// The end of a connection releases whoever waits for room on it.
func TestDropReleasesWaiters(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		go func() { // until it is reset
			frames := bytes.Repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 32<<10)))), 100)
			c.Write(frames)
		}()
		sleep(time.Minute) // the reader waits for the backend, which waits for the client
		sent := make(chan error)
		go func() { sent <- conn.Send(make([]byte, 128<<10)) }()
		sleep(time.Minute)
		conn.Close(1000, "")
		if err := <-sent; err == nil {
			t.Error("sent after Close")
		}
		sleep(time.Second)
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("the socket is still open a second after Close")
		}
	})
}

// A client that does not read and then goes away is found gone, although the reader waits for the
// backend and the backend for the client.
func TestGoneWhileStalled(t *testing.T) {
	told := 0
	cfg := &gatewaytest.Config{
		Buffer:        10 << 10,
		RouteResponse: true,
		Backend: func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
			told = ev.RequestContext.DisconnectStatusCode
			return &gatewaytest.Response{Body: ev.Body}, nil
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		text := func(n int) []byte { return ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, n)))) }
		go func() {
			// Small answers fill the line and half of the buffer, so that the room which one of
			// them leaves is not enough for the large ones behind them.
			c.Write(bytes.Repeat(text(100), 700))
			c.Write(bytes.Repeat(text(32<<10), 100))
		}()
		sleep(time.Minute)
		c.Close()
		synctest.Wait()
		if st := s.Stats(); len(s.Conns()) != 0 || st.Closed[1006] != 1 {
			t.Errorf("%d connections, %+v", len(s.Conns()), st)
		}
		if told != 1006 {
			t.Errorf("$disconnect with %d", told)
		}
		var e *gatewaytest.APIError
		if err := s.Post(c.id, []byte("x")); !errors.As(err, &e) || e.StatusCode != 410 {
			t.Errorf("Post: %v", err)
		}
	})
}

func TestFullBuffer(t *testing.T) {
	bubble(t, &gatewaytest.Config{Buffer: 200 << 10}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		big := bytes.Repeat([]byte("x"), 64<<10)
		n := 0
		for ; ; n++ {
			err := s.Post(c.id, big)
			if err == nil {
				synctest.Wait()
				continue
			}
			var e *gatewaytest.APIError
			if !errors.As(err, &e) || e.StatusCode != 429 || e.Type != "LimitExceededException" {
				t.Fatal(err)
			}
			break
		}
		if n < 3 || n > 5 {
			t.Errorf("%d messages of 64 KiB fit in 200", n)
		}
		sent := make(chan error)
		go func() { sent <- conn.Send(big) }() // waits
		sleep(time.Minute)
		select {
		case err := <-sent:
			t.Errorf("Send did not wait: %v", err)
		default:
		}
		for range n + 1 {
			c.wantText(string(big))
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		for conn.Close(1000, ""); ; {
			if f, err := c.read(); err != nil || f.Header.OpCode == ws.OpClose {
				return
			}
		}
	})
}

// PINGs of a client that does not read must not fill the memory.
func TestPongFlood(t *testing.T) {
	bubble(t, &gatewaytest.Config{Buffer: 1 << 10}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		ping := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(make([]byte, 100))))
		for range 10 {
			if _, err := c.Write(bytes.Repeat(ping, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := s.Stats().Pings; n != 10000 {
			t.Fatalf("%d PINGs", n)
		}
		pongs := 0
		for ; ; pongs++ {
			if _, err := c.read(); err != nil {
				break
			}
		}
		if pongs == 0 || pongs > 1000 {
			t.Errorf("%d PONGs", pongs)
		}
	})
}
