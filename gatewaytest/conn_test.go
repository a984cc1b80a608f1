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
