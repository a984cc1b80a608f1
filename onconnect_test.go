package apigws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// What OnConnect writes reaches the gateway before anything else, also when
// Writes have been waiting for the connection.
func TestOnConnectComesFirst(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			Keepalive: apigws.Keepalive{Message: []byte("keep")},
			OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
				for i := range 3 {
					if err := conn.Write(ctx, fmt.Append(nil, "subscribe ", i)); err != nil {
						return err
					}
					time.Sleep(time.Second) // the others have every opportunity
				}
				return conn.WriteJSON(ctx, "done")
			},
		}
		c := clienttest.Dial(t, gw, opts)
		greeting := []string{"subscribe 0", "subscribe 1", "subscribe 2", `"done"`}
		for range 3 {
			clienttest.Only(t, gw).Drop()
			synctest.Wait()
			results := make(chan error, 8)
			for range cap(results) {
				go func() { results <- c.Write(t.Context(), []byte("waiting")) }()
			}
			for range cap(results) {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			got := clienttest.Texts(clienttest.Only(t, gw))
			if len(got) != 13 || !slices.Equal(got[:4], greeting) {
				t.Fatalf("the gateway got %q, want first %q", got, greeting)
			}
		}
		clienttest.Accepted(t, gw, 4)
	})
}

// OnConnect can converse with the backend; what it does not read goes to
// Client.Read, in order, and before what comes later.
func TestOnConnectReads(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var kept *apigws.Conn
		c := clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			kept = conn
			for i := range 100 { // more than fits into an inbox
				if err := conn.WriteJSON(ctx, i); err != nil {
					return err
				}
			}
			if p, err := conn.Read(ctx); err != nil || string(p) != "0" {
				return fmt.Errorf("Read = %q, %v", p, err)
			}
			var n int
			if err := conn.ReadJSON(ctx, &n); err != nil || n != 1 {
				return fmt.Errorf("ReadJSON: %d, %v", n, err)
			}
			limited, cancel := context.WithTimeout(ctx, 0)
			defer cancel()
			for i := 2; i < 50; i++ {
				if _, err := conn.Read(ctx); err != nil {
					return err
				}
			}
			synctest.Wait()
			for i := 50; i < 60; i++ { // a cancelled Read costs nothing here either
				if p, err := conn.Read(limited); err != nil || string(p) != fmt.Sprint(i) {
					return fmt.Errorf("Read = %q, %v, want %d, which was there", p, err, i)
				}
			}
			return nil
		}})
		clienttest.Only(t, gw).Send([]byte("100"))
		for i := 60; i <= 100; i++ {
			if got := clienttest.Read(t, c); got != fmt.Sprint(i) {
				t.Fatalf("Read = %q, want %d", got, i)
			}
		}
		clienttest.Accepted(t, gw, 1)

		// From then on the Conn is the client's.
		if err := kept.Write(t.Context(), []byte("late")); !errors.Is(err, apigws.ErrNotSent) {
			t.Errorf("Write on a Conn that was handed over: %v", err)
		}
		if _, err := kept.Read(t.Context()); err == nil {
			t.Error("Read on a Conn that was handed over says nothing")
		}
		clienttest.Write(t, c, "echo")
		if got := clienttest.Read(t, c); got != "echo" {
			t.Errorf("Read = %q", got)
		}
	})
}

// A Read in OnConnect ends with its context, without costing the connection or
// the message that comes afterwards.
func TestOnConnectReadCancelled(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			limited, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := conn.Read(limited); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("Read: %w", err)
			}
			return nil
		}})
		clienttest.Only(t, gw).Send([]byte("hello"))
		if got := clienttest.Read(t, c); got != "hello" {
			t.Errorf("Read = %q", got)
		}
		clienttest.Accepted(t, gw, 1)
	})
}

