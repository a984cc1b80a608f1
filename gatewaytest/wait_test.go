package gatewaytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

func TestAccept(t *testing.T) {
	t.Run("each once, in order, also what has ended", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			var ids []string
			for range 5 {
				ids = append(ids, dial(t, s).id)
			}
			s.Conns()[1].Drop()
			synctest.Wait()
			for _, id := range ids {
				if c, err := s.Accept(t.Context()); err != nil || c.ID() != id {
					t.Errorf("%v, %v, want %s", c, err, id)
				}
			}
		})
	})
	t.Run("waits", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			accepted := make(chan *gatewaytest.Conn, 2)
			for range 2 {
				go func() {
					c, err := s.Accept(t.Context())
					if err != nil {
						t.Error(err)
					}
					accepted <- c
				}()
			}
			synctest.Wait()
			one, two := dial(t, s), dial(t, s)
			got := (<-accepted).ID() + (<-accepted).ID()
			if got != one.id+two.id && got != two.id+one.id {
				t.Errorf("got %s, want %s and %s", got, one.id, two.id)
			}
		})
	})
	t.Run("context", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if c, err := s.Accept(ctx); c != nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, %v", c, err)
			}
			dial(t, s)
			if c, err := s.Accept(ctx); c == nil || err != nil {
				t.Errorf("a connection that is there loses to the context: %v", err)
			}
		})
	})
	t.Run("closed Server", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			waiting := make(chan error)
			go func() {
				s.Accept(t.Context())
				_, err := s.Accept(t.Context())
				waiting <- err
			}()
			dial(t, s)
			synctest.Wait()
			s.Close()
			if err := <-waiting; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	})
}

func TestAllConns(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		open := dial(t, s)
		c.text("hello")
		c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "bye")))
		synctest.Wait()
		all := s.AllConns()
		if len(all) != 2 || all[0].ID() != c.id || all[1].ID() != open.id || len(s.Conns()) != 1 {
			t.Fatalf("%v, open: %v", all, s.Conns())
		}
		if got := all[0].Received(); len(got) != 1 || string(got[0]) != "hello" {
			t.Errorf("received %q", got)
		}
		if code, reason, err := all[0].Wait(t.Context()); code != 4000 || reason != "bye" || err != nil {
			t.Errorf("%d %q, %v", code, reason, err)
		}
	})
	t.Run("only the last thousand that have ended", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			open := dial(t, s)
			var ids []string
			for range 1010 {
				c := dial(t, s)
				ids = append(ids, c.id)
				c.Close()
				synctest.Wait()
			}
			all := s.AllConns()
			if len(all) != 1001 || all[0].ID() != open.id || all[1].ID() != ids[10] {
				t.Errorf("%d, the first is %s, want %s", len(all), all[1].ID(), ids[10])
			}
			s.Accept(t.Context())
			if c, err := s.Accept(t.Context()); err != nil || c.ID() != ids[10] {
				t.Errorf("%v, %v", c, err)
			}
		})
	})
}

