// Package backoff_test uses the policies of each major version of cenkalti/backoff as
// Reconnect.Backoff. The interface BackOff and the value of Stop are the same in all of them, so a
// policy of v5, v6 or v7 is assigned as it is; the result type of the function is that of v4, the
// version that apigws requires.
package backoff_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/cenkalti/backoff/v4"
	backoff5 "github.com/cenkalti/backoff/v5"
	backoff6 "github.com/cenkalti/backoff/v6"
	backoff7 "github.com/cenkalti/backoff/v7"
)

// policies are the exponential policies, as a user of that version writes them.
var policies = map[string]func() backoff.BackOff{
	"v4": func() backoff.BackOff {
		// v4's stops after 15 minutes by default, later versions leave that to their Retry.
		return backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0))
	},
	"v5": func() backoff.BackOff { return backoff5.NewExponentialBackOff() },
	"v6": func() backoff.BackOff { return backoff6.NewExponentialBackOff() },
	"v7": func() backoff.BackOff { return backoff7.NewExponentialBackOff() },
}

// TestExponential has the gateway refuse 40 attempts, which takes about half an hour: the waits are
// those that the documentation of ExponentialBackOff has in its table, and none is the last.
func TestExponential(t *testing.T) {
	for version, policy := range policies {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := gatewaytest.NewInMemory(nil)
				defer gw.Close()
				gw.Refuse(http.StatusServiceUnavailable, 3)
				var attempts []time.Time
				c, err := apigws.New(gw.URL, &apigws.Options{
					HTTPClient: gw.Client(),
					Reconnect:  apigws.Reconnect{Backoff: policy},
					Prepare: func(*http.Request) error {
						attempts = append(attempts, time.Now())
						return nil
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // longer than Stable: the policy starts over
				attempts = nil
				const refused = 40
				gw.Refuse(http.StatusServiceUnavailable, refused)
				lost := time.Now()
				gw.Conns()[0].Drop()
				time.Sleep(time.Hour)
				synctest.Wait()
				if len(attempts) != refused+1 {
					t.Fatalf("%d attempts, want %d", len(attempts), refused+1)
				}
				interval := 500 * time.Millisecond
				for i, at := range attempts {
					wait := at.Sub(lost)
					if low, high := interval/2, interval*3/2+time.Millisecond; wait < low || wait > high {
						t.Errorf("wait %d: %v, want %v to %v", i+1, wait, low, high)
					}
					interval = min(interval*3/2, time.Minute)
					lost = at
				}
				if state := c.Stats().State; state != apigws.StateOpen {
					t.Errorf("%v", state)
				}
			})
		})
	}
}

// TestStop has each version's policy without retries end the client at the first lost connection.
func TestStop(t *testing.T) {
	for version, policy := range map[string]backoff.BackOff{
		"v4": &backoff.StopBackOff{},
		"v5": &backoff5.StopBackOff{},
		"v6": &backoff6.StopBackOff{},
		"v7": &backoff7.StopBackOff{},
	} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := gatewaytest.NewInMemory(nil)
				defer gw.Close()
				c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{
					HTTPClient: gw.Client(),
					Reconnect:  apigws.Reconnect{Backoff: func() backoff.BackOff { return policy }},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				gw.Conns()[0].Drop()
				<-c.Done()
				if c.Err() == nil {
					t.Error("ended without an error")
				}
			})
		})
	}
}