// The limits on messages hold inside, too.
func TestOnConnectLimits(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			var tooLarge *apigws.TooLargeError
			if err := conn.Write(ctx, make([]byte, 128<<10+1)); !errors.As(err, &tooLarge) {
				t.Errorf("Write: %v", err)
			}
			if err := conn.Write(ctx, []byte{0xff}); !errors.Is(err, apigws.ErrNotText) {
				t.Errorf("Write: %v", err)
			}
			if err := conn.WriteJSON(ctx, func() {}); err == nil {
				t.Error("WriteJSON of a func")
			}
			gw.Conns()[0].Send(make([]byte, 128<<10+1))
			if _, err := conn.Read(ctx); !errors.As(err, &tooLarge) || tooLarge.Size != 128<<10+1 {
				t.Errorf("Read: %v", err)
			}
			return nil
		}})
		clienttest.Accepted(t, gw, 1)
	})
}

// An error of OnConnect fails the connection, which is then tried again.
func TestOnConnectFails(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		errNotYet := errors.New("not yet")
		var j clienttest.Journal
		failures := 2
		opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)}
		opts.OnConnect = func(context.Context, *apigws.Conn) error {
			if failures > 0 {
				failures--
				return errNotYet
			}
			return nil
		}
		c := clienttest.Dial(t, gw, opts)
		synctest.Wait()
		clienttest.Accepted(t, gw, 3)
		clienttest.Only(t, gw) // and only the third is open
		if first := j.All()[0]; !errors.Is(first.Err, errNotYet) || !strings.Contains(first.Err.Error(), "OnConnect") {
			t.Errorf("the first change is %+v", first)
		}
		if s := c.Stats(); s.ConnectErrors != 2 || s.Connects != 3 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// An OnConnect that hangs is ended by HandshakeTimeout.
func TestOnConnectHangs(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		calls := 0
		opts := &apigws.Options{HandshakeTimeout: 7 * time.Second, Reconnect: clienttest.Every(time.Second)}
		opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
			if calls++; calls > 1 {
				return nil
			}
			_, err := conn.Read(ctx)
			return err
		}
		start := time.Now()
		clienttest.Dial(t, gw, opts)
		if took := time.Since(start); took != 8*time.Second || calls != 2 {
			t.Errorf("connected after %v and %d calls, want 7 s, 1 s of waiting, and a second call", took, calls)
		}
		clienttest.Accepted(t, gw, 2)
	})
}

// The context of OnConnect ends when its connection breaks.
func TestOnConnectOnABreak(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		calls := 0
		opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
		opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
			if calls++; calls > 1 {
				return nil
			}
			time.AfterFunc(2*time.Second, func() { gw.Conns()[0].Close(1011, "broken") })
			<-ctx.Done()
			var closed *apigws.CloseError
			for _, ctx := range []context.Context{ctx, t.Context()} {
				if _, err := conn.Read(ctx); !errors.As(err, &closed) || closed.Code != 1011 {
					t.Errorf("Read: %v", err)
				}
				if err := conn.ReadJSON(ctx, new(int)); !errors.As(err, &closed) {
					t.Errorf("ReadJSON: %v", err)
				}
			}
			if err := conn.Write(t.Context(), []byte("x")); !errors.As(err, &closed) || !errors.Is(err, apigws.ErrNotSent) {
				t.Errorf("Write: %v", err)
			}
			return nil // which does not make it whole
		}
		start := time.Now()
		clienttest.Dial(t, gw, opts)
		if took := time.Since(start); took != 3*time.Second || calls != 2 {
			t.Errorf("connected after %v and %d calls", took, calls)
		}
		clienttest.Only(t, gw)
	})
}