func TestNext(t *testing.T) {
	next := func(t *testing.T, c *gatewaytest.Conn, want string) {
		t.Helper()
		if msg, err := c.Next(t.Context()); err != nil || string(msg) != want {
			t.Errorf("%q, %v, want %q", msg, err, want)
		}
	}
	t.Run("each once, in order", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			for _, text := range []string{"one", "", "three"} {
				c.text(text)
			}
			next(t, conn, "one")
			next(t, conn, "")
			next(t, conn, "three")
			time.AfterFunc(time.Minute, func() { c.text("later") })
			next(t, conn, "later")
			if n := len(conn.Received()); n != 4 {
				t.Errorf("Received has %d", n)
			}
		})
	})
	t.Run("messages belong to the caller", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.text("hello")
			conn := s.Conns()[0]
			msg, _ := conn.Next(t.Context())
			copy(msg, "xxxxx")
			if got := conn.Received()[0]; string(got) != "hello" {
				t.Errorf("%q", got)
			}
		})
	})
	t.Run("end", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			c.text("last")
			time.AfterFunc(time.Minute, func() { c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "bye"))) })
			next(t, conn, "last")
			for range 2 {
				if _, err := conn.Next(t.Context()); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), `4000 "bye"`) {
					t.Error(err)
				}
			}
		})
	})
	t.Run("context", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := conn.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			c.text("there")
			c.wantText("there")
			if msg, err := conn.Next(ctx); err != nil {
				t.Errorf("%q loses to the context: %v", msg, err)
			}
		})
	})
	t.Run("MaxReceived", func(t *testing.T) {
		bubble(t, &gatewaytest.Config{MaxReceived: 2}, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			conn := s.Conns()[0]
			c.text("0")
			next(t, conn, "0")
			for i := 1; i <= 4; i++ {
				c.text(fmt.Sprint(i))
			}
			synctest.Wait()
			if got := bytes.Join(conn.Received(), nil); string(got) != "34" {
				t.Errorf("kept %s", got)
			}
			if _, err := conn.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "2 messages were not kept") {
				t.Error(err)
			}
			next(t, conn, "3")
			next(t, conn, "4")
		})
	})
	t.Run("Discard", func(t *testing.T) {
		bubble(t, &gatewaytest.Config{Discard: true}, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.text("0")
			synctest.Wait()
			if _, err := s.Conns()[0].Next(t.Context()); err == nil {
				t.Error("no error")
			}
		})
	})
}

func TestWait(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(*client, *gatewaytest.Conn)
		code   int
		reason string
	}{
		"client":    {func(c *client, _ *gatewaytest.Conn) { c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "bye"))) }, 4000, "bye"},
		"no status": {func(c *client, _ *gatewaytest.Conn) { c.send(ws.NewCloseFrame(nil)) }, 1005, "Client-side close frame status not set"},
		"gone":      {func(c *client, _ *gatewaytest.Conn) { c.Close() }, 1006, ""},
		"gateway":   {func(_ *client, conn *gatewaytest.Conn) { conn.Close(1001, "Going away") }, 1001, "Going away"},
		"drop":      {func(_ *client, conn *gatewaytest.Conn) { conn.Drop() }, 1006, ""},
		"idle":      {func(*client, *gatewaytest.Conn) {}, 1001, "Going away"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				conn := s.Conns()[0]
				time.AfterFunc(time.Minute, func() { test.end(c, conn) })
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if _, _, err := conn.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("before the end: %v", err)
				}
				for range 2 {
					if code, reason, err := conn.Wait(t.Context()); code != test.code || reason != test.reason || err != nil {
						t.Errorf("%d %q, %v, want %d %q", code, reason, err, test.code, test.reason)
					}
				}
			})
		})
	}
}

// fakeTB is a test that has not ended.
type fakeTB struct{ cleanups []func() }

func (*fakeTB) Helper()             {}
func (tb *fakeTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }

func TestRun(t *testing.T) {
	for name, run := range map[string]func(gatewaytest.TB, *gatewaytest.Config) *gatewaytest.Server{
		"TCP": gatewaytest.Run, "memory": gatewaytest.RunInMemory,
	} {
		t.Run(name, func(t *testing.T) {
			var tb fakeTB
			s := run(&tb, &gatewaytest.Config{Stage: "dev"})
			if resp := handshake(t, s, s.URL, nil); resp.StatusCode != 101 || !strings.HasSuffix(s.URL, "/dev") {
				t.Errorf("%s at %s", resp.Status, s.URL)
			}
			for _, f := range tb.cleanups {
				f()
			}
			if _, err := s.Accept(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := s.Accept(t.Context()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("not closed: %v", err)
			}
		})
	}
	t.Run("in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dial(t, gatewaytest.RunInMemory(t, nil))
		})
	})
}

func TestSilent(t *testing.T) {
	cfg := &gatewaytest.Config{Backend: gatewaytest.Silent, RouteResponse: true}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text("hello")
		synctest.Wait()
		c.wantSilence()
	})
}
