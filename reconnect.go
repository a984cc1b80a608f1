package apigws

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/internal/jitter"
	"github.com/apigws/apigws/internal/redact"
)

// run is the life of a client. The state machine is the program counter:
// serving a connection returns its successor, and none when the client ends.
func (c *Client) run() {
	clients.Add(1)
	defer clients.Add(-1)
	conn, err := c.connect(c.ctx, effort{policy: c.policy})
	if err != nil {
		c.end(err)
	} else {
		c.open(conn)
	}
	for conn != nil {
		conn = c.serve(conn)
	}
	c.finish()
}

// finish is the end of a client: c.end has been called.
func (c *Client) finish() {
	c.graves.Wait()
	var kept error
	if c.window != nil {
		if n := c.window.len(); n > 0 {
			kept = fmt.Errorf("%w: %d messages", ErrUnconfirmed, n)
		}
	}
	c.mu.Lock()
	// A Flush still tells of the losses, too: Close need not have been called.
	c.closeErr = errors.Join(c.losses(), kept)
	c.mu.Unlock()
	err := c.reason()
	if err == ErrClosed {
		err = nil // by Close: all is well
	}
	c.setState(StateClosed, err, 0)
	close(c.done)
}

// serve looks after an open connection until it is to be replaced, and returns
// the next one.
func (c *Client) serve(conn *Conn) *Conn {
	pulse := newPulse(conn)
	rotation := c.newRotation()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			rotation.abandon()
			c.shutdown(conn)
			return nil
		case <-conn.dead:
			return c.replace(conn, pulse.age(), rotation)
		case <-conn.pingSoon:
			conn.spawn(func() { conn.sendPing(nil) })
		case answer := <-c.rotate:
			rotation.request(answer)
		case attempt := <-rotation.attempt:
			if next := rotation.arrived(attempt, pulse.age()); next != nil {
				if c.handover(conn, next) {
					rotation.answer(nil)
					return next
				}
			}
		case <-timer.C:
			next, err := pulse.beat()
			if err != nil {
				conn.fail(err)
				continue
			}
			timer.Reset(min(next, rotation.beat(pulse.age())))
		}
	}
}

// replace finds the successor of a connection that has died.
func (c *Client) replace(conn *Conn, age time.Duration, rotation *rotation) *Conn {
	c.publish(nil)
	cause := conn.cause
	c.countLoss(cause)
	c.mu.Lock()
	c.lostAt = time.Now()
	c.mu.Unlock()
	c.opts.Logger.Warn("connection lost", "generation", conn.generation, "error", cause, "age", age)
	c.bury(conn)

	if age >= c.opts.Reconnect.Stable {
		c.policy.Reset()
	}
	if c.ctx.Err() == nil && !c.wantsAnother(cause) {
		c.end(cause)
	}
	next := c.rescue(rotation, cause)
	if next == nil {
		var err error
		next, err = c.redial(cause, age)
		if err != nil {
			c.end(err)
			return nil
		}
	}
	<-conn.settled
	c.blame(cause)
	c.open(next)
	rotation.answer(nil)
	return next
}

// wantsAnother decides whether a connection that died of cause is replaced.
func (c *Client) wantsAnother(cause error) bool {
	r := &c.opts.Reconnect
	return !r.Disabled && (r.Retry == nil || r.retry(cause))
}

// rescue returns the connection that a rotation under way brings, if it does.
func (c *Client) rescue(rotation *rotation, cause error) *Conn {
	if rotation.attempt == nil || c.ctx.Err() != nil {
		rotation.abandon()
		return nil
	}
	c.setState(StateConnecting, cause, 0)
	attempt := <-rotation.attempt
	if attempt.err != nil {
		rotation.answer(attempt.err)
	}
	return attempt.conn
}

// redial makes a new connection after the loss of one for the given cause.
func (c *Client) redial(cause error, age time.Duration) (*Conn, error) {
	r := &c.opts.Reconnect
	if c.ctx.Err() != nil {
		return nil, c.ctx.Err()
	}
	wait := c.policy.NextBackOff()
	if wait == backoff.Stop {
		return nil, cause
	}
	if age >= r.Stable && r.Fleet > 0 {
		wait = jitter.Fleet(rand.N, r.Fleet, c.opts.Limits.ConnectRate)
	}
	return c.connect(c.ctx, effort{policy: c.policy, wait: wait, cause: cause})
}

// open lets the application use a connection.
func (c *Client) open(conn *Conn) {
	conn.handOver()
	if err := c.resend(conn); err != nil {
		// The run loop finds it dead and replaces it.
		conn.fail(err)
		conn.wire.breakOff(err)
	}
	c.publish(conn)
	c.setState(StateOpen, nil, 0)
}

// shutdown ends an open connection because the client ends.
func (c *Client) shutdown(conn *Conn) {
	c.publish(nil)
	c.mu.Lock()
	used := time.Since(c.endedAt) // by a handover that Close has met
	c.mu.Unlock()
	conn.shut(c.opts.CloseTimeout - used)
	c.inter(conn)
}

// An effort is what connect does to get one connection.
type effort struct {
	policy backoff.BackOff
	wait   time.Duration // before the first attempt
	cause  error         // of that wait
	quiet  bool          // beside an open connection: the state stays as it is
}

