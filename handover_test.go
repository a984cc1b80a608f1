package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Writers that never pause keep their order through twenty rotations, and none
// of their writes waits for longer than one round trip.
func TestRotationStallsWritesForOneRoundTrip(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		const rtt, pause, writers, rotations = 80 * time.Millisecond, time.Millisecond, 3, 20
		gw.SetFaults(gatewaytest.Faults{Latency: rtt})
		var (
			opts  apigws.Options
			done  = make(chan struct{})
			wg    sync.WaitGroup
			sent  [writers]int
			waits [writers]time.Duration
		)
		c := clienttest.Dial(t, gw, &opts)
		for w := range writers {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(pause):
					}
					start := time.Now()
					clienttest.Write(t, c, fmt.Sprintf("%d.%d", w, sent[w]))
					waits[w] = max(waits[w], time.Since(start))
					sent[w]++
				}
			})
		}
		for range rotations {
			time.Sleep(200*time.Millisecond + 500*time.Microsecond)
			start := time.Now()
			clienttest.Rotate(t, c)
			if took := time.Since(start); took != rtt {
				t.Errorf("a rotation took %v, want one round trip, %v", took, rtt)
			}
		}
		close(done)
		wg.Wait()
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := clienttest.Received(gw)
		for w := range writers {
			prefix := fmt.Sprint(w, ".")
			of := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, prefix) })
			clienttest.Equal(t, "messages of writer "+prefix, of, clienttest.Numbered(prefix, sent[w]))
			if waits[w] > rtt || waits[w] < rtt-pause {
				t.Errorf("a write of writer %d waited %v, want at most %v, and nearly that", w, waits[w], rtt)
			}
		}
		if n := len(gw.AllConns()); n != rotations+1 {
			t.Errorf("%d connections, want %d", n, rotations+1)
		}
	})
}

// A rotation of a connection on which nothing is unacknowledged does not wait for a PONG, which
// some gateways do not send.
func TestRotationWithoutAnythingToProve(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		start := time.Now()
		clienttest.Rotate(t, c)
		if took := time.Since(start); took != 0 {
			t.Errorf("Rotate took %v", took)
		}
	})
}

// watched is a context that ends when it has been looked at often.
type watched struct {
	context.Context
	looks atomic.Int64
}

func (w *watched) Err() error {
	if w.looks.Add(1) > 100 {
		return context.DeadlineExceeded
	}
	return w.Context.Err()
}

// A Write that waits for the next connection does not ask again and again whether it is there.
func TestRotationLetsWritesSleep(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{Latency: time.Second})
		clienttest.Write(t, c, "before")
		go c.Rotate(t.Context())
		clienttest.Sleep(time.Second / 2)
		start := time.Now()
		if err := c.Write(&watched{Context: t.Context()}, []byte("meanwhile")); err != nil {
			t.Errorf("Write = %v", err)
		}
		if took := time.Since(start); took == 0 {
			t.Error("Write did not wait for the next connection")
		}
	})
}

// A gateway that lets nobody in: the old connection stays, and the attempts
// grow rarer. When it lets in again, the rotation takes place.
func TestRotationWaitsForTheGateway(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var states []apigws.State
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: apigws.Reconnect{RotateAfter: time.Hour},
			OnState:   func(_ *apigws.Client, s apigws.StateChange) { states = append(states, s.To) },
		})
		old := clienttest.Only(t, gw)
		time.Sleep(time.Hour - 1)
		gw.Refuse(503, -1)
		time.Sleep(10 * time.Minute)
		if clienttest.Only(t, gw) != old || c.State() != apigws.StateOpen {
			t.Error("the old connection did not stay")
		}
		clienttest.Write(t, c, "still here")
		if p, err := c.Read(t.Context()); err != nil || string(p) != "still here" {
			t.Fatalf("Read = %q, %v", p, err)
		}
		// With waits between 0 and at most 30 s, 15 s on average: 40 in ten
		// minutes, and 0.5 s apart it would have been more than a thousand.
		if n := gw.Stats().Refused[503]; n < 20 || n > 100 {
			t.Errorf("%d attempts in ten minutes, want about 40", n)
		}
		gw.Refuse(0, 0)
		time.Sleep(30*time.Second + 10*time.Second + 1) // the longest wait, and Drain
		synctest.Wait()
		if clienttest.Only(t, gw) == old {
			t.Error("no rotation although the gateway lets in again")
		}
		clienttest.Equal(t, "states", states, []apigws.State{apigws.StateOpen, apigws.StateOpen})
		if s := c.Stats(); s.Rotations != 1 || s.LostClosed+s.LostNetwork+s.LostTimeout != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// On a gateway that answers no PING, the end of the old connection keeps the
