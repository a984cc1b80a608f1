package apigws

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/keepalive"
)

// A laptop is a client on a machine that can be suspended: the wall clock goes
// on and the monotonic clock, with every timer, stands still.
type laptop struct {
	*Client
	gw    *gatewaytest.Server
	ahead atomic.Int64 // of the wall clock
	looks atomic.Int64 // at it
	last  atomic.Int64 // when it was last looked at
	spins atomic.Int64 // looks at one instant
	slow  atomic.Int64 // how long a look takes
}

// look counts a look at the wall clock: one for each step of the run loop. It ends a loop that does
// not sleep: time would stand still in its bubble.
func (l *laptop) look(t *testing.T) {
	l.looks.Add(1)
	now := time.Now().UnixNano()
	if l.last.Swap(now) != now {
		l.spins.Store(0)
	}
	if l.spins.Add(1) > 1000 {
		t.Error("the run loop does not sleep")
		time.Sleep(time.Hour)
	}
	time.Sleep(time.Duration(l.slow.Load()))
}

// suspend lets the wall clock, and only that, go on. A negative d sets it back.
func (l *laptop) suspend(d time.Duration) { l.ahead.Add(int64(d)) }

// onLaptop runs f with a connected client.
func onLaptop(t *testing.T, opts Options, f func(t *testing.T, l *laptop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &laptop{gw: gatewaytest.NewInMemory(nil)}
		defer l.gw.Close()
		opts.HTTPClient = l.gw.Client()
		opts.wallClock = func() time.Time {
			l.look(t)
			return time.Now().Add(time.Duration(l.ahead.Load()))
		}
		var err error
		l.Client, err = Dial(t.Context(), l.gw.URL, &opts)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f(t, l)
	})
}

// live checks that the client is open on a connection of the given generation,
// and that this works.
func (l *laptop) live(t *testing.T, generation int) {
	t.Helper()
	synctest.Wait()
	if s := l.Stats(); s.State != StateOpen || s.Generation != generation {
		t.Errorf("the client is %v with connection %d, want open with %d", s.State, s.Generation, generation)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := l.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

// A connection that has outlived RotateAfter in a sleep is renewed when the
// clocks are next compared, which is at most one Timeout after waking.
func TestSuspendedPastTheLimitRotates(t *testing.T) {
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		time.Sleep(25 * time.Second) // between two beats
		l.suspend(3 * time.Hour)
		time.Sleep(10 * time.Second)
		l.live(t, 2)
		if s := l.Stats(); s.Rotations != 1 || s.LostTimeout+s.LostNetwork+s.LostClosed != 0 {
			t.Errorf("stats: %+v", s)
		}
		// The next one starts with an age of its own.
		time.Sleep(104 * time.Minute)
		l.live(t, 2)
		time.Sleep(7 * time.Minute)
		l.live(t, 3)
	})
}

// A rotation that is due after a sleep, and refused, is tried again after a wait, if at all.
func TestSuspendedPastTheLimitAndRefused(t *testing.T) {
	for want, policy := range map[int64]backoff.BackOff{
		1:  &backoff.StopBackOff{},
		11: backoff.NewConstantBackOff(time.Minute),
	} {
		opts := Options{Reconnect: Reconnect{Backoff: func() backoff.BackOff { return policy }}}
		onLaptop(t, opts, func(t *testing.T, l *laptop) {
			synctest.Wait()
			l.gw.Refuse(404, -1)
			l.suspend(3 * time.Hour)
			time.Sleep(10*time.Minute + 30*time.Second)
			if n := l.Stats().Refused; n != want {
				t.Errorf("%d attempts in ten minutes and a half, want %d", n, want)
			}
			l.live(t, 1)
		})
	}
}

// Sleep adds up: three naps of forty minutes make a connection old.
func TestNapsAddUp(t *testing.T) {
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		for range 2 {
			time.Sleep(time.Minute)
			l.suspend(40 * time.Minute)
		}
		time.Sleep(time.Minute)
		l.live(t, 1)
		l.suspend(40 * time.Minute)
		time.Sleep(10 * time.Second)
		l.live(t, 2)
	})
}

// A connection that died in a sleep is noticed within two Timeouts of waking:
// one until the clocks are compared and a PING goes out, one for its PONG.
func TestSuspendedAndDead(t *testing.T) {
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		time.Sleep(20*time.Second + 1) // a beat has just been
		conn := l.gw.Conns()[0]
		conn.Freeze(true)
		l.suspend(30 * time.Minute)
		time.Sleep(20*time.Second - 2)
		synctest.Wait()
		if s := l.Stats(); s.LostTimeout != 0 {
			t.Errorf("noticed too early: %+v", s)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if s := l.Stats(); s.LostTimeout != 1 {
			t.Errorf("not noticed within two Timeouts: %+v", s)
		}
		time.Sleep(time.Second)
		l.live(t, 2)
		conn.Freeze(false)
	})
}

// Woken late in the interval of beats, the client notices within little more
// than one Timeout.
func TestSuspendedAndDeadBeforeABeat(t *testing.T) {
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		time.Sleep(30*time.Second - 1)
		conn := l.gw.Conns()[0]
		conn.Freeze(true)
		l.suspend(30 * time.Minute)
		time.Sleep(10*time.Second + 2)
		synctest.Wait()
		if s := l.Stats(); s.LostTimeout != 1 {
			t.Errorf("not noticed: %+v", s)
		}
		conn.Freeze(false)
	})
}

