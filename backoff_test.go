package apigws_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// The waits are those of the policy, and Stop ends the client with the last
// failure.
func TestCustomBackoff(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Waits(3*time.Second, 0, 5*time.Second)})
		gw.Refuse(503, -1)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(8*time.Second - moment)
		if got := gw.Stats().Refused[503]; got != 2 {
			t.Errorf("%d attempts after 3 s and no wait, want 2", got)
		}
		clienttest.Sleep(2 * moment)
		if got := gw.Stats().Refused[503]; got != 3 {
			t.Errorf("%d attempts after 8 s, want 3", got)
		}
		if got := j.Waits(); !slices.Equal(got, []time.Duration{3 * time.Second, 5 * time.Second}) {
			t.Errorf("waits %v", got)
		}
		var refused *apigws.HandshakeError
		if err := c.Err(); !errors.As(err, &refused) || refused.StatusCode != 503 {
			t.Errorf("Err = %v, want the last failure", err)
		}
	})
}

// A policy that stops at once ends the client with what broke the connection.
func TestBackoffStops(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Waits()})
		clienttest.Only(t, gw).Close(1012, "")
		synctest.Wait()
		var closed *apigws.CloseError
		if err := c.Err(); !errors.As(err, &closed) || closed.Code != 1012 {
			t.Errorf("Err = %v", err)
		}
		gw.Refuse(500, -1)
		var refused *apigws.HandshakeError
		if _, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Reconnect: clienttest.Waits(time.Second)}); !errors.As(err, &refused) {
			t.Errorf("Dial: %v", err)
		}
		if got := gw.Stats().Refused[500]; got != 2 {
			t.Errorf("%d attempts, want 2", got)
		}
	})
}

// A server that accepts and drops at once sees growing waits: a connection
// counts as success only when it has been open for Stable.
func TestAcceptThenDrop(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Doubling()})
		for i := range 7 {
			synctest.Wait()
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(min(time.Second<<i, 30*time.Second))
		}
		seconds := func(ns ...time.Duration) []time.Duration {
			for i := range ns {
				ns[i] *= time.Second
			}
			return ns
		}
		if got, want := j.Waits(), seconds(1, 2, 4, 8, 16, 30, 30); !slices.Equal(got, want) {
			t.Errorf("waits %v, want %v", got, want)
		}

		// A moment less than Stable changes nothing, a moment more does.
		clienttest.Sleep(10*time.Second - moment)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(30 * time.Second)
		clienttest.Sleep(10*time.Second + moment)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		if got, want := j.Waits()[7:], seconds(30, 1); !slices.Equal(got, want) {
			t.Errorf("waits around Stable: %v, want %v", got, want)
		}
	})
}

func TestStableOption(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Doubling()}
		opts.Reconnect.Stable = time.Minute
		clienttest.Dial(t, gw, opts)
		for _, test := range []struct{ open, wait time.Duration }{
			{time.Minute - moment, time.Second},
			{time.Minute - moment, 2 * time.Second},
			{time.Minute + moment, time.Second},
		} {
			clienttest.Sleep(test.open)
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(test.wait)
		}
		if got := j.Waits(); !slices.Equal(got, []time.Duration{time.Second, 2 * time.Second, time.Second}) {
			t.Errorf("waits %v", got)
		}
	})
}

// The default waits are random, below a bound that grows from half a second
// to half a minute, and do not end. The first attempt is jittered too.
func TestDefaultBackoff(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note})
		gw.Refuse(503, -1)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(24 * time.Hour)
		clienttest.InState(t, c, apigws.StateBackoff)
		waits := j.Waits()
		bound, longest := 500*time.Millisecond, time.Duration(0)
		for i, wait := range waits {
			if wait <= 0 || wait > bound {
				t.Fatalf("wait %d is %v, want one up to %v", i, wait, bound)
			}
			bound = min(bound*5/3, 30*time.Second)
			longest = max(longest, wait)
		}
		// 86400 s in waits of 15 s on average: 5760. Their deviation is 8.7 s
		// each, so that 1 % is more than six deviations of the sum.
		if n := len(waits); n < 5300 || n > 6200 || longest < 29*time.Second {
			t.Errorf("%d waits in a day, the longest %v", n, longest)
		}
		gw.Refuse(0, 0)
		clienttest.Sleep(30 * time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
	})
}

// With Fleet, the first attempt after a break is spread over Fleet/500 s; what
// follows is the policy's.
func TestFleet(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Minute)}
		opts.Reconnect.Fleet = 10000 // 20 s
		c := clienttest.Dial(t, gw, opts)
		for range 200 {
			clienttest.Sleep(time.Minute)
			gw.Refuse(429, 1)
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(2 * time.Minute)
			clienttest.InState(t, c, apigws.StateOpen)
		}
		waits := j.Waits()
		if len(waits) != 400 {
			t.Fatalf("%d waits, want two for each break", len(waits))
		}
		least, most := time.Hour, time.Duration(0)
		for i := 0; i < len(waits); i += 2 {
			least, most = min(least, waits[i]), max(most, waits[i])
			if waits[i+1] != time.Minute {
				t.Errorf("second wait %v, want that of the policy", waits[i+1])
			}
		}
		// That 200 draws all miss the outer quarters has a chance of 1 in 10^24.
		if least < 0 || least > 5*time.Second || most < 15*time.Second || most > 20*time.Second {
			t.Errorf("first waits from %v to %v, want them all over 20 s", least, most)
		}
	})
}