// order. Of what arrived there is no proof.
func TestRotationWithoutPongs(t *testing.T) {
	cfg := *clienttest.Silent()
	cfg.SilentPings = true
	clienttest.Bubble(t, &cfg, func(t *testing.T, gw *gatewaytest.Server) {
		opts := apigws.Options{Keepalive: apigws.Keepalive{Disabled: true}}
		c := clienttest.Dial(t, gw, &opts)
		clienttest.Write(t, c, "1", "2")
		start := time.Now()
		clienttest.Rotate(t, c)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want Keepalive.Timeout", took)
		}
		clienttest.Write(t, c, "3")
		synctest.Wait()
		clienttest.Equal(t, "received", clienttest.Received(gw), []string{"1", "2", "3"})
		s := c.Stats()
		if s.Unconfirmed != 2 || s.LostClosed != 0 || gw.Stats().Closed[1000] != 1 {
			t.Errorf("stats: %+v, %+v", s, gw.Stats())
		}
	})
}

// A close frame of the backend's that crosses ours proves nothing.
func TestRotationKickedAtTheClosingBarrier(t *testing.T) {
	for _, reason := range []string{"Connection Closed Normally", ""} {
		testKickAtTheClosingBarrier(t, reason)
	}
}

func testKickAtTheClosingBarrier(t *testing.T, reason string) {
	cfg := *clienttest.Silent()
	cfg.SilentPings = true
	clienttest.Bubble(t, &cfg, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{Disabled: true}})
		old := clienttest.Only(t, gw)
		old.FreezeIn(true)
		clienttest.Write(t, c, "never arrives")
		go func() {
			time.Sleep(10*time.Second + time.Millisecond) // our CLOSE is out, and not in
			old.Close(1000, reason)
		}()
		clienttest.Rotate(t, c)
		if err := c.Flush(t.Context()); !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("Flush = %v, want ErrUnconfirmed", err)
		}
	})
}

// The old connection breaks while its barrier is awaited.
func TestRotationOldDiesAtTheBarrier(t *testing.T) {
	for _, resend := range []int{0, 1 << 20} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			opts := apigws.Options{Resend: resend}
			c := clienttest.Dial(t, gw, &opts)
			old := clienttest.Only(t, gw)
			old.FreezeIn(true)
			clienttest.Write(t, c, "1", "2")
			written := make(chan error, 1)
			go func() {
				time.Sleep(time.Second)
				go func() { written <- c.Write(t.Context(), []byte("3")) }()
				time.Sleep(time.Second)
				old.Drop()
			}()
			start := time.Now()
			clienttest.Rotate(t, c)
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("took %v", took)
			}
			if err := <-written; err != nil {
				t.Errorf("Write at the barrier: %v", err)
			}
			err := c.Flush(t.Context())
			if resend == 0 {
				if !errors.Is(err, apigws.ErrUnconfirmed) || !strings.Contains(err.Error(), "2 messages") {
					t.Errorf("Flush = %v, want 2 unconfirmed messages", err)
				}
				clienttest.Equal(t, "received", clienttest.Received(gw), []string{"3"})
			} else {
				if err != nil {
					t.Errorf("Flush = %v", err)
				}
				clienttest.Equal(t, "received", clienttest.Received(gw), []string{"1", "2", "3"})
			}
			if s := c.Stats(); s.LostNetwork != 1 || s.Rotations != 1 {
				t.Errorf("stats: %+v, want one loss and one rotation", s)
			}
			time.Sleep(time.Minute)
			clienttest.Only(t, gw)
		})
	}
}

