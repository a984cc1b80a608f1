package keepalive

import (
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// How soon the clocks are looked at again while nothing else is due.
func TestLooks(t *testing.T) {
	var (
		resend   = with(func(c *Config) { c.Resend = true })
		disabled = with(func(c *Config) { c.Disabled = true })
		slow     = with(func(c *Config) { c.Disabled, c.Timeout = true, longest })
		short    = with(func(c *Config) { c.Disabled, c.Interval = true, 4*time.Second })
	)
	for _, test := range []struct {
		cfg     Config
		clients int64
		now     float64
		next    float64
	}{
		// The looks of all clients fall on the same instants.
		{defaults, 1, 0, 10},
		{defaults, 1, 3, 7},
		{defaults, 1, 9.75, 0.25},
		{defaults, 1, 10, 10},
		{disabled, 1, 3, 7},
		// Many look less often.
		{defaults, Many - 1, 3, 7},
		{defaults, Many, 3, 17},
		{defaults, Many, 13, 7},
		{defaults, 2*Many - 1, 3, 17},
		{defaults, 2 * Many, 3, 27},
		{disabled, 2 * Many, 3, 27},
		{resend, 2 * Many, 3, 7},
		// But each Interval.
		{disabled, 5 * Many, 0, 55},
		{disabled, 5 * Many, 10, 50},
		{short, 1, 0, 4},
		{short, 1, 7, 3},
		// A Timeout for ever.
		{slow, 1, 3, 55},
		{slow, 2 * Many, 3, 55},
		{slow, 1 << 62, 3, 55},
		{disabled, 1 << 62, 3, 55},
	} {
		now := at(test.now)
		d := newKeeper(test.cfg).Tick(inTime(now, session.Health{Heard: now}, test.clients))
		if d != (Decision{Next: secs(test.next)}) {
			t.Errorf("Timeout %v, %d clients, at %vs: %+v, want nothing but a tick in %vs",
				test.cfg.Timeout, test.clients, test.now, d, test.next)
		}
	}
}

// A Timeout after each PING there is a tick, however seldom the clocks are looked at.
func TestLookAtThePong(t *testing.T) {
	d := newKeeper(defaults).Tick(inTime(at(61), session.Health{Heard: at(1)}, 5*Many))
	if d != (Decision{Ping: true, Next: 10 * time.Second}) {
		t.Errorf("%+v, want a PING and a tick in 10s", d)
	}
}

// A machine that was suspended between two ticks sends a PING as soon as it is noticed, unless one
// is awaited.
func TestSuspended(t *testing.T) {
	var (
		disabled = with(func(c *Config) { c.Disabled = true })
		heard    = session.Health{Heard: at(90)}
		awaited  = session.Health{Heard: at(90), Pinged: at(95), Oldest: at(95), Silent: at(95)}
		blocked  = session.Health{Heard: at(90), Pinged: at(95), Oldest: at(95), Silent: at(95), Blocked: true}
		lost     = session.Health{Heard: at(20), Pinged: at(75), Oldest: at(75), Silent: at(75)}
	)
	for _, test := range []struct {
		what   string
		cfg    Config
		health session.Health
		jumps  []time.Duration // of the wall clock, before each tick
		asleep time.Duration
		want   Decision // at the last tick
	}{
		{"never", defaults, heard, []time.Duration{0, 0}, 0, Decision{Next: secs(9)}},
		{"too short to tell", defaults, heard, []time.Duration{secs(10) - 1}, 0, Decision{Next: secs(10)}},
		{"a Timeout", defaults, heard, []time.Duration{secs(10)}, secs(10), Decision{Ping: true, Next: secs(10)}},
		{"hours", defaults, heard, []time.Duration{3 * time.Hour}, 3 * time.Hour, Decision{Ping: true, Next: secs(10)}},
		{"before the last tick", defaults, heard, []time.Duration{time.Hour, 0}, time.Hour, Decision{Next: secs(9)}},
		{"naps", defaults, heard, []time.Duration{time.Hour, 0, time.Minute}, time.Hour + time.Minute,
			Decision{Ping: true, Next: secs(8)}},
		{"a clock that is a little fast", defaults, heard, []time.Duration{secs(6), secs(6), secs(6)}, 0,
			Decision{Next: secs(8)}},
		{"a clock that was set back", defaults, heard, []time.Duration{-time.Hour}, 0, Decision{Next: secs(10)}},
		{"back and forth", defaults, heard, []time.Duration{time.Minute, -time.Hour, time.Minute}, 2 * time.Minute,
			Decision{Ping: true, Next: secs(8)}},
		{"a PING is awaited", defaults, awaited, []time.Duration{time.Hour}, time.Hour, Decision{Next: secs(5)}},
		{"the reader waits", defaults, blocked, []time.Duration{time.Hour}, time.Hour,
			Decision{Ping: true, Next: secs(10)}},
		{"disabled", disabled, heard, []time.Duration{time.Hour}, time.Hour, Decision{Next: secs(10)}},
		{"dead", defaults, lost, []time.Duration{time.Hour}, time.Hour, Decision{Dead: true}},
		{"a century", defaults, heard, []time.Duration{century + 1}, century, Decision{Ping: true, Next: secs(10)}},
		{"many centuries", defaults, heard, []time.Duration{longest, longest, longest}, century,
			Decision{Ping: true, Next: secs(8)}},
		{"centuries back", defaults, heard, []time.Duration{-longest, -longest}, 0, Decision{Next: secs(9)}},
	} {
		start := at(99)
		wall := start
		k := New(test.cfg, start, wall)
		var d Decision
		for i, jump := range test.jumps {
			m := inTime(at(100+float64(i)), test.health, 1)
			wall = wall.Add(time.Second).Add(jump)
			m.Wall = wall
			d = k.Tick(m)
		}
		if d != test.want || k.Asleep() != test.asleep {
			t.Errorf("%s: %+v after %v asleep, want %+v after %v", test.what, d, k.Asleep(), test.want, test.asleep)
		}
	}
}

// A wall clock that is wrong by more than a time.Duration can say makes no sum overflow.
func TestClockWrongByCenturies(t *testing.T) {
	for _, test := range []struct {
		years  int
		asleep time.Duration
	}{{400, century}, {-400, 0}} {
		k := newKeeper(defaults)
		m := inTime(at(1), session.Health{Heard: at(0)}, 1)
		m.Wall = m.Wall.AddDate(test.years, 0, 0)
		if d := k.Tick(m); d.Ping != (test.asleep > 0) || k.Asleep() != test.asleep {
			t.Errorf("%d years: %+v after %v asleep, want %v", test.years, d, k.Asleep(), test.asleep)
		}
	}
}

// The wall clock is compared without its monotonic reading, which stands still in a suspended
// machine, too.
func TestWallClockHasNoMonotonicReading(t *testing.T) {
	now := time.Now()
	k := New(defaults, now, now)
	if k.wall != now.Round(0) {
		t.Errorf("New keeps %v", k.wall)
	}
	k.Tick(inTime(now, session.Health{Heard: now}, 1))
	if k.wall != now.Round(0) {
		t.Errorf("Tick keeps %v", k.wall)
	}
}

// With settings up to the largest that there are, in any state of a session, the next tick is more
// than nothing and at most an Interval away, and nothing is sent that is disabled.
func TestNextIsInReason(t *testing.T) {
	durations := []time.Duration{1, time.Millisecond, 10 * time.Second, 55 * time.Second, longest/2 + 1, longest - 1, longest}
	instants := []time.Time{{}, at(0), at(40), at(99.5)}
	for i := range len(durations) * len(durations) * 8 * 256 * 3 {
		pick := func(n int) int { r := i % n; i /= n; return r }
		cfg := Config{
			Interval: durations[pick(len(durations))], Timeout: durations[pick(len(durations))],
			Message: pick(2) == 0, Disabled: pick(2) == 0, Resend: pick(2) == 0,
		}
		m := inTime(at(100), session.Health{
			Heard: at(50), Data: at(60),
			Pinged: instants[pick(4)], Oldest: instants[pick(4)], Silent: instants[pick(4)],
			Unfollowed: instants[pick(4)], Unacknowledged: true, Freed: at(10),
		}, []int64{1, Many, 1 << 62}[pick(3)])
		k := New(cfg, at(0), at(0))
		d := k.Tick(m)
		switch {
		case d.Dead:
			if cfg.Timeout > time.Minute+40*time.Second || d != (Decision{Dead: true}) {
				t.Fatalf("%+v in %+v: %+v", cfg, m, d)
			}
		case d.Next <= 0 || d.Next > cfg.Interval || cfg.Disabled && (d.Ping || d.Message):
			t.Fatalf("%+v in %+v: %+v", cfg, m, d)
		}
	}
}
