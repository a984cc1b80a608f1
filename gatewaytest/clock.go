package gatewaytest

import (
	"math"
	"time"
)

// Each connection has one timer, which stands at the next of the cuts that may be due. Activity does not move it: when
// it fires too early, it is set again. So a busy connection pays one look at the clock per message.

// touch notes activity, with mu held.
func (c *Conn) touch(data bool) {
	c.lastActive = time.Now()
	if data {
		c.lastData = c.lastActive
	}
}

// checkTime does what is due.
func (c *Conn) checkTime() {
	c.mu.Lock()
	if c.wire.mute() || c.state == stateClosed {
		c.mu.Unlock() // a dead path shows no cut; freeze looks again when it is alive
		return
	}
	// cut runs Config.Closing, for which Server.Close waits. The reading goroutine, or the handshake before it, is counted
	// as long as the state is not closed, so this comes in time.
	c.srv.wg.Add(1)
	defer c.srv.wg.Done()
	now := time.Now()
	switch {
	case c.state == stateClosing && !now.Before(c.end.by):
		c.mu.Unlock()
		c.wire.close()
		return
	case c.state == stateOpen && c.untilLifetime(now) <= 0:
		c.mu.Unlock()
		c.cut(CauseLifetime)
		return
	case c.state == stateOpen && c.untilIdle(now) <= 0:
		c.mu.Unlock()
		c.cut(CauseIdle)
		return
	}
	c.timer.Reset(c.untilCut(now))
	c.mu.Unlock()
}

const never = time.Duration(math.MaxInt64)

// untilCut returns how long it is until something is due, with mu held.
func (c *Conn) untilCut(now time.Time) time.Duration {
	if c.state != stateOpen {
		return c.end.by.Sub(now)
	}
	return min(c.untilIdle(now), c.untilLifetime(now))
}

func (c *Conn) untilIdle(now time.Time) time.Duration {
	if c.srv.cfg.Idle < 0 || c.todo.stalled { // a connection that the backend keeps waiting is not idle
		return never
	}
	return c.lastActive.Add(c.srv.cfg.Idle).Sub(now)
}

func (c *Conn) untilLifetime(now time.Time) time.Duration {
	if c.srv.cfg.Lifetime < 0 {
		return never
	}
	return c.connectedAt.Add(c.srv.cfg.Lifetime).Sub(now)
}
