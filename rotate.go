package apigws

import (
	"context"
	"math"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A rotation renews one connection while it is open. Only the run loop uses
// it.
type rotation struct {
	client  *Client
	after   time.Duration // the age at which to begin
	policy  backoff.BackOff
	attempt chan attempted // brings the next connection; nil when none is on its way
	cancel  context.CancelFunc
	waiting []chan<- error // the calls of Rotate
}

type attempted struct {
	conn *Conn
	err  error
}

const never = time.Duration(math.MaxInt64)

func (c *Client) newRotation() *rotation {
	r := &rotation{client: c, after: c.opts.Reconnect.RotateAfter}
	switch {
	case r.after < 0, c.opts.Reconnect.Disabled:
		r.after = never
	case r.after == 0:
		r.after = c.opts.Limits.rotateAfter()
	}
	return r
}

// beat begins the rotation of a connection that has reached the age, and
// returns when it wants to be called again.
func (r *rotation) beat(age time.Duration) (next time.Duration) {
	if r.attempt != nil {
		return never
	}
	if age >= r.after {
		r.begin()
		return never
	}
	return r.after - age
}

// request begins a rotation for a call of Rotate, or joins the one under way.
func (r *rotation) request(answer chan<- error) {
	r.waiting = append(r.waiting, answer)
	if r.attempt == nil {
		r.begin()
	}
}

func (r *rotation) begin() {
	c := r.client
	if r.policy == nil {
		r.policy = c.opts.Reconnect.Backoff()
	}
	ctx, cancel := context.WithCancel(c.ctx)
	result := make(chan attempted, 1)
	r.attempt, r.cancel = result, cancel
	c.graves.Go(func() { // cancel stops it; who reads the result waits for it
		defer cancel()
		conn, err := c.connect(ctx, effort{policy: r.policy, quiet: true})
		result <- attempted{conn, err}
	})
}

// arrived takes the result of the attempt under way. When it failed, the old
// connection stays, and a later beat tries again.
func (r *rotation) arrived(a attempted, age time.Duration) *Conn {
	r.attempt = nil
	if a.err == nil {
		return a.conn
	}
	r.client.opts.Logger.Warn("rotation failed", "error", a.err)
	r.answer(a.err)
	wait := r.policy.NextBackOff()
	switch {
	case wait != backoff.Stop:
		// One that was asked for before its time is tried again when asked
		// for again, or when its time has come.
		r.after = max(r.after, age+wait)
	case age >= r.after:
		r.after = never
	default:
		r.policy = nil // the next one begins with a policy of its own
	}
	return nil
}

// abandon gives up the attempt under way, if any.
func (r *rotation) abandon() {
	if r.attempt == nil {
		return
	}
	r.cancel()
	if a := <-r.attempt; a.conn != nil {
		a.conn.fail(errRetired)
		r.client.bury(a.conn)
	}
	r.answer(r.client.reason())
}

func (r *rotation) answer(err error) {
	for _, w := range r.waiting {
		w <- err // has room for it
	}
	r.waiting = nil
}

// Rotate renews the connection now: the next is made, with a fresh Prepare and
// its OnConnect, before the old one is closed, and writes move over in order.
// It returns nil when the next connection is in use. When the next cannot be
// had, the old one stays; Rotate then keeps trying as after a break until ctx
// ends, and returns a refusal at once. A rotation that is already under way
// counts. Cancelling ctx ends the waiting, not the rotation.
func (c *Client) Rotate(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case c.rotate <- answer:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.reason()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.reason()
	}
}

// handover moves the client from a connection to its successor. Writers wait
// meanwhile, for one round trip: that of the PING whose PONG proves that the
// gateway has all earlier messages, so that none overtakes another. It returns
// false when the client is closed meanwhile: old is then still the one to end.
func (c *Client) handover(old, next *Conn) bool {
	c.publish(nil)
	old.wire.seal()
	switch {
	case old.wire.unproven() == 0, old.answersPing(c.ctx) == nil:
		c.settle(old)
		c.retire(old)
	case c.ctx.Err() != nil:
		// Messages of old may still be confirmed: none must go to next too.
		next.fail(errRetired)
		c.bury(next)
		return false
	default:
		// A gateway that answers no PING: when old is closed, nothing written on
		// it can be overtaken any more, but nothing is proven.
		if !old.shut(c.opts.CloseTimeout) {
			c.countLoss(old.cause)
		}
		c.bury(old)
		<-old.settled
		c.blame(old.cause)
	}
	c.counters.rotations.Add(1)
	c.open(next)
	return true
}

// retire reads a connection for Drain, and then closes it: what the backend
// sent to its connectionId before it learned of the new one still arrives.
func (c *Client) retire(conn *Conn) {
	c.graves.Go(func() {
		drain := time.NewTimer(c.opts.Reconnect.Drain)
		defer drain.Stop()
		select {
		case <-drain.C:
		case <-conn.dead:
		case <-c.ctx.Done():
		}
		conn.shut(c.opts.CloseTimeout)
		c.inter(conn)
	})
}
