package apigws

import (
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
)

// Read returns the next message, in the order in which its connection brought it. It waits until
// there is one, across reconnects, until ctx ends, or until the client has ended and nothing is
// left to return. Cancelling ctx costs neither a message nor the connection. The caller owns the
// memory of the message.
//
// A message larger than Limits.Message is skipped, and a *TooLargeError is returned in its place. A
// text message that is not UTF-8 is never returned: it ends its connection with 1007, as RFC 6455
// requires.
//
// Messages that are not read hold the connection back: after 64 of them, or 256 KiB, nothing more
// is taken from the socket, and the gateway's own buffer fills. While a call waits for the gateway
// to acknowledge something (Flush, Ping, Close, a Write with Options.Resend), up to 4 MiB are
// taken, since the acknowledgement may be behind them.
func (c *Client) Read(ctx context.Context) ([]byte, error) {
	if item, ok := c.queue.Pop(ctx); ok {
		return c.opts.message(item)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, c.Err()
}

// ReadInto is Read into buf[:0], which grows if it must, and returns it. It spares the garbage
// collector the memory of each message. On an error it returns buf[:0].
func (c *Client) ReadInto(ctx context.Context, buf []byte) ([]byte, error) {
	p, err := c.Read(ctx)
	if err != nil {
		return buf[:0], err
	}
	buf = append(buf[:0], p...)
	session.Recycle(p)
	return buf, nil
}

// message makes of an item what Read returns.
func (o *Options) message(item queue.Item) ([]byte, error) {
	if item.Skipped() {
		return nil, &TooLargeError{int(item.Size), o.Limits.Message}
	}
	return item.Data, nil
}

// ReadJSON reads the next message into v. An error of encoding/json means that the message has been
// taken and did not fit v.
func (c *Client) ReadJSON(ctx context.Context, v any) error {
	p, err := c.Read(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(p, v)
}

// Messages returns what Read returns, one message after the other. A *TooLargeError stands in its
// place and does not end the loop. Close ends the loop without an error. The end of ctx, and a
// failure that has ended the client, are yielded last.
func (c *Client) Messages(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			p, err := c.Read(ctx)
			var skipped *TooLargeError
			switch {
			case err == ErrClosed:
				return
			case !yield(p, err) || err != nil && !errors.As(err, &skipped):
				return
			}
		}
	}
}
