package apigws_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
	"github.com/cenkalti/backoff/v4"
)

func TestRotateReturnsRefusalsAtOnce(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		old := clienttest.Only(t, gw)
		gw.Refuse(404, 1)
		start := time.Now()
		err := c.Rotate(t.Context())
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != 404 || time.Since(start) != 0 {
			t.Errorf("Rotate = %v after %v, want the 404 at once", err, time.Since(start))
		}
		// It was asked for once: the client does not go on by itself until the
		// connection is old.
		time.Sleep(105*time.Minute - 1)
		if clienttest.Only(t, gw) != old || gw.Stats().Accepted != 1 {
			t.Error("the old connection was replaced although it was well")
		}
		time.Sleep(5*time.Minute + 11*time.Second)
		if clienttest.Only(t, gw) == old || c.Stats().Rotations != 1 {
			t.Error("no rotation by age after a refused one by request")
		}
	})
}

func TestRotateTriesAgainUntilItSucceeds(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		gw.Refuse(429, -1)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := c.Rotate(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Rotate = %v, want the end of its context", err)
		}
		gw.Refuse(0, 0)
		// Cancelling has ended the waiting, not the rotation. A call joins it.
		if err := c.Rotate(t.Context()); err != nil {
			t.Errorf("Rotate = %v", err)
		}
		if s := gw.Stats(); s.Accepted != 2 {
			t.Errorf("%d handshakes succeeded, want 2", s.Accepted)
		}
	})
}

func TestRotateCallsShareOneRotation(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		gw.Hold(true)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { clienttest.Rotate(t, c) })
		}
		synctest.Wait()
		gw.Hold(false)
		wg.Wait()
		if s := gw.Stats(); s.Accepted != 2 {
			t.Errorf("%d handshakes for five calls of Rotate, want 1 after the first", s.Accepted-1)
		}
	})
}

func TestRotateAfterClose(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		gw.Hold(true)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-rotated; !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Rotate during Close = %v", err)
		}
		if err := c.Rotate(t.Context()); !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Rotate after Close = %v", err)
		}
		gw.Hold(false)
	})
}

// When the old connection dies during a rotation, Rotate still returns only when
// the next one is in use, with what is to be sent again on it.
func TestRotateReturnsWhenTheNextIsInUse(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20, OnConnect: func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				next := gw.Conns()[len(gw.Conns())-1]
				next.SetFaults(gatewaytest.Faults{RateIn: 50 << 10})
				time.Sleep(5 * time.Second)
			}
			return nil
		}})
		old := clienttest.Only(t, gw)
		old.FreezeOut(true)
		for range 4 {
			clienttest.Write(t, c, strings.Repeat("x", 100<<10))
		}
		time.AfterFunc(2*time.Second, old.Drop)
		clienttest.Rotate(t, c)
		clienttest.InState(t, c, apigws.StateOpen)
		if s := c.Stats(); s.Generation != 2 || s.MessagesResent != 4 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// A rotation that was asked for and failed for good is no reason not to rotate
// when the time comes.
func TestFailedRotateLeavesTheNextOne(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{
			RotateAfter: time.Hour,
			Backoff: func() backoff.BackOff {
				return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
			},
		}})
		clienttest.Sleep(time.Minute)
		gw.Refuse(503, 3)
		if err := c.Rotate(t.Context()); err == nil {
			t.Fatal("Rotate succeeded")
		}
		clienttest.Sleep(time.Hour)
		if n := c.Stats().Rotations; n != 1 {
			t.Errorf("%d rotations, want 1", n)
		}
	})
}

// A Rotate that comes while a connection is already being opened, which takes long where messages
// are sent again one by one, is for the connection after it.
func TestRotateWhileOpening(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: time.Second})
		connected := make(chan struct{}, 10)
		c := clienttest.Dial(t, gw, &apigws.Options{
			Resend:    1000,
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(context.Context, *apigws.Conn) error {
				connected <- struct{}{}
				return nil
			},
		})
		<-connected
		conn := clienttest.Only(t, gw)
		conn.FreezeIn(true)
		clienttest.Write(t, c, "1", "2", "3")
		conn.Close(1009, "")
		<-connected
		clienttest.Sleep(2*time.Second + 500*time.Millisecond) // after the PING that proves that the gateway answers any
		clienttest.InState(t, c, apigws.StateConnecting)
		clienttest.Rotate(t, c)
		if n := c.Stats().Generation; n != 3 {
			t.Errorf("Rotate has returned with connection %d, want 3", n)
		}
	})
}
