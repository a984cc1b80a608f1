package gatewaytest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A task is an event for the backend that waits for its turn.
type task struct {
	data       []byte // of a message
	disconnect bool
	code       int
	reason     string
}

// size is what a task counts for, so that empty messages cannot fill the memory either.
func (t task) size() int { return len(t.data) + 64 }

// Tasks are those of one connection, for the backend. The mutex of the Conn guards the fields.
type tasks struct {
	c       *Conn
	queue   []task
	bytes   int  // in the queue and being handled
	working bool // a goroutine empties the queue
	stalled bool // the reader waits for room
}

// mostWaiting is how many bytes of messages wait for the backend before the gateway stops reading
// from the client.
const mostWaiting = 1 << 20

// add puts a task in line, with mu held and the connection not closed, and starts the goroutine
// that handles the line, if there is none. A silent connection has none. With Config.Concurrent
// nothing waits for its turn.
func (q *tasks) add(t task) {
	c := q.c
	q.bytes += t.size()
	if c.srv.cfg.Concurrent {
		c.srv.wg.Go(func() {
			q.handle(t)
			c.mu.Lock()
			q.done(t)
			c.mu.Unlock()
		})
		return
	}
	q.queue = append(q.queue, t)
	if !q.working {
		q.working = true
		c.srv.wg.Go(q.work)
	}
}

// work handles what is in line and ends when there is no more.
func (q *tasks) work() {
	c := q.c
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { q.working = false }()
	for len(q.queue) > 0 {
		t := q.queue[0]
		c.mu.Unlock()
		q.handle(t)
		c.mu.Lock()
		if q.queue = q.queue[1:]; len(q.queue) == 0 {
			q.queue = nil // an idle connection holds no queue
		}
		q.done(t)
	}
}

// done makes room for others, with mu held.
func (q *tasks) done(t task) {
	c := q.c
	q.bytes -= t.size()
	c.room.Broadcast()
}

func (q *tasks) handle(t task) {
	c := q.c
	switch {
	case c.srv.ctx.Err() != nil: // the Server is being closed
	case t.disconnect:
		q.disconnect(t)
	default:
		q.message(t.data)
	}
}

func (q *tasks) message(data []byte) {
	c := q.c
	s := c.srv
	a := s.api.Load()
	r := a.forMessage(data)
	s.log.LogAttrs(s.ctx, slog.LevelDebug, "message",
		slog.String("conn", c.id), slog.String("route", r.key), slog.Int("bytes", len(data)))
	s.observer.add(Observation{Kind: Received, ConnectionID: c.id, Data: data, Route: r.key})
	limited := !r.limit.take(time.Now())
	if a.echo && !limited {
		c.out.push(Responded, data, true)
		return
	}
	ev := q.messageEvent(a, r.key, data)
	switch {
	case limited:
		q.fail(r.limited, ev)
		return
	case r.handler == nil:
		q.fail("Forbidden", ev)
		return
	}
	resp, err := call(s, s.ctx, r.timeout, r.key, r.handler, ev)
	switch {
	case err == errTimedOut:
		q.fail("Endpoint request timed out", ev)
	case errors.Is(err, ErrInvalidBody):
		q.fail("Invalid request body", ev)
	case err != nil:
		s.log.Info("handler failed", "conn", c.id, "route", r.key, "error", err)
		q.fail("Internal server error", ev)
	case r.respond && resp != nil && resp.Body != "":
		c.out.push(Responded, []byte(resp.Body), true)
	}
}

func (q *tasks) disconnect(t task) {
	c := q.c
	a := c.srv.api.Load()
	if r := a.routes["$disconnect"]; r != nil {
		call(c.srv, c.srv.ctx, r.timeout, r.key, r.handler, q.disconnectEvent(a, t.code, t.reason))
	}
}

// fail sends one of the gateway's own error frames, spaced as the real ones are.
func (q *tasks) fail(message string, ev *Event) {
	c := q.c
	c.out.push(Failed, fmt.Appendf(nil, `{"message": "%s", "connectionId":"%s", "requestId":"%s"}`,
		message, c.id, ev.RequestContext.RequestID), true)
}