// A clock that is set, by a user or by NTP, kills nothing: forward looks like a sleep and costs a
// rotation if it was far; backward costs nothing. One PING is that of the message.
func TestClockThatIsSet(t *testing.T) {
	for _, test := range []struct {
		jump       time.Duration
		pings      int   // half a minute later
		generation int   // then
		rotations  int64 // 90 minutes after that
	}{
		{9 * time.Second, 1, 1, 0}, // below Timeout it is not even noticed
		{time.Hour, 1, 1, 1},
		{24 * time.Hour, 1, 2, 1},
		{-9 * time.Second, 1, 1, 0},
		{-time.Hour, 1, 1, 0},
		{-10 * 365 * 24 * time.Hour, 1, 1, 0},
	} {
		onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
			if err := l.Write(t.Context(), []byte("before")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			l.suspend(test.jump)
			time.Sleep(30 * time.Second)
			// A rotation sends one more, unless that of the jump has proven all.
			if n := l.gw.Stats().Pings; n < test.pings || n > test.pings+test.generation-1 {
				t.Errorf("jump %v: %d PINGs, want %d", test.jump, n, test.pings)
			}
			l.live(t, test.generation)
			if s := l.Stats(); s.LostTimeout+s.LostNetwork+s.LostClosed+s.Unconfirmed != 0 {
				t.Errorf("jump %v: %+v", test.jump, s)
			}
			if err := l.Flush(t.Context()); err != nil {
				t.Errorf("jump %v: Flush: %v", test.jump, err)
			}
			// And it does not disturb what follows.
			time.Sleep(90 * time.Minute)
			s := l.Stats()
			if s.LostTimeout+s.LostNetwork+s.LostClosed != 0 || s.Rotations != test.rotations {
				t.Errorf("jump %v, 90 minutes later: %+v", test.jump, s)
			}
		})
	}
}

// A process of thousands of clients looks at the clocks less often, but never
// less than each Interval, and it notices a dead path as soon as any other.
func TestManyClientsLookLessOften(t *testing.T) {
	looks := func(others int64) int64 {
		defer together(others)()
		var n int64
		onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
			synctest.Wait()
			if got := clients.Load(); got != others+1 {
				t.Errorf("%d clients are counted, want %d", got, others+1)
			}
			time.Sleep(time.Hour)
			n = l.looks.Load()

			time.Sleep(25 * time.Second)
			l.suspend(3 * time.Hour)
			time.Sleep(55 * time.Second)
			l.live(t, 2)

			conn := l.gw.Conns()[0]
			conn.Freeze(true)
			time.Sleep(65*time.Second + 1)
			synctest.Wait()
			if s := l.Stats(); s.LostTimeout != 1 {
				t.Errorf("with %d others, a dead path was not noticed: %+v", others, s)
			}
			conn.Freeze(false)
		})
		return n
	}
	// An hour has 65 PINGs, each with its deadline, and 360 Timeouts, of which
	// a process of many looks at every eleventh.
	if alone, many := looks(0), looks(10*keepalive.Many); alone < 360 || many > 3*66 {
		t.Errorf("alone the clocks are looked at %d times an hour, with many %d times", alone, many)
	}
}

// together lets the process have so many more clients until the function that
// it returns is called.
func together(others int64) (apart func()) {
	clients.Add(others)
	return func() { clients.Add(-others) }
}

// The PINGs and messages of many clients, opened within the same second, leave
// at the same instant: never later than they are due, and at most a fiftieth of
// Interval earlier. Those of few leave when they are due.
func TestManyClientsPingTogether(t *testing.T) {
	for _, test := range []struct {
		others int64
		first  time.Duration // when the first of ten PINGs comes, and the last
		last   time.Duration
	}{
		{0, 55*time.Second + 9*time.Millisecond, 55*time.Second + 90*time.Millisecond},
		{keepalive.Many, 55 * time.Second, 55 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			defer together(test.others)()
			gw := gatewaytest.NewInMemory(&gatewaytest.Config{
				Backend: func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) { return nil, nil },
			})
			defer gw.Close()
			start := time.Now()
			for range 10 {
				time.Sleep(9 * time.Millisecond)
				c, err := Dial(t.Context(), gw.URL, &Options{
					HTTPClient: gw.Client(),
					Keepalive:  Keepalive{Timeout: time.Second, Message: []byte("keep")},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			synctest.Wait()
			at := func(instant time.Duration, n int) {
				t.Helper()
				time.Sleep(time.Until(start.Add(instant)))
				synctest.Wait()
				if s := gw.Stats(); s.Pings != n || s.Messages != 10+n {
					t.Errorf("with %d others, %d PINGs and %d messages came until %v, want %d of each", test.others, s.Pings, s.Messages-10, instant, n)
				}
			}
			at(test.first-1, 0)
			if test.first == test.last {
				at(test.first+1, 10)
				return
			}
			at(test.first+1, 1)
			at(test.last-1, 9)
			at(test.last+1, 10)
		})
	}
}

// However seldom a process of many looks, a message is followed by a PING within Timeout: the first
// that no PING follows wakes who sends them.
func TestManyClientsFollowMessages(t *testing.T) {
	defer together(10 * keepalive.Many)()
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		time.Sleep(time.Second)
		before := l.gw.Stats().Pings
		if err := l.Write(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if got := l.gw.Stats().Pings - before; got != 1 {
			t.Errorf("%d PINGs within Timeout of a message, want 1", got)
		}
	})
}

// However short Interval and Timeout are, a client does not look at its clocks all the time.
func TestShortKeepaliveDoesNotSpin(t *testing.T) {
	onLaptop(t, Options{Keepalive: Keepalive{Interval: 1, Timeout: 1}}, func(t *testing.T, l *laptop) {
		time.Sleep(time.Millisecond)
		if n := l.looks.Load(); n > 100 {
			t.Errorf("the client has looked %d times in a millisecond", n)
		}
	})
}
