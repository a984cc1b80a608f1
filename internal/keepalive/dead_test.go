package keepalive

import (
	"math"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
)

const longest = time.Duration(math.MaxInt64)

// When the connection counts as dead, and that Next leads there. With Resend a PONG that never
// comes ends it although other frames come, also with the keepalive disabled: it would hold up the
// window for ever.
func TestDead(t *testing.T) {
	var (
		resend         = with(func(c *Config) { c.Resend = true })
		disabled       = with(func(c *Config) { c.Disabled = true })
		disabledResend = with(func(c *Config) { c.Disabled, c.Resend = true, true })
		never          time.Time
	)
	for _, test := range []struct {
		what   string
		cfg    Config
		health session.Health
		want   time.Time
	}{
		{"no PING", defaults, session.Health{}, never},
		{"no PING, Resend", resend, session.Health{}, never},
		{"no PING, disabled, Resend", disabledResend, session.Health{}, never},
		{"silence", defaults, session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"silence, Resend", resend, session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"silence after the newest of many PINGs", defaults, session.Health{Oldest: at(0), Silent: at(60)}, at(70)},
		{"silence after the newest of many PINGs, Resend", resend, session.Health{Oldest: at(0), Silent: at(60)}, at(65)},
		{"Timeout is an option", with(func(c *Config) { c.Timeout = 3 * time.Second }),
			session.Health{Oldest: at(1), Silent: at(2)}, at(5)},
		{"frames come", defaults, session.Health{Oldest: at(1)}, never},
		{"frames come, Resend", resend, session.Health{Oldest: at(1)}, at(66)},
		{"disabled", disabled, session.Health{Oldest: at(1), Silent: at(2)}, never},
		{"disabled, frames come", disabled, session.Health{Oldest: at(1)}, never},
		{"disabled, Resend", disabledResend, session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"disabled, Resend, frames come", disabledResend, session.Health{Oldest: at(1)}, at(66)},
		{"the reader waits", defaults, session.Health{Silent: at(2), Blocked: true}, never},
		{"the reader waits, Resend", resend, session.Health{Oldest: at(1), Silent: at(2), Blocked: true}, never},
		{"bytes get through", defaults, session.Health{Silent: at(2), Carried: at(5)}, at(15)},
		{"bytes got through before", defaults, session.Health{Silent: at(5), Carried: at(2)}, at(15)},
		{"bytes get through, Resend", resend, session.Health{Oldest: at(2), Silent: at(2), Carried: at(5)}, at(15)},
		{"bytes get through for long, Resend", resend,
			session.Health{Oldest: at(1), Silent: at(50), Carried: at(60)}, at(66)},
		{"bytes get through, the reader has waited", defaults,
			session.Health{Silent: at(2), Freed: at(4), Carried: at(5)}, at(15)},
		{"bytes got through, the reader has waited", defaults,
			session.Health{Silent: at(2), Freed: at(5), Carried: at(4)}, at(15)},
		{"the reader has waited", defaults, session.Health{Silent: at(2), Freed: at(5)}, at(15)},
		{"the reader has waited, Resend", resend, session.Health{Oldest: at(1), Freed: at(5)}, at(70)},
		{"the reader had waited before", defaults, session.Health{Silent: at(2), Freed: at(1)}, at(12)},
		{"the reader had waited before, Resend", resend, session.Health{Oldest: at(2), Freed: at(1)}, at(67)},

		{"endless Interval, frames come, Resend",
			with(func(c *Config) { c.Interval, c.Disabled, c.Resend = longest, true, true }),
			session.Health{Oldest: at(1)}, never},
		{"endless Interval, silence, Resend",
			with(func(c *Config) { c.Interval, c.Disabled, c.Resend = longest, true, true }),
			session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"endless Timeout", with(func(c *Config) { c.Timeout = longest }), session.Health{Silent: at(2)}, never},
		{"endless both, Resend", with(func(c *Config) { c.Interval, c.Timeout, c.Resend = longest, longest, true }),
			session.Health{Oldest: at(1)}, never},
	} {
		equal(t, test.what+": dead", first(t, newKeeper(test.cfg), test.health, 1, dead), test.want)
		if !test.want.IsZero() {
			k := newKeeper(test.cfg)
			if d := k.Tick(inTime(test.want.Add(-1), test.health, 1)); d.Dead || d.Next > 1 {
				t.Errorf("%s: %+v a moment too early, want a tick in 1ns", test.what, d)
			}
			if d := k.Tick(inTime(test.want, test.health, 1)); d != (Decision{Dead: true}) {
				t.Errorf("%s: %+v, want nothing but Dead", test.what, d)
			}
		}
		if test.want.IsZero() && newKeeper(test.cfg).Tick(inTime(at(1e7), test.health, 1)).Dead {
			t.Errorf("%s: dead after months", test.what)
		}
	}
}

