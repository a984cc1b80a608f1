// Package keepalive decides when an open connection needs a sign of life, and when it counts as
// dead. It holds the rules and nothing else: it reads no clock, sends nothing, waits for nothing,
// and knows no client. Its caller tells it the time and what the session knows of its peer, does
// what it answers, and calls again.
//
// # Rules
//
// A PING is due an Interval after anything was last received, and after the last PING that is not
// answered. While something written is not acknowledged, one is due a Timeout after the last PING
// that is not answered, or else after the first message that no PING follows.
//
// A keepalive message is due at the first tick, and an Interval after data last came or went.
//
// The connection is dead when nothing has come in for a Timeout after a PING was sent. With Resend,
// it is also dead a Timeout and an Interval after a PING was sent that is not answered, whatever
// else has come in: the peer is alive then, but a PONG that never comes would hold up the window
// for ever.
//
// On a slow path a PING waits behind the bytes before it. The Timeout begins anew whenever the
// peer's kernel acknowledges some of those, and at last the PING itself; the limit of Resend does
// not. What is acknowledged after that says nothing: the kernel of a peer that hangs takes what it
// is sent. That moment is known from ticks, so there are many until then.
//
// While the reader waits for a slow consumer, it sees no PONG, and the connection is not dead. When
// it goes on, the time starts anew.
//
// A tick that comes late concludes nothing: the process was frozen, and with it the reader, which
// has not seen yet what lies in the socket. Nor do the ticks after it until the reader has had its
// turn.
//
// The clocks are looked at each Timeout. When the wall clock has gone on and the monotonic clock
// has not, the machine was suspended, and a PING is due at once. Many clients look less often, and
// what they send leaves in few bursts.
package keepalive

