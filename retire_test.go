package apigws_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// OnRetire comes when the successor is in use, and before Drain: what it writes is the last on the
// old connection, and what the backend answers still arrives, at Client.Read.
func TestOnRetireComesBetween(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		calls := 0
		opts := &apigws.Options{}
		opts.OnRetire = func(ctx context.Context, conn *apigws.Conn) {
			calls++
			c := conn.Client()
			if s := c.Stats(); s.Generation != 2 || s.State != apigws.StateOpen || conn.Generation() != 1 {
				t.Errorf("OnRetire of %d while the client has %+v", conn.Generation(), s)
			}
			clienttest.Write(t, c, "on the next")
			if err := conn.Write(ctx, []byte("unsubscribe")); err != nil {
				t.Errorf("Write in OnRetire: %v", err)
			}
			if _, err := conn.Read(ctx); err == nil {
				t.Error("Read of a retired Conn took a message from Client.Read")
			}
			if _, err := conn.ReadMatch(ctx, func([]byte) bool { return true }); err == nil {
				t.Error("ReadMatch of a retired Conn took a message from Client.Read")
			}
			time.Sleep(20 * time.Second) // longer than Drain, which begins afterwards
		}
		c := clienttest.Dial(t, gw, opts)
		clienttest.Write(t, c, "before")
		old := clienttest.Only(t, gw)
		start := time.Now()
		clienttest.Rotate(t, c)
		if took := time.Since(start); took != 0 {
			t.Errorf("Rotate waited %v for OnRetire", took)
		}
		clienttest.Sleep(30*time.Second - moment)
		if err := old.Send([]byte("late")); err != nil {
			t.Errorf("the old connection was not read for Drain: %v", err)
		}
		clienttest.Sleep(2 * moment)
		if clienttest.Only(t, gw) == old {
			t.Error("the old connection is open after Drain")
		}
		clienttest.Equal(t, "on the old one", clienttest.Texts(old), []string{"before", "unsubscribe"})
		var got []string
		for range 4 {
			got = append(got, clienttest.Read(t, c))
		}
		slices.Sort(got)
		clienttest.Equal(t, "read", got, []string{"before", "late", "on the next", "unsubscribe"})
		if calls != 1 {
			t.Errorf("%d calls of OnRetire", calls)
		}
	})
}

// The context of OnRetire ends with the connection, with the client, and after HandshakeTimeout.
// Then its Conn is of no more use.
func TestContextOfOnRetire(t *testing.T) {
	for _, end := range []string{"loss", "Close", "timeout"} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			start := time.Now()
			var took time.Duration
			var retired *apigws.Conn
			c := clienttest.Dial(t, gw, &apigws.Options{OnRetire: func(ctx context.Context, conn *apigws.Conn) {
				retired = conn
				<-ctx.Done()
				took = time.Since(start)
			}})
			old := clienttest.Only(t, gw)
			clienttest.Rotate(t, c)
			want := 30 * time.Second
			if end != "timeout" {
				want = time.Second
				clienttest.Sleep(want)
			}
			switch end {
			case "loss":
				old.Drop()
			case "Close":
				if err := c.Close(); err != nil {
					t.Errorf("Close = %v", err)
				}
			}
			clienttest.Sleep(time.Minute)
			if took != want {
				t.Errorf("%s: the context of OnRetire ended after %v, want %v", end, took, want)
			}
			if err := retired.Write(t.Context(), []byte("x")); !errors.Is(err, apigws.ErrNotSent) {
				t.Errorf("Write of a Conn whose hook has returned: %v", err)
			}
		})
	}
}

// A connection that is lost while it drains is no news, and ends the draining. Nothing that was
// sent on it can be lost: it was acknowledged before the successor was in use.
func TestLossWhileDraining(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{}
		opts.Reconnect.Drain = time.Hour
		c := clienttest.Dial(t, gw, opts)
		clienttest.Write(t, c, "x")
		synctest.Wait()
		before := clienttest.Goroutines()
		old := clienttest.Only(t, gw)
		clienttest.Rotate(t, c)
		clienttest.Sleep(time.Second)
		old.Drop()
		clienttest.Sleep(time.Minute)
		if after := clienttest.Goroutines(); after > before {
			t.Errorf("%d goroutines after the loss, %d before the rotation", after, before)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v", err)
		}
		if s := c.Stats(); s.LostNetwork+s.LostClosed+s.LostTimeout != 0 || s.State != apigws.StateOpen {
			t.Errorf("stats: %+v", s)
		}
	})
}

// Close does not wait for Drain, and ends both connections in good order.
func TestCloseWhileDraining(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		opts := &apigws.Options{}
		opts.Reconnect.Drain = time.Hour
		c := clienttest.Dial(t, gw, opts)
		clienttest.Rotate(t, c)
		clienttest.Sleep(time.Second)
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("Close = %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if got := gw.Stats().Closed; got[1000] != 2 || len(got) != 1 {
			t.Errorf("the connections ended with %v, want 1000 twice", got)
		}
	})
}

// A client that rotates faster than OnRetire returns calls it for one connection after the other.
func TestOnRetireRunsOnceAtATime(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var running, most int
		var retired []int
		c := clienttest.Dial(t, gw, &apigws.Options{OnRetire: func(_ context.Context, conn *apigws.Conn) {
			running++
			most = max(most, running)
			retired = append(retired, conn.Generation())
			time.Sleep(5 * time.Second)
			running--
		}})
		for range 3 {
			clienttest.Rotate(t, c)
			clienttest.Sleep(time.Second)
		}
		clienttest.Sleep(time.Minute)
		if most != 1 {
			t.Errorf("OnRetire ran %d times at once", most)
		}
		slices.Sort(retired)
		clienttest.Equal(t, "retired", retired, []int{1, 2, 3})
	})
}

// An OnRetire that does not return keeps its own connection, and no later one.
func TestOnRetireThatHangs(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		goOn := make(chan struct{})
		calls := 0
		c := clienttest.Dial(t, gw, &apigws.Options{OnRetire: func(context.Context, *apigws.Conn) {
			calls++
			<-goOn
		}})
		for range 5 {
			clienttest.Rotate(t, c)
		}
		clienttest.Sleep(time.Minute)
		if n := len(gw.Conns()); n != 2 || calls != 1 {
			t.Errorf("%d connections are open after %d calls, want 2 after 1", n, calls)
		}
		close(goOn)
	})
}
