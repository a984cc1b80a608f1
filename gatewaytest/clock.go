package gatewaytest

import (
	"math"
	"time"
)

// A clock cuts its Conn when the time has come. It has one timer, which stands at the next of the
// cuts that may be due. Activity does not move it: when it fires too early, it is set again. So a
// busy connection pays one look at the clock per message. The mutex of the Conn guards the fields.
type clock struct {
	c          *Conn
	lastActive time.Time // for the idle cut
	lastData   time.Time // as GET @connections tells it
	timer      *time.Timer
}

// start sets the timer, with mu held.
func (k *clock) start(now time.Time) {
	k.lastActive, k.lastData = now, now
	k.timer = time.AfterFunc(k.untilCut(now), k.check)
}

// touch notes activity, with mu held.
func (k *clock) touch(data bool) {
	k.lastActive = time.Now()
	if data {
		k.lastData = k.lastActive
	}
}

// check does what is due.
func (k *clock) check() {
	c := k.c
	c.mu.Lock()
	if c.wire.mute() || c.state == stateClosed {
		c.mu.Unlock() // a dead path shows no cut; freeze looks again when it is alive
		return
	}
	// cut runs Config.Closing, for which Server.Close waits. The reading goroutine, or the
	// handshake before it, is counted as long as the state is not closed, so this comes in time.
	c.srv.wg.Add(1)
	defer c.srv.wg.Done()
	now := time.Now()
	switch {
	case c.state == stateClosing && !now.Before(c.end.by):
		c.mu.Unlock()
		c.wire.close()
		return
	case c.state == stateOpen && k.untilLifetime(now) <= 0:
		c.mu.Unlock()
		c.cut(CauseLifetime)
		return
	case c.state == stateOpen && k.untilIdle(now) <= 0:
		c.mu.Unlock()
		c.cut(CauseIdle)
		return
	}
	k.timer.Reset(k.untilCut(now))
	c.mu.Unlock()
}

// linger gives a close handshake closeWait from the moment when everything in line can have left,
// with mu held. It is called whenever that may have changed: what the faults hold up is not the
// client's delay.
func (k *clock) linger() {
	c := k.c
	if c.state != stateClosing {
		return
	}
	wait := closeWait + max(time.Until(c.out.heldUntil), 0) + c.wire.transitOut(c.out.bytes)
	c.end.by = time.Now().Add(wait)
	k.timer.Reset(wait)
}

const never = time.Duration(math.MaxInt64)

// untilCut returns how long it is until something is due, with mu held.
func (k *clock) untilCut(now time.Time) time.Duration {
	if k.c.state != stateOpen {
		return k.c.end.by.Sub(now)
	}
	return min(k.untilIdle(now), k.untilLifetime(now))
}

func (k *clock) untilIdle(now time.Time) time.Duration {
	idle := k.c.srv.cfg.Idle
	if idle < 0 || k.c.todo.stalled { // a connection that the backend keeps waiting is not idle
		return never
	}
	return k.lastActive.Add(idle).Sub(now)
}

func (k *clock) untilLifetime(now time.Time) time.Duration {
	lifetime := k.c.srv.cfg.Lifetime
	if lifetime < 0 {
		return never
	}
	return k.c.connectedAt.Add(lifetime).Sub(now)
}