import (
	"math"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// Many is how many clients a process has when they begin to save wake-ups: see share and untilLook.
const Many = 1000

// maxAsleep bounds Asleep, so that a wall clock that jumps by centuries makes no sum overflow.
const maxAsleep = 100 * 365 * 24 * time.Hour

// A Config says how a connection is kept alive.
type Config struct {
	Interval, Timeout time.Duration // more than 0

	Message  bool // keepalive messages are sent, too
	Disabled bool // nothing is sent

	// Resend says that a window holds messages until a PONG acknowledges them. The session then
	// sends PINGs of its own, also with Disabled.
	Resend bool
}

// A Moment is what is known at a tick.
type Moment struct {
	Now     time.Time      // with the reading of the monotonic clock
	Wall    time.Time      // the wall clock, which goes on while the machine is suspended
	Due     time.Time      // when this tick was due
	Health  session.Health // what the session knows of its peer
	Clients int64          // in this process
}

// A Decision is what is to be done at a tick.
type Decision struct {
	Dead    bool          // the connection is dead; nothing else is set
	Ping    bool          // send a PING
	Message bool          // send a keepalive message
	Next    time.Duration // until the next tick, at the latest; more than 0
}

// A Keeper decides for one connection. It must not be used concurrently.
type Keeper struct {
	cfg     Config
	begun   bool      // the first tick has asked for a keepalive message
	trusted time.Time // from when on silence says something: see untilDead

	now    time.Time     // at the last tick
	wall   time.Time     // at the last tick
	asleep time.Duration // see Asleep
}

// New returns a Keeper of a connection that is to be kept alive from now on.
func New(cfg Config, now, wall time.Time) Keeper {
	return Keeper{cfg: cfg, now: now, wall: wall.Round(0)}
}

// Asleep returns how long the machine was suspended between New and the last tick, as far as the
// clocks tell: a wall clock that was set forward looks the same.
func (k *Keeper) Asleep() time.Duration { return k.asleep }

// Tick decides what is to be done at a moment.
func (k *Keeper) Tick(m Moment) Decision {
	woke := k.readClocks(&m)
	untilDead, waiting := k.untilDead(&m)
	if waiting && untilDead <= 0 {
		return Decision{Dead: true}
	}
	d := Decision{Next: k.untilLook(&m)}
	if waiting {
		d.Next = min(d.Next, untilDead)
	}
	if k.cfg.Disabled {
		return d
	}

	untilPing := k.pingDue(&m).Sub(m.Now)
	d.Ping = untilPing <= 0 || woke && !waiting
	if d.Ping {
		d.Next = min(d.Next, k.cfg.Timeout) // to see whether the PONG has come
	} else {
		d.Next = min(d.Next, untilPing)
	}
	if d.Ping && m.Health.Unacknowledged || waiting && m.Health.Carrying {
		d.Next = min(d.Next, k.patience()) // to see when the path has carried the PING
	}
	if k.cfg.Message {
		untilMessage := k.share(m.Health.Data.Add(k.cfg.Interval), m.Clients).Sub(m.Now)
		d.Message = untilMessage <= 0 || !k.begun
		if !d.Message {
			d.Next = min(d.Next, untilMessage)
		}
		k.begun = true
	}
	return d
}

// readClocks reports whether the machine was suspended since the last tick. The monotonic clock
// stands still in a suspended machine, and with it every timer; the wall clock goes on. A wall
// clock that was set forward looks the same, so nothing is concluded from it but that a PING is due
// now.
func (k *Keeper) readClocks(m *Moment) (woke bool) {
	wall := m.Wall.Round(0) // without a monotonic reading, which Sub would use
	ahead := wall.Sub(k.wall.Add(m.Now.Sub(k.now)))
	k.now, k.wall = m.Now, wall
	if ahead < k.cfg.Timeout {
		return false
	}
	k.asleep = min(k.asleep+min(ahead, maxAsleep), maxAsleep)
	return true
}

// untilDead returns how long until the connection is dead if nothing changes; 0 or less if it is
// dead already. waiting is false if no PING is awaited that could tell. After a late tick, the
// deadline is at least a patience away, in which the reader has its turn; other ticks may come
// meanwhile.
func (k *Keeper) untilDead(m *Moment) (wait time.Duration, waiting bool) {
	patience := k.patience()
	if m.Now.Sub(m.Due) > patience {
		k.trusted = m.Now.Add(patience)
	}
	dead, waiting := k.deadline(&m.Health)
	if !waiting {
		return 0, false
	}
	if dead.Before(k.trusted) {
		dead = k.trusted
	}
	return dead.Sub(m.Now), true
}

// patience is how exactly a Timeout is kept.
func (k *Keeper) patience() time.Duration { return max(k.cfg.Timeout/10, 1) }

// deadline returns when the connection is dead if it stays silent and its kernel acknowledges
// nothing more, late ticks left aside.
func (k *Keeper) deadline(h *session.Health) (dead time.Time, waiting bool) {
	if h.Blocked || k.cfg.Disabled && !k.cfg.Resend {
		return time.Time{}, false
	}
	if !h.Silent.IsZero() {
		dead = later(later(h.Silent, h.Freed), h.Carried).Add(k.cfg.Timeout)
	}
	if k.cfg.Resend && !h.Oldest.IsZero() {
		// One by one: the sum of Timeout and Interval could overflow.
		limit := later(h.Oldest, h.Freed).Add(k.cfg.Timeout).Add(k.cfg.Interval)
		if dead.IsZero() || limit.Before(dead) {
			dead = limit
		}
	}
	return dead, !dead.IsZero()
}

// pingDue returns when the next PING is due.
func (k *Keeper) pingDue(m *Moment) time.Time {
	h := &m.Health
	due := k.share(later(h.Heard, h.Pinged).Add(k.cfg.Interval), m.Clients)
	if !h.Unacknowledged {
		return due
	}
	since := h.Pinged
	if since.IsZero() {
		since = h.Unfollowed
	}
	if soon := since.Add(k.cfg.Timeout); !since.IsZero() && soon.Before(due) {
		due = soon
	}
	return due
}

// share lets what many clients send leave in few bursts, because a process that sleeps in between
// pays more for each time it wakes than for a PING. It moves what is due to an instant at most a
// fiftieth of Interval earlier: the beginning of a second, or of a tenth or a hundredth of one.
func (k *Keeper) share(due time.Time, clients int64) time.Time {
	if clients < Many {
		return due
	}
	slot := time.Second
	for slot > k.cfg.Interval/50 {
		slot /= 10
	}
	return due.Add(-due.Sub(due.Truncate(slot)))
}

// untilLook returns how long until the clocks are to be looked at again. The looks of all clients
// of a process fall on the same instants, so that one wake-up serves them all: each Timeout, and
// less often in a process of many, which runs on no laptop: a Timeout more for each Many. With
// Resend a look is also how soon the PINGs of messages get a deadline, and comes each Timeout. It
// comes at least each Interval, lest the PING after the next one be late.
func (k *Keeper) untilLook(m *Moment) time.Duration {
	each := k.cfg.Timeout
	if !k.cfg.Resend {
		times := time.Duration(1 + m.Clients/Many)
		if each > math.MaxInt64/times {
			each = math.MaxInt64
		} else {
			each *= times
		}
	}
	return min(m.Now.Truncate(each).Add(each).Sub(m.Now), k.cfg.Interval)
}

// later returns the later of two instants.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
