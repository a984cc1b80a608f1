package apigws_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A loss soon after a rotation meets a policy that has started over: the chain of connections has
// lived for Stable, although the last of them has not.
func TestLossSoonAfterARotation(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Doubling()})
		for _, wait := range []time.Duration{1, 2, 4, 8} { // the policy ages
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(wait * time.Second)
		}
		clienttest.Sleep(8 * time.Second)
		clienttest.Rotate(t, c)
		clienttest.Sleep(3 * time.Second) // 11 s after the chain began
		for _, conn := range gw.Conns() { // the old one is still read
			conn.Drop()
		}
		clienttest.Sleep(time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Only(t, gw).Drop() // but a loss begins another chain
		clienttest.Sleep(2 * time.Second)
		s := time.Second
		clienttest.Equal(t, "waits", j.Waits(), []time.Duration{s, 2 * s, 4 * s, 8 * s, s, 2 * s})
	})
}

// Each rotation has a policy of its own: one that was asked for and refused after many attempts
// leaves nothing to the one that comes by age, and that one grows rarer from the beginning.
func TestRefusedRotateLeavesNothingBehind(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var attempts []time.Duration
		start := time.Now()
		opts := &apigws.Options{
			Reconnect: clienttest.Doubling(),
			Prepare: func(*http.Request) error {
				attempts = append(attempts, time.Since(start))
				return nil
			},
		}
		opts.Reconnect.RotateAfter = time.Hour
		c := clienttest.Dial(t, gw, opts)
		gw.Refuse(503, 4)
		go func() {
			clienttest.Sleep(10 * time.Second)
			gw.Refuse(404, 1)
		}()
		var refused *apigws.HandshakeError
		if err := c.Rotate(t.Context()); !errors.As(err, &refused) || refused.StatusCode != 404 {
			t.Fatalf("Rotate = %v, want the 404", err)
		}
		gw.Refuse(503, -1)
		clienttest.Sleep(time.Hour) // 15 s of which were the Rotate's
		gw.Refuse(404, -1)
		clienttest.Sleep(90 * time.Second)
		m, s := time.Hour, time.Second
		clienttest.Equal(t, "attempts", attempts, []time.Duration{0,
			0, 1 * s, 3 * s, 7 * s, 15 * s, // of Rotate
			m, m + 1*s, m + 3*s, m + 7*s, m + 15*s, // by age, until the first refusal that is worth no retry
			m + 31*s, m + 32*s, m + 34*s, m + 38*s, m + 46*s, m + 62*s, m + 92*s, // and by another between such refusals
		})
	})
}

// Generation is that of the connection in use, however many rotations have failed.
func TestGenerationWhileRotationsFail(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)}
		opts.OnConnect = func(_ context.Context, conn *apigws.Conn) error {
			if n := conn.Generation(); n > 1 && n < 12 {
				return errors.New("not yet")
			}
			return nil
		}
		c := clienttest.Dial(t, gw, opts)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		clienttest.Sleep(5 * time.Second)
		if got := c.Stats().Generation; got != 1 || gw.Stats().Accepted < 5 {
			t.Errorf("generation %d after %d failed rotations, want 1", got, gw.Stats().Accepted-1)
		}
		if err := <-rotated; err != nil {
			t.Fatal(err)
		}
		clienttest.Sleep(0)
		if got := c.Stats().Generation; got != 12 {
			t.Errorf("generation %d after the rotation, want 12", got)
		}
		for i, s := range j.All() {
			if want := min(1+11*i, 12); s.Generation != want {
				t.Errorf("change %d is %+v, want generation %d", i, s, want)
			}
		}
	})
}

// Close during a rotation whose OnConnect does not listen to its context ends the sound connection
// at once and in good order; it waits for the hook only afterwards.
func TestCloseDuringARotationThatHangs(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(_ context.Context, conn *apigws.Conn) error {
			if conn.Generation() == 2 {
				time.Sleep(time.Minute)
			}
			return nil
		}})
		old := clienttest.Only(t, gw)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		synctest.Wait()
		clienttest.Write(t, c, "the last")
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		clienttest.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if code, reason, err := old.Wait(ctx); code != 1000 || err != nil {
			t.Errorf("the sound connection has ended with %d %q, %v; want 1000", code, reason, err)
		}
		clienttest.Equal(t, "received", clienttest.Texts(old), []string{"the last"})
		start := time.Now()
		if err := <-closed; err != nil {
			t.Errorf("Close = %v", err)
		}
		if took := time.Since(start); took < 50*time.Second {
			t.Errorf("Close returned %v after the handshake, before the hook", took)
		}
		if err := <-rotated; !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Rotate = %v", err)
		}
	})
}