// connect makes a connection, trying again as long as that is worth it and ctx
// lasts.
func (c *Client) connect(ctx context.Context, e effort) (*Conn, error) {
	unauthorized := false
	err, wait := e.cause, e.wait
	for {
		if wait > 0 {
			if !e.quiet {
				c.setState(StateBackoff, err, wait)
			}
			if !sleep(ctx, wait) {
				return nil, abandoned(ctx, err)
			}
		}
		if !e.quiet {
			c.setState(StateConnecting, err, 0)
		}
		conn, failure := c.attempt(ctx)
		if failure == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			if errors.Is(failure, ctx.Err()) {
				failure = err // that of the attempt before says more
			}
			return nil, abandoned(ctx, failure)
		}
		err = failure
		if !c.worthRetrying(err, &unauthorized) {
			return nil, err
		}
		if wait = e.policy.NextBackOff(); wait == backoff.Stop {
			return nil, err
		}
	}
}

// abandoned is the error of an effort whose ctx has ended; last is why it had
// not succeeded before.
func abandoned(ctx context.Context, last error) error {
	if last == nil || errors.Is(last, ctx.Err()) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ctx.Err(), last)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt makes one connection and lets OnConnect have it.
func (c *Client) attempt(ctx context.Context) (*Conn, error) {
	conn, err := c.handshake(ctx)
	if err != nil {
		var refused *HandshakeError
		if errors.As(err, &refused) && refused.Err == nil {
			c.counters.refused.Add(1)
		} else {
			c.counters.connectErrors.Add(1)
		}
		return nil, err
	}
	c.counters.connects.Add(1)
	c.mu.Lock()
	c.generation++
	conn.generation = c.generation
	if !c.lostAt.IsZero() {
		conn.gap = time.Since(c.lostAt)
	}
	c.mu.Unlock()
	if err = c.introduce(ctx, conn); err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		c.counters.connectErrors.Add(1)
		conn.fail(err)
		c.bury(conn)
		return nil, err
	}
	return conn, nil
}

// introduce does what comes before anything else on a new connection.
func (c *Client) introduce(ctx context.Context, conn *Conn) error {
	if c.opts.OnConnect != nil {
		limited, cancel := context.WithTimeout(ctx, c.opts.HandshakeTimeout)
		defer cancel()
		conn.spawn(func() {
			select {
			case <-conn.dead:
				cancel()
			case <-limited.Done():
			}
		})
		var err error
		runHook(func() { err = c.opts.OnConnect(limited, conn) })
		if err != nil {
			err = newHookError("OnConnect", err, &conn.secrets)
			if conn.isDead() && !errors.Is(err, conn.cause) {
				err = errorf("%w: %w", err, conn.cause) // which ended its ctx
			}
			return err
		}
	}
	conn.secrets = redact.Secrets{}
	if c.window != nil {
		if err := c.provesPings(ctx, conn); err != nil {
			return err
		}
	}
	select {
	case <-conn.dead:
		return conn.cause
	default:
		return nil
	}
}

// provesPings makes sure that a connection answers PINGs, on which Resend
// depends. One that does not may be dead; two in a row, and none that ever
// did, are a gateway that answers none.
func (c *Client) provesPings(ctx context.Context, conn *Conn) error {
	err := conn.answersPing(ctx)
	switch {
	case err == nil:
		c.ponged, c.silent = true, 0
	case errors.Is(err, ErrNoPong):
		c.silent++
		if !c.ponged && c.silent > 1 {
			return &permanentError{fmt.Errorf("apigws: Options.Resend needs a gateway that answers PINGs: %w", err)}
		}
	}
	return err
}

// A permanentError is not worth retrying.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// worthRetrying decides whether another attempt follows one that failed.
// unauthorized remembers whether the last one met a 401 or 403.
func (c *Client) worthRetrying(err error, unauthorized *bool) bool {
	r := &c.opts.Reconnect
	if r.Disabled {
		return false
	}
	if r.Retry != nil {
		return r.retry(err)
	}
	var refused *HandshakeError
	first := !*unauthorized
	*unauthorized = errors.As(err, &refused) &&
		(refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden)
	return Retryable(err) || *unauthorized && first
}

// retry asks Retry.
func (r *Reconnect) retry(err error) (again bool) {
	runHook(func() { again = r.Retry(err) })
	return again
}

// Retryable reports whether a new connection is worth trying after err. Worth
// it are network errors, every close code, failures of Prepare and OnConnect,
// and the refusals 408, 429 and 5xx. Not worth it are other refusals, wrong
// options (also when Prepare returns an *OptionError), a certificate that does
// not verify, an answer that is not TLS where TLS was dialled, and the errors of
// a client that has ended. It is the default of Reconnect.Retry, which grants a
// 401 or 403 one more try: the token may have been stale. A machine that roams
// meets such certificates in networks that want a login first; its Retry may
// say that they are worth another try.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, ErrClosed) {
		return false
	}
	var (
		hook      *hookError
		option    *OptionError
		permanent *permanentError
		refused   *HandshakeError
	)
	switch {
	case errors.As(err, &hook):
		return !hook.permanent
	case errors.As(err, &option), errors.As(err, &permanent):
		return false
	case errors.As(err, &refused) && refused.StatusCode == 0:
		return !neverTrusted(refused.Err)
	case refused != nil:
		switch code := refused.StatusCode; code {
		case http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		default:
			return code >= 500
		}
	}
	return true
}

// countLoss counts a connection that broke.
func (c *Client) countLoss(cause error) {
	var closed *CloseError
	switch {
	case errors.As(cause, &closed):
		c.counters.lostClosed.Add(1)
	case errors.Is(cause, ErrNoPong), errors.Is(cause, ErrWriteTimeout):
		c.counters.lostTimeout.Add(1)
	default:
		c.counters.lostNetwork.Add(1)
	}
}
