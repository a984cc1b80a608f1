package apigws

import (
	"context"
	"sync"

	"github.com/apigws/apigws/internal/session"
)

// Flush returns nil when the gateway has every message whose Write has returned: a PONG proves it.
// Messages that lost connections have left unconfirmed since the last Flush are an error that wraps
// ErrUnconfirmed and the reason of the loss. Each is reported once; a Flush that runs beside a
// Write may report its message and end just before that Write returns nil. If the PONG takes longer
// than Keepalive.Timeout, the error wraps ErrUnconfirmed and ErrNoPong.
//
// With Options.Resend, Flush waits until ctx ends for the window to empty, across reconnects;
// messages that the gateway refused are an error as above.
//
// While Flush waits, up to 4 MiB of messages are received that nobody reads, for the PONG may be
// behind them. If it is behind more, the error wraps ErrUnconfirmed.
func (c *Client) Flush(ctx context.Context) error {
	if w := c.sessions.Window; w != nil {
		err := c.whileReading(ctx, func(ctx context.Context) error { return w.Flush(ctx, c.done) })
		if err != nil {
			return errorf("%w: %w", ErrUnconfirmed, err)
		}
		return c.losses.take()
	}
	if conn := c.line.lastUsed(); conn != nil && conn.session.Unacknowledged() > 0 {
		if err := conn.flush(ctx); err != nil {
			return errorf("%w: %w", ErrUnconfirmed, err)
		}
	}
	return c.losses.take()
}

// flush asks for a PONG. That conn is lost is no error here: what it lost is in the accounts when
// flush returns.
func (conn *connection) flush(ctx context.Context) error {
	err := conn.provePings(ctx)
	if !conn.session.IsDead() {
		return err
	}
	select {
	case <-conn.whenSettled():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unconfirmed returns, after the client has ended, the messages of Options.Resend that were not
// seen to arrive, in their order: first those for which the gateway closed a connection, as many of
// the last as the window holds, then those that remained. They may have arrived. Before the end it
// returns what is unconfirmed at the moment.
func (c *Client) Unconfirmed() [][]byte {
	if c.sessions.Window == nil {
		return nil
	}
	return c.sessions.Window.Unconfirmed()
}

// losses are the messages lost, or refused, that no Flush has reported.
type losses struct {
	mu    sync.Mutex // guards what follows
	n     int64      // not reported yet
	total int64
	cause error // of the last
}

// add notes messages that were not acknowledged, for the next Flush.
func (l *losses) add(n int64, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += n
	l.total += n
	l.cause = cause
}

// all returns how many messages there were since the client was made, reported or not.
func (l *losses) all() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// peek returns the error that reports the losses, or nil.
func (l *losses) peek() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err()
}

// take does as peek; the losses have been told then.
func (l *losses) take() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.err()
	l.n = 0
	return err
}

func (l *losses) err() error {
	if l.n == 0 {
		return nil
	}
	return errorf("%w: %d messages: %w", ErrUnconfirmed, l.n, l.cause)
}

// resend writes on a new connection what earlier ones left unacknowledged, before anything else. If
// the gateway has closed a connection for one of the messages, they go one at a time, so that the
// next time it is known which.
func (l *life) resend(conn *connection) error {
	c := l.client
	w := c.sessions.Window
	if w == nil {
		return nil
	}
	// Close does not wait for a path that takes nothing.
	stop := context.AfterFunc(c.ctx, func() { conn.session.Abort(ErrClosed) })
	defer stop()
	for _, p := range w.Kept() {
		if _, err := conn.session.Send(c.ctx, p, session.Again); err != nil {
			return err
		}
		c.counters.messagesResent.Add(1)
		if w.OneByOne() {
			if err := conn.provePings(c.ctx); err != nil {
				return err
			}
		}
	}
	w.Resent()
	return nil
}

// reject is called when a connection has been lost for the given cause and is settled: a message
// for which the gateway closed it must not be sent again.
func (l *life) reject(cause error) {
	c := l.client
	closed, ok := cause.(*CloseError)
	if c.sessions.Window == nil || !ok || !closed.rejects() {
		return
	}
	if c.sessions.Window.Suspect() {
		c.losses.add(1, cause) // first, for the Flush that waits for the window
		c.sessions.Window.Reject()
	}
}