// A client that ends for good during a rotation answers the calls of Rotate.
func TestRotateWhenTheClientEnds(t *testing.T) {
	for _, test := range []string{"refused", "Retry says no"} {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			var j clienttest.Journal
			opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)}
			if test == "Retry says no" {
				opts.Reconnect.Retry = func(error) bool { return false }
			}
			c := clienttest.Dial(t, gw, opts)
			gw.Hold(true)
			rotated := make(chan error, 1)
			go func() { rotated <- c.Rotate(t.Context()) }()
			clienttest.Sleep(time.Second)
			gw.Refuse(404, -1)
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Second)
			gw.Hold(false)
			select {
			case err := <-rotated:
				if err == nil {
					t.Errorf("%s: Rotate = nil", test)
				}
			case <-time.After(time.Minute):
				t.Errorf("%s: Rotate has not returned", test)
			}
			<-c.Done()
			if last := j.All(); test == "Retry says no" && len(last) != 2 {
				t.Errorf("states %+v, want open and closed: nothing more is tried", last)
			}
		})
	}
}

// A connection that is lost while a rotation waits between two attempts is replaced as any other:
// with the client's policy, and with every attempt told to OnState and the logger. The call of
// Rotate gets what comes of it.
func TestLossWhileARotationKeepsFailing(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		var log bytes.Buffer
		c := clienttest.Dial(t, gw, &apigws.Options{
			OnState:   j.Note,
			Logger:    slog.New(slog.NewTextHandler(&log, nil)),
			Reconnect: clienttest.Doubling(),
		})
		gw.Refuse(503, -1)
		rotated := make(chan error, 1)
		go func() { rotated <- c.Rotate(t.Context()) }()
		clienttest.Sleep(8 * time.Second) // after 0, 1, 3 and 7 s
		if n := strings.Count(log.String(), `"rotation failed"`); n != 4 {
			t.Errorf("%d failures of the rotation were logged, want 4:\n%v", n, &log)
		}
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(20 * time.Second)
		clienttest.InState(t, c, apigws.StateBackoff)
		s := time.Second
		clienttest.Equal(t, "waits", j.Waits(), []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s})
		ctx, cancel := context.WithTimeout(t.Context(), s)
		defer cancel()
		var refused *apigws.HandshakeError
		if err := c.Ready(ctx); !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Ready = %v, want the 503", err)
		}
		gw.Refuse(503, 0)
		if err := <-rotated; err != nil {
			t.Errorf("Rotate = %v", err)
		}
		clienttest.InState(t, c, apigws.StateOpen)
	})
}

// Calls of Rotate whose contexts end while no connection can be had leave nothing behind.
func TestRotateInVainLeavesNothing(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		gw.Hold(true)
		calls := func(n int) {
			for range n {
				ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
				if err := c.Rotate(ctx); err == nil {
					t.Fatal("Rotate = nil without a connection")
				}
				cancel()
			}
		}
		calls(1)
		before := heap()
		calls(10_000)
		if grown := heap() - before; grown > 500_000 {
			t.Errorf("10,000 calls of Rotate have left %d bytes", grown)
		}
	})
}

// A rotation by age that is refused is tried again as often as the policy says, and each failure is
// logged.
func TestRefusedRotationGivesUp(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var log bytes.Buffer
		opts := &apigws.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Reconnect: clienttest.Waits(time.Minute)}
		opts.Reconnect.RotateAfter = time.Hour
		c := clienttest.Dial(t, gw, opts)
		clienttest.Sleep(30 * time.Minute)
		gw.Refuse(404, -1)
		clienttest.Sleep(time.Hour)
		clienttest.InState(t, c, apigws.StateOpen)
		if n := c.Stats().Refused; n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
		c.Close()
		if n := strings.Count(log.String(), "rotation failed"); n != 2 {
			t.Errorf("%d failures are logged, want 2:\n%s", n, &log)
		}
	})
}