// Close while the barrier is awaited: everything is confirmed all the same,
// once, and nothing is sent twice.
func TestCloseAtTheBarrierOfARotation(t *testing.T) {
	for _, resend := range []int{0, 1 << 20} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			opts := apigws.Options{Resend: resend, OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 2 {
					gw.Conns()[1].Send([]byte("early"))
				}
				return nil
			}}
			c := clienttest.Dial(t, gw, &opts)
			old := clienttest.Only(t, gw)
			old.SetFaults(gatewaytest.Faults{Latency: 2 * time.Second})
			clienttest.Write(t, c, "1", "2")
			rotated := make(chan error, 1)
			go func() { rotated <- c.Rotate(t.Context()) }()
			time.Sleep(time.Second)
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Errorf("resend %d: Close = %v", resend, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("Close took %v, more than CloseTimeout", took)
			}
			if err := <-rotated; err != nil && !errors.Is(err, apigws.ErrClosed) {
				t.Errorf("Rotate = %v", err)
			}
			clienttest.Equal(t, "received", clienttest.Received(gw), []string{"1", "2"})
			if s := c.Stats(); s.Rotations != 0 || s.Generation != 1 {
				t.Errorf("stats: %+v, want no rotation", s)
			}
			// What the next one has brought is not lost, although it was never opened.
			if got := clienttest.Read(t, c); got != "early" {
				t.Errorf("Read = %q, want what came on the next connection", got)
			}
		})
	}
}

// A Write that waits behind others on the old connection when a rotation begins goes to the next
// one, although the old one takes more by then: nothing may follow the PING of the handover.
func TestRotationTakesWaitingWritesAlong(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		old := clienttest.Only(t, gw)
		old.FreezeIn(true) // the path holds 64 KiB, and then takes no more
		var writers sync.WaitGroup
		for _, msg := range []string{strings.Repeat("a", 100<<10), strings.Repeat("b", 100<<10), "c"} {
			writers.Go(func() { clienttest.Write(t, c, msg) })
			synctest.Wait() // a is under way, b in the next batch, which is full with it, c waits
		}
		writers.Go(func() { clienttest.Rotate(t, c) })
		clienttest.Sleep(time.Second)
		old.FreezeIn(false)
		writers.Wait()
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v", err)
		}
		all := gw.AllConns()
		if n := len(all[0].Received()); n != 2 {
			t.Errorf("%d messages came on the old connection, want 2", n)
		}
		clienttest.Equal(t, "on the next", clienttest.Texts(all[1]), []string{"c"})
	})
}

// A message for which the gateway closes the old connection during the handover is given up as
// after any other loss: the next connection does not get it.
func TestRotationRefusedAtTheBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newRawPeer()
		c := newRaw(t, peer, &apigws.Options{Resend: 1 << 10})
		peer.do(func() { peer.conns[0].silent = true })
		clienttest.Write(t, c, "bad")
		time.AfterFunc(time.Second, func() { // the handover waits for a PONG
			peer.do(func() { peer.conns[0].out.Write([]byte{0x88, 2, 1009 >> 8, 1009 & 0xff}) })
		})
		start := time.Now()
		clienttest.Rotate(t, c)
		if took := time.Since(start); took < time.Second {
			t.Errorf("the handover took %v: it has not waited for the PONG", took)
		}
		var closed *apigws.CloseError
		if err := c.Flush(t.Context()); !errors.As(err, &closed) || closed.Code != 1009 {
			t.Errorf("Flush = %v, want the 1009", err)
		}
		peer.do(func() { clienttest.Equal(t, "on the next", peer.conns[1].texts, nil) })
		if left := c.Unconfirmed(); len(left) != 1 || string(left[0]) != "bad" {
			t.Errorf("Unconfirmed = %q", left)
		}
	})
}

// Close and the end of an attempt to rotate that fall together leave no connection behind.
func TestCloseAtTheInstantOfARotation(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			peer := newRawPeer()
			c := newRaw(t, peer, &apigws.Options{OnConnect: func(_ context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 2 {
					time.Sleep(time.Second)
				}
				return nil
			}})
			go c.Rotate(t.Context())
			time.Sleep(time.Second)
			c.Close()
			peer.do(func() {
				for i, conn := range peer.conns {
					if !conn.closed {
						t.Errorf("connection %d is left", i+1)
					}
				}
			})
		})
	}
}