// OnConnect fails because the connection has died under it: the error says why
// it died, also when OnConnect itself knows only that its context has ended.
func TestOnConnectFailsOfABreak(t *testing.T) {
	for name, wait := range map[string]func(context.Context, *apigws.Conn) error{
		"context": func(ctx context.Context, _ *apigws.Conn) error { <-ctx.Done(); return ctx.Err() },
		"Read":    func(ctx context.Context, conn *apigws.Conn) error { _, err := conn.Read(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
				_, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{
					Reconnect: apigws.Reconnect{Disabled: true},
					OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
						time.AfterFunc(time.Second, func() { gw.Conns()[0].Close(1008, "denied") })
						return wait(ctx, conn)
					},
				})
				var closed *apigws.CloseError
				if !errors.As(err, &closed) || closed.Code != 1008 {
					t.Errorf("Dial: %v, want the close frame 1008", err)
				}
				if text := fmt.Sprint(err); strings.Count(text, "1008") != 1 {
					t.Errorf("Dial: %s, which does not name the close frame once", text)
				}
			})
		})
	}
}

// What a connection brought before it died in OnConnect is for Read.
func TestMessagesOfAConnectionThatNeverOpens(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() > 1 {
					return nil
				}
				gw.Conns()[0].Send([]byte("precious"))
				time.Sleep(time.Second)
				gw.Conns()[0].Close(1001, "Going away")
				time.Sleep(time.Second)
				return nil
			},
		})
		if got := clienttest.Read(t, c); got != "precious" {
			t.Errorf("Read = %q", got)
		}
		if s := c.Stats(); s.Generation != 2 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// What is dropped of it, because much waits for Read, is counted and logged, also what the reader
// gets to when the connection has been given up. A connection of which nothing is dropped is no
// news.
func TestDroppedMessagesAreCounted(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var log bytes.Buffer
		opts := &apigws.Options{
			Logger:    slog.New(slog.NewTextHandler(&log, nil)),
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() != 2 {
					return nil
				}
				for _, message := range []string{"early", "slow", "late"} {
					gw.Conns()[0].Send([]byte(message))
				}
				clienttest.Sleep(time.Second)
				return errors.New("not today")
			},
		}
		opts.Keepalive.IsReply = func(message []byte) bool {
			if string(message) == "slow" {
				time.Sleep(time.Minute)
			}
			return false
		}
		c := clienttest.Dial(t, gw, opts)
		conn := clienttest.Only(t, gw)
		for range 64 {
			conn.Send([]byte("unread"))
		}
		clienttest.Sleep(time.Second)
		conn.Drop()
		clienttest.Sleep(2 * time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		if got := c.Stats().Dropped; got != 3 {
			t.Errorf("%d messages count as dropped, want 3", got)
		}
		c.Close()
		if lines := log.String(); strings.Count(lines, "messages dropped") != 1 || !strings.Contains(lines, "messages=3") {
			t.Errorf("the log is\n%s", lines)
		}
	})
}

// But one that never opens again and again must not fill the memory, when
// nobody reads.
func TestMessagesOfConnectionsThatNeverOpenAreBounded(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 1 {
					return nil
				}
				for range 50 {
					gw.Conns()[0].Send([]byte("greeting"))
				}
				time.Sleep(time.Second)
				return errors.New("not today")
			},
		})
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(5 * time.Minute)
		if s := c.Stats(); s.MessagesReceived < 1000 || s.Unread > 128 {
			t.Errorf("of %d messages %d wait for Read, want two inboxes at the most", s.MessagesReceived, s.Unread)
		} else if s.MessagesReceived != int64(s.Unread)+s.Dropped {
			t.Errorf("%d messages came, %d wait and %d were dropped", s.MessagesReceived, s.Unread, s.Dropped)
		}
	})
}

// A Read with a context of its own is not bound by the time of OnConnect.
func TestOnConnectReadsBeyondItsTime(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		clienttest.Dial(t, gw, &apigws.Options{
			HandshakeTimeout: time.Second,
			OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				time.AfterFunc(10*time.Second, func() { gw.Conns()[0].Send([]byte("late")) })
				if p, err := conn.Read(t.Context()); err != nil || string(p) != "late" {
					t.Errorf("Read = %q, %v", p, err)
				}
				return nil
			},
		})
		clienttest.Accepted(t, gw, 1)
	})
}
