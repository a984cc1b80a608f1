package apigws

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/apigws/apigws/internal/pace"
)

// A rotation replaces one connection while it is open. Only the run loop uses it.
type rotation struct {
	life   *life
	after  time.Duration   // the age at which to begin
	again  *pace.Pacer     // of timed rotations that failed; nil before the first
	timed  bool            // the one under way was not asked for
	result chan madeResult // brings the next connection; nil when none is on its way
	once   chan struct{}   // closed when the one under way is not to try again
}

type madeResult struct {
	conn *connection
	err  error
}

const never = time.Duration(math.MaxInt64)

func (l *life) newRotation() *rotation {
	r := &rotation{life: l, after: l.client.opts.Reconnect.RotateAfter}
	switch {
	case r.after < 0, l.client.opts.Reconnect.Disabled:
		r.after = never
	case r.after == 0:
		r.after = l.client.opts.Limits.rotateAfter()
	}
	return r
}

// tick begins the rotation of a connection that has reached the age, or for which a call of Rotate
// waits, and returns when it wants to be called again.
func (r *rotation) tick(age time.Duration) (next time.Duration) {
	due := age >= r.after
	switch {
	case r.result != nil:
		return never
	case due || r.life.requests.waiting():
		r.begin(due)
		return never
	}
	return r.after - age
}

// begin lets a goroutine connect, with a policy of its own.
func (r *rotation) begin(timed bool) {
	c := r.life.client
	result, once := make(chan madeResult, 1), make(chan struct{})
	r.timed, r.result, r.once = timed, result, once
	c.tearing.Go(func() { // the end of the client stops it; who reads the result waits for it
		defer r.life.loop.Wake()
		policy, _ := pace.New(c.opts.Reconnect.Backoff)
		conn, err := r.life.connector.connect(attempt{policy: policy, beside: true, once: once})
		result <- madeResult{conn, err}
	})
}

// take returns the connection that the attempt under way has brought, if it has ended. If it
// failed, the old connection stays; one that was timed is tried again later.
func (r *rotation) take(age time.Duration) *connection {
	var made madeResult
	select {
	case made = <-r.result:
		r.result = nil
	default:
		return nil
	}
	if made.err == nil {
		return made.conn
	}
	c := r.life.client
	c.events.log.Warn("rotation failed", "error", made.err)
	r.life.requests.take().tell(made.err)
	if !r.timed {
		return nil
	}
	if r.again == nil {
		r.again, _ = pace.New(c.opts.Reconnect.Backoff)
	}
	r.after = never
	if wait, ok := r.again.Next(); ok {
		r.after = age + wait
	}
	return nil
}

// rescue returns, after the loss of the connection, the one that a rotation under way brings; nil
// if there is none, or if its handshake fails or is not under way: the run loop then reconnects,
// with its own policy and its own states, and whoever waits for the rotation waits for that.
func (r *rotation) rescue(cause error) *connection {
	c := r.life.client
	if r.result == nil || c.ctx.Err() != nil {
		r.abandon()
		return nil
	}
	c.events.state(StateConnecting, cause, 0)
	close(r.once)
	made := <-r.result
	return made.conn
}

// abandon waits for the end of the attempt under way, if any, and gives up what it brings. The
// client ends, which stops the attempt.
func (r *rotation) abandon() {
	if r.result == nil {
		return
	}
	if made := <-r.result; made.conn != nil {
		made.conn.session.Abort(errRetired)
		made.conn.tearDown()
	}
}

// requests are the calls of Rotate that wait. They share one outcome, so that those whose contexts
// have ended leave nothing behind.
type requests struct {
	mu      sync.Mutex // guards what follows
	outcome *outcome   // nil when no call waits
}

// An outcome is what comes of a rotation.
type outcome struct {
	done chan struct{} // closed when it is known
	err  error         // written before
}

// add adds a call, and returns what it waits for.
func (r *requests) add() *outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcome == nil {
		r.outcome = &outcome{done: make(chan struct{})}
	}
	return r.outcome
}

// waiting reports whether calls wait.
func (r *requests) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome != nil
}

// take returns what the calls that wait now wait for; nil if none waits.
func (r *requests) take() *outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.outcome
	r.outcome = nil
	return o
}

// tell lets the calls return err.
func (o *outcome) tell(err error) {
	if o != nil {
		o.err = err
		close(o.done)
	}
}

// Rotate replaces the connection now: the next one is made, with a fresh Prepare and its OnConnect,
// before the old one is closed, and writes move over in order. It returns nil when the next
// connection is in use. If the next one cannot be had, the old one stays; Rotate then keeps trying
// as after a lost connection until ctx ends, and returns a refusal at once. A rotation or a
// reconnect that is already under way counts. Cancelling ctx ends the wait, not the rotation.
func (c *Client) Rotate(ctx context.Context) error {
	outcome := c.life.requests.add()
	c.life.loop.Wake()
	select {
	case <-outcome.done:
		return outcome.err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.status.reason()
	}
}

// handover moves the client from a connection to its successor. Writers wait meanwhile, for one
// round trip: that of the PING whose PONG proves that the gateway has all earlier messages, so that
// none overtakes another. It returns false when the client is closed meanwhile: old is then still
// the one to end.
func (l *life) handover(old, next *connection) bool {
	c := l.client
	old.session.Seal() // from now on a Write waits for the next one
	acknowledged := old.session.Unacknowledged() == 0 || old.provePings(c.ctx) == nil
	switch {
	case acknowledged:
	case c.ctx.Err() != nil:
		// Messages of old may still be acknowledged: none must go to next too.
		next.session.Abort(errRetired)
		next.tearDown()
		return false
	default:
		// A gateway that answers no PING: once old is closed, nothing written on it can be
		// overtaken any more, but nothing is acknowledged.
		if !old.shut(c.opts.CloseTimeout) {
			l.countLoss(old.session.Cause())
		}
		old.tearDown()
		<-old.whenSettled()
		l.reject(old.session.Cause())
	}
	c.counters.rotations.Add(1)
	l.open(next)
	if acknowledged {
		l.retire(old)
	}
	return true
}

// retire lets OnRetire have a connection whose successor is in use, reads it for Drain, and then
// closes it: what the backend sent to its connectionId before it learned of the new one still
// arrives.
func (l *life) retire(conn *connection) {
	c := l.client
	c.tearing.Go(func() { // the end of the client stops it
		if c.opts.OnRetire != nil {
			conn.call(c.ctx, &Conn{connection: conn, retired: true}, c.events.connectionRetired)
		}
		drain := time.NewTimer(c.opts.Reconnect.Drain)
		defer drain.Stop()
		select {
		case <-drain.C:
		case <-conn.session.Dead():
		case <-c.ctx.Done():
		}
		conn.shut(c.opts.CloseTimeout)
		conn.settle()
		conn.session.Wait()
	})
}