// A process that was stopped finds a PING unanswered that was answered meanwhile. Its first tick
// after that, and those that follow at once, conclude nothing; the reader then has had its turn.
func TestLateTicksConcludeNothing(t *testing.T) {
	k := newKeeper(defaults)
	unanswered := session.Health{Heard: at(0), Pinged: at(0), Oldest: at(0), Silent: at(0)}
	for _, test := range []struct {
		now, due float64       // in seconds
		next     time.Duration // 0: dead
	}{
		{9, 10, time.Second},
		{10, 10, 0},           // in time
		{11, 10, 0},           // late by what a busy machine is late by
		{60, 10, time.Second}, // the process was stopped
		{60, 61, time.Second}, // a message was written
		{60.5, 61, time.Second / 2},
		{61, 61, 0},            // the reader has had its turn
		{200, 62, time.Second}, // stopped again
		{200.9, 201, time.Second / 10},
		{202.5, 201, time.Second}, // late again: the reader may have had no turn
		{203.5, 203.5, 0},
		{211, 210, 0}, // long ago
		{211.000000001, 210, time.Second},
	} {
		m := inTime(at(test.now), unanswered, 1)
		m.Due = at(test.due)
		d := k.Tick(m)
		if d.Dead != (test.next == 0) || d.Next != test.next {
			t.Errorf("at %v, due at %v: %+v, want a tick in %v", test.now, test.due, d, test.next)
		}
	}
}

// Until the path has carried a PING there are many ticks, so that it is known when it has.
func TestTicksOnASlowPath(t *testing.T) {
	silent := session.Health{Heard: at(97), Pinged: at(98), Oldest: at(98), Silent: at(98), Unacknowledged: true}
	carrying, carried := silent, silent
	carrying.Carrying = true
	carried.Carried = at(98.9)
	for _, test := range []struct {
		what   string
		health session.Health // at 100s
		want   Decision
	}{
		{"the PING is under way", carrying, Decision{Next: time.Second}},
		{"it has arrived", carried, Decision{Next: secs(8)}}, // the next PING is due
		{"a PING follows messages", session.Health{Heard: at(45), Unacknowledged: true},
			Decision{Ping: true, Next: time.Second}},
		{"a PING follows silence", session.Health{Heard: at(45)}, Decision{Ping: true, Next: 10 * time.Second}},
		{"no PING is awaited", session.Health{Heard: at(99), Unacknowledged: true, Unfollowed: at(99), Carrying: true},
			Decision{Next: 9 * time.Second}},
	} {
		if d := newKeeper(defaults).Tick(inTime(at(100), test.health, 1)); d != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, d, test.want)
		}
	}
}

// A late tick does what is due: it is only the peer of whom it concludes nothing.
func TestLateTicksSend(t *testing.T) {
	k := newKeeper(with(func(c *Config) { c.Message = true }))
	k.Tick(inTime(at(0), session.Health{}, 1))
	m := inTime(at(300), session.Health{Heard: at(0), Data: at(0)}, 1)
	m.Due = at(10)
	if d := k.Tick(m); !d.Ping || !d.Message || d.Next != 10*time.Second {
		t.Errorf("%+v, want a PING, a message, and a tick in 10s", d)
	}
	// A deadline that is far away stays where it is.
	k = newKeeper(defaults)
	m = inTime(at(60), session.Health{Heard: at(58), Silent: at(55)}, 1)
	m.Due = at(50)
	if d := k.Tick(m); d.Next != 5*time.Second {
		t.Errorf("%+v, want a tick in 5s", d)
	}
}
