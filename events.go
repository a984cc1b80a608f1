package apigws

import (
	"context"
	"log/slog"
	"time"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/errorframe"
	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
)

// maxWaiting is how many changes of state, and how many log lines, wait while the hook or the
// handler blocks.
const maxWaiting = 1000

// events call the hooks that hear of what happens, and the logger. Neither holds the client up, and
// both may call it: each kind runs on a goroutine of its own while there is something to run. While
// it blocks, no more than maxWaiting changes of state and log lines wait; error frames wait in a
// queue with a bound of its own.
type events struct {
	client  *Client
	log     *slog.Logger
	lines   *callback.Handler           // that of log
	hooks   callback.Queue              // OnState and OnGatewayError
	changes *callback.Feed[StateChange] // to OnState; nil if OnState is not set

	// Of IsReply, Retry and OnRetire: none runs twice at once.
	reply, retry, retire callback.Turn
}

func newEvents(c *Client) *events {
	e := &events{client: c}
	logger, least := c.opts.Logger, slog.LevelDebug
	if logger == nil {
		logger, least = slog.Default(), slog.LevelWarn
	}
	e.lines = callback.NewHandler(logger.Handler(), least, maxWaiting)
	e.log = slog.New(e.lines)
	if onState := c.opts.OnState; onState != nil {
		merge := func(last, next StateChange) StateChange {
			next.From = last.From
			return next
		}
		e.changes = callback.NewFeed(&e.hooks, maxWaiting, merge, func(s StateChange) { onState(c, s) })
	}
	return e
}

// wait waits until all hooks and log lines that were queued have run, or ctx ends.
func (e *events) wait(ctx context.Context) {
	e.hooks.WaitContext(ctx)
	e.lines.WaitContext(ctx)
}

// state tells the logger and OnState of a change.
func (e *events) state(to State, err error, retryIn time.Duration) {
	change := e.client.status.change(to, err, retryIn)
	if change.From == to && to != StateOpen {
		return
	}
	e.logState(change)
	if e.changes != nil {
		e.changes.Add(change)
	}
}

func (e *events) logState(change StateChange) {
	args := []any{"state", change.To.String(), "generation", change.Generation}
	switch {
	case change.To == StateOpen:
		e.log.Info("connected", append(args, "rotated", change.From == StateOpen)...)
	case change.To == StateBackoff && change.From == StateOpen: // the reason was just logged
		e.log.Info("reconnecting", append(args, "retry_in", change.RetryIn)...)
	case change.To == StateBackoff:
		e.log.Warn("not connected", append(args, "error", change.Err, "retry_in", change.RetryIn)...)
	case change.To == StateClosed && change.Err != nil:
		e.log.Error("client ended", append(args, "error", change.Err)...)
	default:
		e.log.Debug("state changed", append(args, "error", change.Err)...)
	}
}

// intercept keeps from Read what is not for it, and reports whether it did. It runs on the
// goroutine that reads the connection.
func (e *events) intercept(s *session.Session, p []byte) bool {
	opts := e.client.opts
	if opts.Keepalive.IsReply != nil && e.isReply(s, p) {
		return true
	}
	if opts.OnGatewayError == nil || errorframe.Parse(p) == nil {
		return false
	}
	items := []queue.Item{{Data: p}}
	dropped := 0
	if e.client.errors.TryPush(items) == 0 {
		s.Hold(func() { _, dropped = e.client.errors.Push(items, s.Dead()) })
	}
	if dropped == 0 {
		e.hooks.Run(e.gatewayError)
	} else {
		e.client.counters.Dropped.Add(1)
	}
	return true
}

// isReply asks IsReply. A session that is not open any more does not wait for its turn.
func (e *events) isReply(s *session.Session, p []byte) (reply bool) {
	if !e.reply.Take(s.Dead()) {
		return false
	}
	defer e.reply.Give()
	callback.Run(func() { reply = e.client.opts.Keepalive.IsReply(p) })
	return reply
}

// gatewayError lets OnGatewayError have the next error frame.
func (e *events) gatewayError() {
	c := e.client
	if item, ok := c.errors.Pop(context.Background()); ok {
		c.opts.OnGatewayError(c, (*GatewayError)(errorframe.Parse(item.Data)))
	}
}

// worthRetrying asks Retry.
func (e *events) worthRetrying(err error) (again bool) {
	if !e.retry.Take(e.client.ctx.Done()) {
		return false
	}
	defer e.retry.Give()
	if callback.Do(func() { again = e.client.opts.Reconnect.Retry(err) }) != nil {
		return Retryable(err) // it has not answered
	}
	return again
}

// connectionRetired lets OnRetire have a connection. Where earlier calls of it leave no time before
// ctx ends, it is not called.
func (e *events) connectionRetired(ctx context.Context, conn *Conn) error {
	if e.retire.Take(ctx.Done()) {
		defer e.retire.Give()
		e.client.opts.OnRetire(ctx, conn)
	}
	return nil
}
