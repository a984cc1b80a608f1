package apigws

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
)

// events call the hooks that hear of what happens, and the logger. Neither holds the client up, and
// both may call it: each kind runs on a goroutine of its own while there is something to run. While
// it blocks, no more than maxWaiting changes of state and log lines wait; error frames wait in a
// queue with a bound of its own.
type events struct {
	client *Client
	log    *slog.Logger
	least  slog.Level // what is below is not logged

	hooks callback.Queue // OnState and OnGatewayError
	lines callback.Queue // for the logger

	changes changes      // for OnState
	dropped atomic.Int64 // lines, since the last that was queued

	// Of IsReply, Retry and OnRetire, of those that the client has: none runs twice at once.
	reply, retry, retire callback.Turn
}

func newEvents(c *Client) *events {
	e := &events{
		client: c,
		log:    c.opts.Logger,
		least:  slog.LevelDebug,
	}
	if c.opts.Keepalive.IsReply != nil {
		e.reply = callback.NewTurn()
	}
	if c.opts.Reconnect.Retry != nil {
		e.retry = callback.NewTurn()
	}
	if c.opts.OnRetire != nil {
		e.retire = callback.NewTurn()
	}
	if e.log == nil {
		e.log, e.least = slog.Default(), slog.LevelWarn
	}
	return e
}

// wait waits until all hooks and log lines that were queued have run, or ctx ends.
func (e *events) wait(ctx context.Context) {
	if e.hooks.WaitContext(ctx) == nil {
		e.lines.WaitContext(ctx)
	}
}

// state tells the logger and OnState of a change.
func (e *events) state(to State, err error, retryIn time.Duration) {
	c := e.client
	change := c.status.change(to, err, retryIn)
	if change.From == to && to != StateOpen {
		return
	}
	e.logState(change)
	if c.opts.OnState != nil && e.changes.add(change) {
		e.hooks.Run(func() { c.opts.OnState(c, e.changes.take()) })
	}
}

// maxWaiting is how many changes of state, and how many log lines, wait while the hook or the
// handler blocks.
const maxWaiting = 1000

// changes are the changes of state that OnState has not been told of.
type changes struct {
	mu      sync.Mutex // guards what follows
	waiting []StateChange
}

// add adds a change, and reports whether a call of OnState is to take it. Where too many wait, the
// last of them and this one become one instead.
func (c *changes) add(change StateChange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.waiting); n >= maxWaiting {
		change.From = c.waiting[n-1].From
		c.waiting[n-1] = change
		return false
	}
	c.waiting = append(c.waiting, change)
	return true
}

// take takes the first change.
func (c *changes) take() StateChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	change := c.waiting[0]
	c.waiting[0] = StateChange{}
	c.waiting = c.waiting[1:]
	return change
}

func (e *events) logState(change StateChange) {
	args := []any{"state", change.To.String(), "generation", change.Generation}
	switch {
	case change.To == StateOpen:
		e.record(slog.LevelInfo, "connected", append(args, "rotated", change.From == StateOpen)...)
	case change.To == StateBackoff && change.From == StateOpen: // the reason was just logged
		e.record(slog.LevelInfo, "reconnecting", append(args, "retry_in", change.RetryIn)...)
	case change.To == StateBackoff:
		e.record(slog.LevelWarn, "not connected", append(args, "error", change.Err, "retry_in", change.RetryIn)...)
	case change.To == StateClosed && change.Err != nil:
		e.record(slog.LevelError, "client ended", append(args, "error", change.Err)...)
	default:
		e.record(slog.LevelDebug, "state changed", append(args, "error", change.Err)...)
	}
}

func (e *events) warn(msg string, args ...any) { e.record(slog.LevelWarn, msg, args...) }

// record logs a line, with the time and the place of the call. The logger's handler is the user's:
// it may block, or call the client.
func (e *events) record(level slog.Level, msg string, args ...any) {
	if level < e.least {
		return
	}
	if e.lines.Len() >= maxWaiting {
		e.dropped.Add(1)
		return
	}
	var pc [1]uintptr
	runtime.Callers(2, pc[:])
	r := slog.NewRecord(time.Now(), level, msg, pc[0])
	r.Add(args...)
	if n := e.dropped.Swap(0); n > 0 {
		r.Add("lines_dropped", n)
	}
	e.lines.Run(func() {
		if h := e.log.Handler(); h.Enabled(context.Background(), level) {
			h.Handle(context.Background(), r)
		}
	})
}

// intercept keeps from Read what is not for it, and reports whether it did. It runs on the
// goroutine that reads the connection.
func (e *events) intercept(s *session.Session, p []byte) bool {
	opts := e.client.opts
	if opts.Keepalive.IsReply != nil && e.isReply(s, p) {
		return true
	}
	if opts.OnGatewayError == nil || parseGatewayError(p) == nil {
		return false
	}
	item := queue.Item{Data: p}
	added := e.client.errors.TryPush(item)
	if !added {
		s.Hold(func() { _, added = e.client.errors.Push(item, s.Dead()) })
	}
	if added {
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
	if item, ok := c.errors.Pop(context.Background(), c.ctx.Done()); ok {
		c.opts.OnGatewayError(c, parseGatewayError(item.Data))
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
