package apigws

import (
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// clients counts those of this process. From manyClients on, keepalives are sent with an eye to
// what they cost: see share and lookEach.
var clients atomic.Int64

const manyClients = 1000

// A keeper keeps one connection alive and finds out when it is dead. Only the run loop uses it.
type keeper struct {
	conn  *connection
	cfg   *Keepalive
	due   time.Time // of the next tick
	begun bool      // the first keepalive message is out

	// trusted is from when on silence says something: see untilDead.
	trusted time.Time

	wall   func() time.Time
	wallT  time.Time     // the wall clock at the last tick
	monoT  time.Time     // the monotonic clock at the last tick
	asleep time.Duration // how long the machine was suspended, as far as is known
}

func newKeeper(conn *connection) *keeper {
	opts := conn.client.opts
	k := &keeper{conn: conn, cfg: &opts.Keepalive, wall: opts.wallClock, due: time.Now()}
	k.wallT, k.monoT = k.wall().Round(0), k.due
	return k
}

// tick does what is due and returns how long until the next tick. An error says that the connection
// is dead.
func (k *keeper) tick() (next time.Duration, err error) {
	now := time.Now()
	woke := k.readClocks(now)
	// At least each Interval, lest the PING after this one be late. The looks at the clocks of all
	// clients of a process fall on the same instants: one wake-up serves them all.
	look := k.lookEach()
	next = min(now.Truncate(look).Add(look).Sub(now), k.cfg.Interval)

	h := k.conn.session.Health()
	wait, waiting := k.untilDead(now, &h)
	if waiting && wait <= 0 {
		return 0, errorf("%w within %v", ErrNoPong, k.cfg.Timeout)
	}
	next = min(next, wait)
	if k.cfg.Disabled {
		return next, nil
	}

	due := k.pingDue(&h)
	ping := !now.Before(due) || woke && !waiting
	if ping {
		next = min(next, k.cfg.Timeout) // to see whether the PONG has come
	} else {
		next = min(next, due.Sub(now))
	}
	var message []byte
	if len(k.cfg.Message) > 0 {
		if due := k.share(h.Data.Add(k.cfg.Interval)); !now.Before(due) || !k.begun {
			message = k.cfg.Message
		} else {
			next = min(next, due.Sub(now))
		}
	}
	if ping || message != nil {
		counters := &k.conn.client.counters
		started := k.conn.session.Tick(message, ping, func() { counters.keepaliveMessages.Add(1) })
		k.begun = k.begun || started && message != nil
	}
	return next, nil
}

// untilDead returns how long until the connection counts as dead, if a PING is unanswered; 0 or
// less if it is dead. If this tick is late, the process was frozen, and so was the goroutine that
// reads, which has not seen yet what lies in the socket: nothing is concluded before it has had its
// turn, whatever causes another tick.
func (k *keeper) untilDead(now time.Time, h *session.Health) (wait time.Duration, waiting bool) {
	patience := k.cfg.Timeout / 10
	if now.Sub(k.due) > patience {
		k.trusted = now.Add(patience)
	}
	dead, waiting := k.deadline(h)
	if !waiting {
		return never, false
	}
	if dead.Before(k.trusted) {
		dead = k.trusted
	}
	return dead.Sub(now), true
}

// deadline returns when the connection counts as dead, if a PING is unanswered. As long as the
// reader waits for a slow consumer, PONGs are not seen, and there is no deadline; when it goes on,
// the time starts anew.
func (k *keeper) deadline(h *session.Health) (dead time.Time, waiting bool) {
	resend := k.conn.client.sessions.Window != nil
	var from time.Time
	limit := k.cfg.Timeout
	switch {
	case h.Blocked, k.cfg.Disabled && !resend:
		return time.Time{}, false
	case !h.Silent.IsZero():
		from = h.Silent
	case resend && !h.Oldest.IsZero():
		// Other frames came, so the peer is alive; but a PONG that never comes would hold up the
		// window for ever.
		from = h.Oldest
		limit += k.cfg.Interval
	default:
		return time.Time{}, false
	}
	if h.Freed.After(from) {
		from = h.Freed
	}
	return from.Add(limit), true
}

// pingDue returns when the next PING is due: an Interval after anything was last received, and
// after the last PING that is still unanswered. While something written is not acknowledged, it is
// due a Timeout after the last PING, or after the first message that follows it.
func (k *keeper) pingDue(h *session.Health) time.Time {
	last := h.Heard
	if h.Pinged.After(last) {
		last = h.Pinged
	}
	due := k.share(last.Add(k.cfg.Interval))
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
func (k *keeper) share(due time.Time) time.Time {
	if clients.Load() < manyClients {
		return due
	}
	slot := time.Second
	for slot > k.cfg.Interval/50 {
		slot /= 10
	}
	return due.Add(-due.Sub(due.Truncate(slot)))
}

// lookEach returns how often the clocks are to be looked at: each Timeout, and less often by many
// clients, whose process runs on no laptop: a Timeout more for each manyClients. With a window it
// is also how soon the PINGs of messages get a deadline.
func (k *keeper) lookEach() time.Duration {
	if k.conn.client.sessions.Window != nil {
		return k.cfg.Timeout
	}
	return k.cfg.Timeout * time.Duration(1+clients.Load()/manyClients)
}

// readClocks reports whether the machine was suspended since the last tick. The monotonic clock
// stands still in a suspended machine, and with it every timer; the wall clock goes on. A wall
// clock that was set forward looks the same, so nothing is concluded from it but that a PING is due
// now.
func (k *keeper) readClocks(now time.Time) (woke bool) {
	wall := k.wall().Round(0)
	skew := wall.Sub(k.wallT) - now.Sub(k.monoT)
	k.wallT, k.monoT = wall, now
	if skew < k.cfg.Timeout {
		return false
	}
	k.asleep += skew
	return true
}

// age is how old the connection is, the time of a suspended machine included.
func (k *keeper) age() time.Duration { return time.Since(k.conn.session.Opened()) + k.asleep }
