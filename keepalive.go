package apigws

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// clients counts those of this process. From manyClients on, what keeps them
// alive is done with an eye to what it costs: see share and lookEach.
var clients atomic.Int64

const manyClients = 1000

// A pulse keeps one connection alive and finds out when it is dead. Only the
// run loop uses it.
type pulse struct {
	conn    *Conn
	cfg     *Keepalive
	greeted bool // the first keepalive message is out

	wall  func() time.Time
	wallT time.Time     // the wall clock at the last beat
	monoT time.Time     // the monotonic clock at the last beat
	slept time.Duration // how long the machine was suspended, as far as we know
}

func newPulse(conn *Conn) *pulse {
	p := &pulse{conn: conn, cfg: &conn.client.opts.Keepalive, wall: conn.client.opts.wallClock}
	p.wallT, p.monoT = p.wall().Round(0), time.Now()
	return p
}

// beat does what is due and returns when it wants to be called again. An error
// says that the connection is dead.
func (p *pulse) beat() (next time.Duration, err error) {
	now := time.Now()
	woke := p.readClocks(now)
	// At least each Interval, lest the PING after this one be late. The looks
	// at the clocks of all clients of a process fall on the same instants: one
	// wake-up serves them all.
	look := p.lookEach()
	next = min(now.Truncate(look).Add(look).Sub(now), p.cfg.Interval)

	dead, waiting := p.deadline()
	if waiting && !now.Before(dead) {
		return 0, fmt.Errorf("%w within %v", ErrNoPong, p.cfg.Timeout)
	}
	if waiting {
		next = min(next, dead.Sub(now))
	}
	if p.cfg.Disabled {
		return next, nil
	}

	due := p.pingDue()
	ping := !now.Before(due) || woke && !waiting
	if ping {
		next = min(next, p.cfg.Timeout) // to see whether the PONG has come
	} else {
		next = min(next, due.Sub(now))
	}
	message := false
	if len(p.cfg.Message) > 0 {
		due := p.messageDue()
		message = !now.Before(due) || !p.greeted
		if !message {
			next = min(next, due.Sub(now))
		}
	}
	if ping || message {
		started := p.conn.spawnOne(func() {
			if message {
				p.conn.sendKeepalive()
			}
			if ping {
				p.conn.sendPing(nil)
			}
		})
		if started && message {
			p.greeted = true
		}
	}
	return next, nil
}

// deadline returns when the connection counts as dead, if a PING is
// unanswered. As long as the reader waits for a slow consumer, PONGs are not
// seen, and there is no deadline; when it goes on, the time starts anew.
func (p *pulse) deadline() (dead time.Time, waiting bool) {
	if p.conn.blocked.Load() || p.cfg.Disabled && p.conn.wire.window == nil {
		return time.Time{}, false
	}
	from, silent, waiting := p.conn.wire.unanswered()
	if !waiting {
		return time.Time{}, false
	}
	if freed := p.conn.opened.Add(time.Duration(p.conn.freed.Load())); freed.After(from) {
		from = freed
	}
	switch {
	case silent:
		return from.Add(p.cfg.Timeout), true
	case p.conn.wire.window != nil:
		// Other frames came, so the peer is alive; but a PONG that never
		// comes would hold up the window for ever.
		return from.Add(p.cfg.Interval + p.cfg.Timeout), true
	}
	return time.Time{}, false
}

// pingDue returns when the next PING is due: an Interval after anything was
// last received, and after the last PING that is still unanswered.
func (p *pulse) pingDue() time.Time {
	w := p.conn.wire
	heard := w.start.Add(time.Duration(w.lastRead.Load()))
	if sent := w.lastPing(); sent.After(heard) {
		heard = sent
	}
	return p.share(heard.Add(p.cfg.Interval))
}

// share lets what many clients send leave in few bursts, because a process that
// sleeps in between pays more for each time it wakes than for a PING. It moves
// what is due to an instant at most a fiftieth of Interval earlier: the beginning
// of a second, or of a tenth or a hundredth of one.
func (p *pulse) share(due time.Time) time.Time {
	if clients.Load() < manyClients {
		return due
	}
	slot := time.Second
	for slot > p.cfg.Interval/50 {
		slot /= 10
	}
	return due.Add(-due.Sub(due.Truncate(slot)))
}

// messageDue returns when the next keepalive message is due: an Interval after
// the last data in either direction.
func (p *pulse) messageDue() time.Time {
	return p.share(p.conn.opened.Add(time.Duration(p.conn.dataAt.Load()) + p.cfg.Interval))
}

// lookEach returns how often the clocks are to be looked at: each Timeout, and
// less often by many clients, whose process runs on no laptop: a Timeout more for
// each manyClients. With a window it is also how soon the PINGs of messages get a
// deadline.
func (p *pulse) lookEach() time.Duration {
	if p.conn.wire.window != nil {
		return p.cfg.Timeout
	}
	return p.cfg.Timeout * time.Duration(1+clients.Load()/manyClients)
}

// readClocks reports whether the machine was suspended since the last beat.
// The monotonic clock stands still in a suspended machine, and with it every
// timer; the wall clock goes on. A wall clock that was set forward looks the
// same, so nothing is concluded from it but that a PING is due now.
func (p *pulse) readClocks(now time.Time) (woke bool) {
	wall := p.wall().Round(0)
	skew := wall.Sub(p.wallT) - now.Sub(p.monoT)
	p.wallT, p.monoT = wall, now
	if skew < p.cfg.Timeout {
		return false
	}
	p.slept += skew
	return true
}

// age is how old the connection is, the time of a suspended machine included.
func (p *pulse) age() time.Duration { return time.Since(p.conn.opened) + p.slept }

// sendKeepalive sends the keepalive message.
func (conn *Conn) sendKeepalive() {
	verdict, _ := conn.send(context.Background(), conn.client.opts.Keepalive.Message, untracked)
	if verdict == taken {
		conn.client.counters.keepaliveMessages.Add(1)
	}
}
