package gatewaytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
	"github.com/gobwas/ws"
)

func TestReceived(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text("one")
		c.send(ws.NewFrame(ws.OpText, false, []byte("t")))
		c.send(ws.NewFrame(ws.OpContinuation, true, []byte("wo")))
		c.text("")
		synctest.Wait()
		conn := s.Conns()[0]
		got := conn.Received()
		if string(bytes.Join(got, []byte("|"))) != "one|two|" || len(got) != 3 {
			t.Fatalf("%q", got)
		}
		got[0][0] = 'X'
		c.wantText("one") // nobody else's copy
		if got := conn.Received(); string(got[0]) != "one" {
			t.Errorf("%q", got)
		}
		if n := s.Stats().Messages; n != 3 {
			t.Errorf("%d messages", n)
		}
	})
	bubble(t, &gatewaytest.Config{Discard: true}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text("one")
		c.wantText("one")
		if got := s.Conns()[0].Received(); len(got) != 0 {
			t.Errorf("kept %q", got)
		}
	})
}

func TestPings(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.send(ws.NewPingFrame([]byte("payload")))
		c.want(ws.OpPong, "payload")
		if st := s.Stats(); st.Pings != 1 || st.Messages != 0 {
			t.Errorf("%+v", st)
		}
	})
	bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.send(ws.NewPingFrame(nil))
		c.wantSilence()
		if n := s.Stats().Pings; n != 1 {
			t.Errorf("%d", n)
		}
	})
}

func TestDrop(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		conn.Send([]byte("arrived"))
		synctest.Wait()
		conn.Drop()
		c.wantText("arrived")
		c.wantError(syscall.ECONNRESET)
		if closed(s, 1006) != 1 || len(s.Conns()) != 0 {
			t.Errorf("%+v", s.Stats())
		}
		// All methods have an answer afterwards.
		conn.Drop()
		conn.Close(1000, "")
		conn.Freeze(true)
		if conn.Send(nil) == nil || conn.SendRaw(nil) == nil {
			t.Error("sent to a connection that is gone")
		}
		synctest.Wait()
		if st := s.Stats(); len(st.Closed) != 1 || st.Closed[1006] != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAbruptEndOfClient(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		dial(t, s).Close()
		synctest.Wait()
		if closed(s, 1006) != 1 || len(s.Conns()) != 0 {
			t.Errorf("%+v", s.Stats())
		}
	})
}

func TestCloseCodes(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		s.Conns()[0].Send([]byte("before"))
		s.Conns()[0].Close(1005, "")
		c.wantText("before")
		c.want(ws.OpClose, "")

		c = dial(t, s)
		s.Conns()[0].Close(1006, "")
		c.wantError(io.EOF)

		c = dial(t, s)
		s.Conns()[0].Close(1011, strings.Repeat("x", 200))
		c.wantClose(1011, strings.Repeat("x", 123)) // no more fits
	})
}

// A dead path: nothing arrives, nothing is noticed, and writes succeed until the buffers are full.
func TestFreeze(t *testing.T) {
	bubble(t, &gatewaytest.Config{Lifetime: time.Hour}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		conn := s.Conns()[0]
		conn.Freeze(true)
		c.text("lost in the dark")
		c.send(ws.NewPingFrame(nil))
		conn.Send([]byte("not seen"))
		sleep(24 * time.Hour) // over every limit
		c.wantSilence()
		if st := s.Stats(); st.Messages+st.Pings != 0 || len(s.Conns()) != 1 {
			t.Fatalf("%+v", st)
		}
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := c.Write(make([]byte, 1<<20)); !isTimeout(err) || n < 60<<10 || n > 70<<10 {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
		// Alive again, what was due comes.
		conn.Freeze(false)
		c.wantText("not seen")
		c.wantClose(1001, "Going away")
	})
	t.Run("in", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			conn.FreezeIn(true)
			c.text("later")
			conn.Send([]byte("seen"))
			c.wantText("seen")
			sleep(time.Minute)
			if n := s.Stats().Messages; n != 0 {
				t.Errorf("%d messages", n)
			}
			conn.FreezeIn(false)
			c.wantText("later")
			conn.FreezeIn(true)
			sleep(2*time.Minute + 1)
			c.wantClose(1001, "Going away") // although the gateway hears nothing
		})
	})
	t.Run("out", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			conn.FreezeOut(true)
			c.text("hello")
			c.send(ws.NewPingFrame(nil))
			sleep(time.Minute)
			c.wantSilence()
			if st := s.Stats(); st.Messages != 1 || st.Pings != 1 {
				t.Errorf("%+v", st)
			}
			conn.FreezeOut(false)
			f1, err1 := c.read()
			f2, err2 := c.read()
			if err1 != nil || err2 != nil || f1.Header.OpCode == f2.Header.OpCode {
				t.Errorf("%v %v %v %v", f1, err1, f2, err2)
			}
		})
	})
	t.Run("end of the line seen in writing", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			conn.FreezeIn(true)
			c.Close()
			sleep(time.Minute)
			if len(s.Conns()) != 1 {
				t.Error("the end was noticed")
			}
			conn.Send([]byte("anybody there?"))
			synctest.Wait()
			if len(s.Conns()) != 0 {
				t.Error("the failed write was not noticed")
			}
		})
	})
	t.Run("end of the line", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			s.Conns()[0].Freeze(true)
			c.Close()
			sleep(time.Hour)
			if len(s.Conns()) != 1 {
				t.Error("the end was noticed")
			}
		})
	})
}

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

// Everything that is full makes the client wait in the end, costs no message, and is not taken for silence.
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

// A client that does not read and then goes away is found gone, although the reader waits for the backend and the
// backend for the client.
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
			// Small answers fill the line and half of the buffer, so that the room which one of them leaves is not enough
			// for the large ones behind them.
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

func TestRefuse(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		try := func(want int) {
			t.Helper()
			if got := handshake(t, s, s.URL, nil).StatusCode; got != want {
				t.Errorf("%d, want %d", got, want)
			}
		}
		s.Refuse(503, 2)
		try(503)
		try(503)
		try(101)
		s.Refuse(429, -1)
		for range 5 {
			try(429)
		}
		s.Refuse(0, 0)
		try(101)
		if st := s.Stats(); st.Accepted != 2 || st.Refused[503] != 2 || st.Refused[429] != 5 {
			t.Errorf("%+v", st)
		}
	})
}

func TestHold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		s.Hold(true)
		s.Hold(true)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		_, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.AfterFunc(time.Minute, func() { s.Hold(false) })
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 101 || time.Since(began) != 90*time.Second {
			t.Errorf("after %v: %d", time.Since(began), got)
		}
		if st := s.Stats(); st.Accepted != 1 || len(st.Refused) != 0 {
			t.Errorf("%+v", st)
		}

		// Who has given up does not take part any more.
		s.Hold(true)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
		synctest.Wait()
		s.Refuse(503, 1)
		s.Hold(false)
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 503 {
			t.Errorf("%d", got)
		}
	})
}
