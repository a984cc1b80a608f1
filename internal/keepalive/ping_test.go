package keepalive

import (
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// When the next PING is due, and that Next leads there.
func TestPing(t *testing.T) {
	quick := with(func(c *Config) { c.Interval = 7 * time.Second })
	for _, test := range []struct {
		what   string
		cfg    Config
		health session.Health
		want   time.Time
	}{
		{"an Interval of silence", defaults, session.Health{Heard: at(0)}, at(55)},
		{"the Interval is an option", quick, session.Health{Heard: at(0)}, at(7)},
		{"the silence begins when something came last", defaults, session.Health{Heard: at(20)}, at(75)},
		{"a PING is not repeated before an Interval has passed", defaults,
			session.Health{Heard: at(0), Pinged: at(30)}, at(85)},
		{"what came after the PING counts", defaults, session.Health{Heard: at(31), Pinged: at(30)}, at(86)},
		{"messages say nothing", defaults, session.Health{Heard: at(0), Data: at(40)}, at(55)},
		{"a message that no PING follows", defaults,
			session.Health{Heard: at(0), Unacknowledged: true, Unfollowed: at(5)}, at(15)},
		{"a message behind a PING that is not answered", defaults,
			session.Health{Heard: at(0), Pinged: at(4), Unacknowledged: true, Unfollowed: at(9)}, at(14)},
		{"a message before a PING that is not answered", defaults,
			session.Health{Heard: at(0), Pinged: at(8), Unacknowledged: true}, at(18)},
		{"a message just before a PING is due", defaults,
			session.Health{Heard: at(0), Unacknowledged: true, Unfollowed: at(50)}, at(55)},
		{"messages whose PING was dropped", defaults, session.Health{Heard: at(0), Unacknowledged: true}, at(55)},
		{"messages that are acknowledged", defaults, session.Health{Heard: at(0), Pinged: at(1), Unfollowed: at(1)}, at(56)},
		{"Timeout is longer than Interval", with(func(c *Config) { c.Timeout = time.Hour }),
			session.Health{Heard: at(0), Unacknowledged: true, Unfollowed: at(1)}, at(55)},
		{"disabled", with(func(c *Config) { c.Disabled = true }),
			session.Health{Heard: at(0), Unacknowledged: true, Unfollowed: at(5)}, time.Time{}},
		{"disabled, Resend", with(func(c *Config) { c.Disabled, c.Resend = true, true }),
			session.Health{Heard: at(0), Unacknowledged: true, Unfollowed: at(5)}, time.Time{}},
	} {
		equal(t, test.what+": a PING", first(t, newKeeper(test.cfg), test.health, 1, pings), test.want)
	}
}

// A PING that was asked for may not have left yet: it is asked for again, but not at once.
func TestPingThatDoesNotLeave(t *testing.T) {
	k := newKeeper(defaults)
	for _, now := range []float64{55, 60, 70} {
		d := k.Tick(inTime(at(now), session.Health{Heard: at(0)}, 1))
		if !d.Ping || d.Next <= 0 {
			t.Errorf("at %vs: %+v, want a PING", now, d)
		}
	}
}

// A message is due at the first tick, and then an Interval after data last came or went.
func TestMessage(t *testing.T) {
	messaging := with(func(c *Config) { c.Message = true })
	k := newKeeper(messaging)
	opening := session.Health{Heard: at(0), Data: at(0)}
	if d := k.Tick(inTime(at(0), opening, 1)); d != (Decision{Message: true, Next: 10 * time.Second}) {
		t.Errorf("the first tick: %+v, want a message and the next tick in 10s", d)
	}
	if d := k.Tick(inTime(at(0), opening, 1)); d.Message {
		t.Error("the second tick brings another message")
	}
	for _, test := range []struct {
		what   string
		health session.Health
		want   time.Time
	}{
		{"without data", session.Health{Heard: at(0), Data: at(0)}, at(55)},
		{"PONGs are no data", session.Health{Heard: at(50), Data: at(0)}, at(55)},
		{"after data", session.Health{Heard: at(50), Data: at(20)}, at(75)},
	} {
		k := newKeeper(messaging)
		k.Tick(inTime(at(0), opening, 1))
		equal(t, test.what+": a message", first(t, k, test.health, 1, messages), test.want)
	}
	for what, cfg := range map[string]Config{
		"no message":           defaults,
		"disabled":             with(func(c *Config) { c.Message, c.Disabled = true, true }),
		"disabled with Resend": with(func(c *Config) { c.Message, c.Disabled, c.Resend = true, true, true }),
	} {
		equal(t, what+": a message", first(t, newKeeper(cfg), opening, 1, messages), time.Time{})
	}
}

// A connection whose OnConnect took long begins with both.
func TestFirstTickOfAnOldConnection(t *testing.T) {
	k := New(with(func(c *Config) { c.Message = true }), at(100), at(100))
	d := k.Tick(inTime(at(100), session.Health{Heard: at(0), Data: at(99)}, 1))
	if !d.Ping || !d.Message {
		t.Errorf("%+v, want a PING and a message", d)
	}
}

// Clients of a process of many send at the same instants: never later than it is due, and at most a
// fiftieth of Interval earlier.
func TestShare(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		clients  int64
		last     float64 // when anything came last
		want     float64 // when PING and message are sent
	}{
		{55 * time.Second, Many - 1, 0.123456789, 55.123456789},
		{55 * time.Second, Many, 0.123456789, 55},
		{55 * time.Second, Many, 0.999999999, 55},
		{55 * time.Second, Many, 1, 56},
		{55 * time.Second, 50 * Many, 1.5, 56},
		{50 * time.Second, Many, 0.9, 50}, // by less than a second, which is a fiftieth
		{49 * time.Second, Many, 0.99, 49.9},
		{6 * time.Second, Many, 0.99, 6.9},
		{2 * time.Second, Many, 0.999, 2.99},
		{300 * time.Millisecond, Many, 0.0009, 0.3},
		{300 * time.Millisecond, Many, 0.0019, 0.301},
	} {
		cfg := Config{Interval: test.interval, Timeout: time.Second, Message: true}
		health := session.Health{Heard: at(test.last), Data: at(test.last)}
		k := newKeeper(cfg)
		k.Tick(inTime(opened, health, test.clients)) // brings the first message
		d := k.Tick(inTime(at(test.want).Add(-1), health, test.clients))
		if d.Ping || d.Message || d.Next != 1 {
			t.Errorf("%+v: %+v a moment too early, want nothing and a tick in 1ns", test, d)
		}
		d = k.Tick(inTime(at(test.want), health, test.clients))
		if !d.Ping || !d.Message {
			t.Errorf("%+v: %+v, want both", test, d)
		}
	}
	// What proves that messages have arrived is not shared.
	unacknowledged := session.Health{Heard: at(0), Unacknowledged: true, Unfollowed: at(5.7)}
	equal(t, "the PING of a message", first(t, newKeeper(defaults), unacknowledged, Many, pings), at(15.7))
}

// What is shared is still measured with the monotonic clock: a wall clock that is set meanwhile
// moves nothing.
func TestSharedHasMonotonicReading(t *testing.T) {
	if due := newKeeper(defaults).share(time.Now(), Many); due == due.Round(0) {
		t.Errorf("%v is of the wall clock", due)
	}
}
