package apigws

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errCloseTimeout ends a connection whose close handshake got no answer.
var errCloseTimeout = errors.New("apigws: close handshake timed out")

// Flush returns nil when the gateway has every message whose Write has
// returned: a PONG proves it. Messages that a break has left unconfirmed since
// the last Flush are an error that wraps ErrUnconfirmed and the reason of the
// break; each is told of once. A PONG that takes longer than Keepalive.Timeout
// is an error that wraps ErrUnconfirmed and ErrNoPong, which is also what
// comes of a Flush whose PONG waits behind messages that nobody reads.
//
// With Options.Resend, Flush waits until ctx ends for the window to empty,
// across reconnects; messages that the gateway refused are an error as above.
func (c *Client) Flush(ctx context.Context) error {
	if c.window != nil {
		if err := c.window.flush(ctx, c.done); err != nil {
			if errors.Is(err, ErrClosed) {
				err = c.reason()
			}
			return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
		return c.takeLosses()
	}
	c.mu.Lock()
	conn := c.last
	c.mu.Unlock()
	if conn.wire.unproven() > 0 {
		if err := c.prove(ctx, conn); err != nil {
			return err
		}
	}
	return c.takeLosses()
}

// prove asks for a PONG of conn. That conn has broken is no error here: what
// it lost is in the accounts when prove returns.
func (c *Client) prove(ctx context.Context, conn *Conn) error {
	limited, cancel := context.WithTimeout(ctx, c.opts.Keepalive.Timeout)
	defer cancel()
	_, err := conn.ping(limited, nil)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	case limited.Err() != nil:
		return fmt.Errorf("%w: %w within %v", ErrUnconfirmed, ErrNoPong, c.opts.Keepalive.Timeout)
	}
	select {
	case <-conn.settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	}
}

// Unconfirmed returns, after the client has ended, the messages of
// Options.Resend that were never seen to arrive, in their order: first those
// for which the gateway closed a connection, then those that remained. They
// may have arrived. Before the end it returns what is unconfirmed at the
// moment.
func (c *Client) Unconfirmed() [][]byte {
	if c.window == nil {
		return nil
	}
	return c.window.unconfirmed()
}

// recordLoss notes messages that were not confirmed, for the next Flush.
func (c *Client) recordLoss(n int64, cause error) {
	c.counters.unconfirmed.Add(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += n
	c.lostCause = cause
}

// takeLosses returns what recordLoss has noted since the last time.
func (c *Client) takeLosses() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.losses()
	c.lost, c.lostCause = 0, nil
	return err
}

// losses returns what takeLosses would; c.mu is held.
func (c *Client) losses() error {
	if c.lost == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d messages: %w", ErrUnconfirmed, c.lost, c.lostCause)
}

// settle closes the accounts of a connection that sends no more messages: what
// it has not proven is lost, or in the window for the next.
func (c *Client) settle(conn *Conn) {
	if n := conn.wire.settle(); n > 0 && c.window == nil {
		c.recordLoss(n, conn.cause)
	}
	close(conn.settled)
}

// bury ends a connection that has failed and waits, on a goroutine of its own,
// for what ran on it.
func (c *Client) bury(conn *Conn) {
	c.graves.Go(func() { c.inter(conn) })
}

// inter is bury on the caller's goroutine.
func (c *Client) inter(conn *Conn) {
	conn.wire.breakOff(conn.cause)
	<-conn.finished
	conn.waitSenders()
	if !conn.isHandedOver() {
		conn.bequeath()
	}
	select {
	case <-conn.settled:
	default:
		c.settle(conn)
	}
}

// bequeath gives to Read what came on a connection that was never opened, unless
// nobody reads: each attempt could bring an inbox full of it.
func (conn *Conn) bequeath() {
	c := conn.client
	if c.inbox.isFull() && c.ctx.Err() == nil {
		c.opts.Logger.Warn("messages dropped", "generation", conn.generation, "messages", conn.early.len())
		return
	}
	conn.early.moveTo(c.inbox)
}

// resend puts on a new connection what earlier ones left unconfirmed, before
// anything else is written. If the gateway has closed a connection for one of
// the messages, they go one at a time, so that the next time it is known
// which.
func (c *Client) resend(conn *Conn) error {
	if c.window == nil {
		return nil
	}
	// Close does not wait for a path that takes nothing.
	stop := context.AfterFunc(c.ctx, func() { conn.wire.breakOff(ErrClosed) })
	defer stop()
	for _, p := range c.window.snapshot() {
		if _, err := conn.send(c.ctx, p, again); err != nil {
			return err
		}
		c.counters.messagesResent.Add(1)
		if c.careful {
			if err := conn.answersPing(c.ctx); err != nil {
				return err
			}
		}
	}
	c.careful = false
	return nil
}

// blame is called when a connection has ended with cause and is settled: if
// the gateway closed it for a message, that message must not be sent again.
func (c *Client) blame(cause error) {
	var closed *CloseError
	if c.window == nil || !errors.As(cause, &closed) || !closed.rejects() {
		return
	}
	switch n := c.window.len(); {
	case n == 0:
	case n == 1 || c.careful:
		c.recordLoss(1, cause) // first, for the Flush that waits for the window
		c.window.reject()
	default:
		c.careful = true
	}
}

// answersPing sends a PING and waits for its PONG, for at most
// Keepalive.Timeout.
func (conn *Conn) answersPing(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, conn.client.opts.Keepalive.Timeout)
	defer cancel()
	_, err := conn.ping(limited, conn.pass)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return fmt.Errorf("%w within %v", ErrNoPong, conn.client.opts.Keepalive.Timeout)
	}
	return err
}

// shut performs the close handshake with status 1000 and returns when the
// connection is dead, at the latest after timeout. It reports whether the peer
// has answered. That proves nothing of the messages before it: a close by the
// gateway that has crossed ours looks the same. The PONG of the PING that goes
// before our CLOSE does.
func (conn *Conn) shut(timeout time.Duration) (answered bool) {
	if conn.isDead() {
		return false // a CLOSE that came before ours answers nothing
	}
	conn.wire.seal() // a Write that comes too late is no failure of the connection
	limit := time.AfterFunc(timeout, func() {
		conn.fail(errCloseTimeout)
		conn.wire.breakOff(errCloseTimeout)
	})
	defer limit.Stop()
	if err := conn.wire.close(1000); err != nil {
		conn.writeFailed(err)
		return false
	}
	for alive := true; alive; {
		select {
		case conn.pass <- struct{}{}: // the answer may be behind messages that nobody reads
		case <-conn.dead:
			alive = false
		}
	}
	var closed *CloseError
	return errors.As(conn.cause, &closed) && closed.Code == 1000
}
