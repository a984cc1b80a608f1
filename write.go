package apigws

import (
	"context"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/apigws/apigws/internal/session"
	"github.com/apigws/apigws/internal/window"
)

// Write sends p as one text message, in frames of at most Limits.Frame. It waits for an open
// connection, until ctx ends, and returns when the operating system has taken the whole message:
// nil does not say that the gateway has it. Flush does, and Options.Resend makes up for lost
// connections. p may be reused when Write has returned. Writes of one goroutine reach the gateway
// in their order, across reconnects and rotations too.
//
// A message larger than Limits.Message is a *TooLargeError, one that is not UTF-8 is ErrNotText;
// neither touches the connection. An error that wraps ErrNotSent says that nothing was sent that
// the gateway could deliver. An error that wraps ErrUnconfirmed says that the connection was lost,
// and the message may have arrived. A message that a lost connection has truncated cannot be
// delivered; Write sends it whole on the next connection.
//
// Once a message is on its way to the socket, WriteTimeout bounds Write rather than ctx. Cancelling
// ctx never costs the connection.
//
// With Options.Resend, Write waits for room in the window first. From then on the client answers
// for the message: a lost connection is no error.
func (c *Client) Write(ctx context.Context, p []byte) error {
	if err := c.opts.checkMessage(p); err != nil {
		return err
	}
	if c.sessions.Window != nil {
		if err := c.reserve(ctx, len(p)); err != nil {
			return notSent(err)
		}
	}
	var conn *connection
	for {
		var err error
		conn, err = c.await(ctx, conn)
		if err != nil {
			if c.sessions.Window != nil {
				c.sessions.Window.Release(len(p))
			}
			return notSent(err)
		}
		outcome, err := conn.session.Send(ctx, p, session.Fresh)
		switch {
		case outcome == session.Sent:
			return nil
		case outcome == session.NotSent:
			continue // on the next connection
		case c.sessions.Window != nil:
			return nil // the window has it
		case outcome == session.Unconfirmed:
			return errorf("%w: %w", ErrUnconfirmed, err)
		}
		// Truncated: the next connection gets it, unless the gateway objects to it.
		var closed *CloseError
		if errors.As(err, &closed) && closed.rejects() {
			return errorf("%w: %w", ErrNotSent, err)
		}
	}
}

// WriteJSON writes the JSON of v as one message, as Write does.
func (c *Client) WriteJSON(ctx context.Context, v any) error {
	p, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Write(ctx, p)
}

// reserve waits for room in the window for n bytes. Room comes with PONGs, which may be behind
// messages that nobody reads, perhaps because the caller would read them: when even the widened
// queue is full, reserve gives up rather than wait for what cannot come.
func (c *Client) reserve(ctx context.Context, n int) error {
	if c.ctx.Err() != nil {
		return c.status.reason()
	}
	if c.sessions.Window.TryReserve(n) {
		return nil
	}
	defer c.makeRoom(nil)()
	return c.whileReading(ctx, func(ctx context.Context) error {
		return c.sessions.Window.Reserve(ctx, c.ctx.Done(), n)
	})
}

// whileReading calls wait, again and again as long as it returns because its ctx has ended, until
// the caller's ctx has ended or the queue of messages has been full for a while.
func (c *Client) whileReading(ctx context.Context, wait func(context.Context) error) error {
	for {
		limited, cancel := context.WithTimeout(ctx, c.opts.Keepalive.Timeout)
		err := wait(limited)
		cancel()
		switch {
		case errors.Is(err, window.ErrStopped):
			return c.status.reason()
		case err == nil, ctx.Err() != nil:
			return err
		case c.queue.Overfull():
			return errUnread
		}
	}
}

// notSent is the error of a Write that has sent nothing.
func notSent(err error) error { return errorf("%w: %w", ErrNotSent, err) }

// checkMessage checks a message to be sent.
func (o *Options) checkMessage(p []byte) error {
	if limit := o.Limits.Message; len(p) > limit {
		return &TooLargeError{len(p), limit}
	}
	if !utf8.Valid(p) {
		return ErrNotText
	}
	return nil
}
