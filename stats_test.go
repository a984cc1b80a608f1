package apigws_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Stats tells since when the client is in its state, and since when its connection is open: zero
// while there is none.
func TestStatsOfStates(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		start := time.Now()
		at := func(what string, c *apigws.Client, state apigws.State, since, opened time.Duration) {
			t.Helper()
			s := c.Stats()
			if opened < 0 && !s.Opened.IsZero() || opened >= 0 && s.Opened.Sub(start) != opened {
				t.Errorf("%s: opened %v after the start, want %v", what, s.Opened.Sub(start), opened)
			}
			if s.State != state || s.Since.Sub(start) != since {
				t.Errorf("%s: %v since %v, want %v since %v", what, s.State, s.Since.Sub(start), state, since)
			}
		}
		const s, none = time.Second, -1
		gw.Hold(true)
		c := clienttest.New(t, gw, &apigws.Options{Reconnect: clienttest.Every(5 * s)})
		clienttest.Sleep(s)
		at("the first handshake", c, apigws.StateConnecting, 0, none)
		gw.Hold(false)
		clienttest.Sleep(s)
		at("open", c, apigws.StateOpen, s, s)
		clienttest.Rotate(t, c)
		clienttest.Sleep(s)
		at("rotated", c, apigws.StateOpen, s, 2*s)
		clienttest.Sleep(17 * s)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(s)
		at("backoff", c, apigws.StateBackoff, 20*s, none)
		clienttest.Sleep(9 * s)
		at("back", c, apigws.StateOpen, 25*s, 25*s)
		c.Close()
		at("closed", c, apigws.StateClosed, 30*s, none)
	})
}

// A connection that is lost during a rotation: the state is connecting until the rotation brings
// the next one, without a wait.
func TestStatesOfALossDuringARotation(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note})
		gw.Hold(true)
		go c.Rotate(t.Context())
		clienttest.Sleep(time.Second)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Second)
		clienttest.InState(t, c, apigws.StateConnecting)
		gw.Hold(false)
		clienttest.Sleep(time.Second)
		var states []apigws.State
		for _, change := range j.All() {
			states = append(states, change.To)
		}
		o := apigws.StateOpen
		clienttest.Equal(t, "states", states, []apigws.State{o, apigws.StateConnecting, o})
		if err := j.All()[1].Err; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("it is connecting because of %v, want the loss", err)
		}
	})
}

// Unproven counts what no PONG has acknowledged: on the connection, and with Resend also while
// there is none.
func TestStatsOfUnproven(t *testing.T) {
	for _, resend := range []int{0, 1000} {
		clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
			c := clienttest.Dial(t, gw, &apigws.Options{Resend: resend, Reconnect: clienttest.Every(time.Minute)})
			unproven := func(want int) {
				t.Helper()
				if got := c.Stats().Unproven; got != want {
					t.Errorf("Resend %d: %d messages are unproven, want %d", resend, got, want)
				}
			}
			clienttest.Only(t, gw).FreezeIn(true)
			clienttest.Write(t, c, "1", "2", "3")
			unproven(3)
			clienttest.Only(t, gw).FreezeIn(false)
			if err := c.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			unproven(0)
			clienttest.Only(t, gw).FreezeIn(true)
			clienttest.Write(t, c, "4", "5")
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Second)
			if resend == 0 {
				unproven(0) // they are unconfirmed now
			} else {
				unproven(2)
			}
		})
	}
}
