package keepalive

import (
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// opened is when the connections of these tests are opened: on a full minute, so that looks at the
// clocks fall on round numbers.
var opened = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at returns the instant that many seconds after opened.
func at(seconds float64) time.Time { return opened.Add(secs(seconds)) }

func secs(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// defaults are those of the client.
var defaults = Config{Interval: 55 * time.Second, Timeout: 10 * time.Second}

// with returns the defaults, changed by f.
func with(f func(*Config)) Config {
	cfg := defaults
	f(&cfg)
	return cfg
}

// newKeeper returns a Keeper of a connection that was opened just now.
func newKeeper(cfg Config) *Keeper {
	k := New(cfg, opened, opened)
	return &k
}

// inTime is a tick at an instant for which it was due, on a machine that was never suspended.
func inTime(now time.Time, h session.Health, clients int64) Moment {
	return Moment{Now: now, Wall: now, Due: now, Health: h, Clients: clients}
}

// century stands for ever.
const century = 100 * 365 * 24 * time.Hour

// first calls Tick, again and again when Next says so, from opened on, while the session has
// nothing new, and returns when a decision is first as wanted. It is zero if none is in many ticks
// or in a century.
func first(t *testing.T, k *Keeper, h session.Health, clients int64, wanted func(Decision) bool) time.Time {
	t.Helper()
	now := opened
	for n := 0; n < 100 && now.Sub(opened) < century; n++ {
		d := k.Tick(inTime(now, h, clients))
		if wanted(d) {
			return now
		}
		if d.Next <= 0 {
			t.Fatalf("at %v the next tick is due in %v", now.Sub(opened), d.Next)
		}
		now = now.Add(d.Next)
	}
	return time.Time{}
}

func pings(d Decision) bool    { return d.Ping }
func messages(d Decision) bool { return d.Message }
func dead(d Decision) bool     { return d.Dead }

// equal checks an instant; zero means never.
func equal(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) {
		t.Errorf("%s at %s, want %s", what, after(got), after(want))
	}
}

// after returns how long after opened an instant is.
func after(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.Sub(opened).String()
}
