package apigws

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/apigws/apigws/internal/jitter"
	"github.com/apigws/apigws/internal/loop"
	"github.com/apigws/apigws/internal/pace"
)

// A life is the run loop of a client: connections one after another. Whoever has news for it wakes
// its loop: a call of Close or Rotate, the session of a connection, a rotation, a timer. Only step
// uses it, except for loop, requests and connector.end.
type life struct {
	client   *Client
	loop     *loop.Loop // calls step
	requests requests   // for a rotation

	connector *connector
	policy    *pace.Pacer
	began     time.Time   // when the connection was made with which this chain of rotations began
	conn      *connection // the one to look after; nil before the first
	keeper    *keeper     // of conn
	rotation  *rotation   // of conn
	closing   error       // what Close returns; set before done is closed
}

// step does what there is to do now. It returns false when the client has ended.
func (l *life) step() bool {
	var next *connection
	if l.conn == nil {
		next = l.first()
	} else {
		next = l.serve(l.conn)
	}
	switch next {
	case nil:
		l.finish()
		return false
	case l.conn:
	default:
		l.conn, l.keeper, l.rotation = next, newKeeper(next), l.newRotation()
		l.loop.Wake()
	}
	return true
}

// first makes the first connection. It returns nil if the client ends.
func (l *life) first() *connection {
	conn, err := l.connector.connect(attempt{policy: l.policy})
	if err != nil {
		l.client.end(err)
		return nil
	}
	l.began = conn.session.Opened()
	l.open(conn)
	return conn
}

// finish is the end of a client: its end was called.
func (l *life) finish() {
	c := l.client
	defer c.queue.End() // when Err says why
	defer close(c.done) // when all is said
	c.tearing.Wait()
	closeErr := c.losses.peek() // a Flush still reports the losses, too: Close may never be called
	if w := c.sessions.Window; w != nil && w.Len() > 0 {
		kept := errorf("%w: %d messages", ErrUnconfirmed, w.Len())
		if closeErr == nil {
			closeErr = kept
		} else {
			closeErr = errorf("%w; %w", closeErr, kept)
		}
	}
	l.closing = closeErr
	err := c.status.reason()
	if err == ErrClosed {
		err = nil // by Close: nothing failed
	}
	c.events.state(StateClosed, err, 0)
	clients.Add(-1)
}

// serve looks after an open connection, and returns the one to look after from now on: the same,
// its successor, or nil when the client ends.
func (l *life) serve(conn *connection) *connection {
	switch {
	case l.client.ctx.Err() != nil:
		l.shutdown(conn)
		l.rotation.abandon()
		return nil
	case conn.session.IsDead():
		return l.replace(conn)
	}
	if next := l.rotation.take(l.keeper.age()); next != nil && l.handover(conn, next) {
		return next
	}
	next, err := l.keeper.tick()
	if err != nil {
		conn.session.Abort(err) // which wakes the loop
		return conn
	}
	next = min(next, l.rotation.tick(l.keeper.age()))
	l.loop.WakeAfter(next)
	l.keeper.due = time.Now().Add(next)
	return conn
}

// replace finds the successor of a connection that was lost. It returns nil if the client ends.
func (l *life) replace(conn *connection) *connection {
	c := l.client
	asleep := l.keeper.rules.Asleep()
	c.line.set(nil)
	cause := conn.session.Cause()
	l.countLoss(cause)
	c.status.connectionLost()
	c.events.log.Warn("connection lost", "generation", conn.generation, "error", cause,
		"age", time.Since(conn.session.Opened())+asleep)
	conn.tearDown()

	stable := time.Since(l.began)+asleep >= c.opts.Reconnect.Stable
	if stable {
		l.policy.Reset()
	}
	if !l.wantsAnother(cause) {
		c.end(cause)
	}
	next := l.rotation.rescue(cause)
	if next == nil {
		var err error
		next, err = l.reconnect(cause, stable)
		if err != nil {
			c.end(err)
			return nil
		}
	}
	<-conn.whenSettled()
	l.reject(cause)
	l.began = next.session.Opened()
	l.open(next)
	return next
}

// wantsAnother decides whether a connection that was lost for the given cause is replaced.
func (l *life) wantsAnother(cause error) bool {
	r := &l.client.opts.Reconnect
	return !r.Disabled && (r.Retry == nil || l.client.events.worthRetrying(cause))
}

// reconnect makes a new connection after the loss of one for the given cause. stable says that the
// lost one was open for a while.
func (l *life) reconnect(cause error, stable bool) (*connection, error) {
	c := l.client
	r := &c.opts.Reconnect
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	wait, ok := l.policy.Next()
	if !ok {
		return nil, cause
	}
	if stable && r.Fleet > 0 {
		wait = jitter.Fleet(rand.N, r.Fleet, c.opts.Limits.ConnectRate)
	}
	return l.connector.connect(attempt{policy: l.policy, wait: wait, cause: cause})
}

// open lets the application use a connection: what comes in goes to Read, what earlier connections
// left unacknowledged goes out, and then writes do.
func (l *life) open(conn *connection) {
	c := l.client
	rotated := l.requests.take() // a Rotate that comes later is for the connection after this one
	conn.open()
	if err := l.resend(conn); err != nil {
		conn.session.Abort(err) // serve finds it dead and replaces it
	}
	c.status.opened(conn.generation)
	c.line.set(conn)
	c.events.state(StateOpen, nil, 0)
	rotated.tell(nil)
}

// shutdown ends an open connection because the client ends.
func (l *life) shutdown(conn *connection) {
	c := l.client
	c.line.set(nil)
	conn.shut(c.opts.CloseTimeout - c.status.sinceEnd()) // a handover may have used some of it
	conn.tearDown()
}

// countLoss counts a connection that was lost.
func (l *life) countLoss(cause error) {
	var closed *CloseError
	n := &l.client.counters
	switch {
	case errors.As(cause, &closed):
		n.lostClosed.Add(1)
	case errors.Is(cause, ErrNoPong), errors.Is(cause, ErrWriteTimeout):
		n.lostTimeout.Add(1)
	default:
		n.lostNetwork.Add(1)
	}
}
