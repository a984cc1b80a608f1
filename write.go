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
	w := c.sessions.Window
	if w != nil && !w.TryReserve(len(p)) {
		err := c.whileReading(ctx, func(ctx context.Context) error {
			return w.Reserve(ctx, c.ctx.Done(), len(p))
		})
		if err != nil {
			return notSent(err)
		}
	}
	var conn *connection
	for {
		var err error
		conn, err = c.line.await(ctx, conn)
		if err != nil {
			if w != nil {
				w.Release(len(p))
			}
			return notSent(err)
		}
		outcome, err := conn.session.Send(ctx, p, session.Fresh)
		switch {
		case outcome == session.Sent:
			return nil
		case outcome == session.NotSent:
			continue // on the next connection
		case w != nil:
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

// whileReading calls wait, for what comes with PONGs, again and again until it returns something
// else than the end of its ctx. The PONGs may be behind messages that nobody reads, perhaps because
// the caller would read them or is the OnGatewayError that they wait for: when even a widened queue
// has been full for a while, whileReading gives up rather than wait for what cannot come.
func (c *Client) whileReading(ctx context.Context, wait func(context.Context) error) error {
	defer c.makeRoom(nil)()
	for {
		limited, cancel := context.WithTimeout(ctx, c.opts.Keepalive.Timeout)
		err := wait(limited)
		cancel()
		switch {
		case errors.Is(err, window.ErrStopped):
			return c.status.reason()
		case err == nil, ctx.Err() != nil:
			return err
		case c.queue.Overfull(), c.errors != nil && c.errors.Overfull():
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
