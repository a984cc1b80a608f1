package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// A Handler is a backend: it gets an event and returns a result, as a Lambda function behind a proxy integration does.
//
// On CONNECT the handshake waits for it: a nil Response, or a StatusCode of 0 or 2xx, lets the client in; any other is
// the status of the refusal; an error or a panic makes it 502. On MESSAGE, with Config.RouteResponse, a Body that is
// not empty is sent to the client; an error or a panic sends the error frame "Internal server error". On DISCONNECT the
// result does not matter, and, as on AWS, no guarantee is given that the event comes at all: it does not come once the
// Server is being closed.
//
// The messages of one connection are handled one after the other in the order they came, and its DISCONNECT last,
// unless Config.Concurrent is set. Different connections are handled concurrently.
// PINGs are answered meanwhile. The context ends with Config.IntegrationTimeout, where that of a real Lambda function
// goes on to the function's own, and when the Server is closed. A Handler that goes on regardless holds up Server.Close.
type Handler func(ctx context.Context, ev *Event) (*Response, error)

// Silent is a Handler that answers nothing and lets every client in.
func Silent(context.Context, *Event) (*Response, error) { return nil, nil }

// ErrInvalidBody, returned by a Handler for a message, makes the client get the error frame "Invalid request body", as
// the gateway sends it by itself where the route has a model that the message does not fit.
var ErrInvalidBody = errors.New("gatewaytest: invalid request body")

// A Response is what a Handler returns.
type Response struct {
	StatusCode int               `json:"statusCode"`        // on CONNECT: 0 and 2xx let the client in
	Headers    map[string]string `json:"headers,omitempty"` // on CONNECT: Sec-WebSocket-Protocol, put into the 101
	Body       string            `json:"body,omitempty"`    // on MESSAGE: sent to the client, with Config.RouteResponse
}

// header returns a header whatever its spelling.
func (r *Response) header(name string) string {
	if r != nil {
		for k, v := range r.Headers {
			if strings.EqualFold(k, name) {
				return v
			}
		}
	}
	return ""
}

// call runs a Handler or a function like it, for as long as it may take.
func call[I, O any](s *Server, ctx context.Context, timeout time.Duration, name string,
	f func(context.Context, I) (O, error), in I) (O, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type result struct {
		out O
		err error
	}
	done := make(chan result, 1)
	// A goroutine of its own, because the gateway gives up on a handler that does not.
	s.wg.Go(func() {
		r := result{err: errors.New("panic")}
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("handler panicked", "route", name, "panic", p, "stack", string(debug.Stack()))
			}
			done <- r
		}()
		r.out, r.err = f(ctx, in)
	})
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
	}
	// Also if the handler returned because of it.
	var none O
	switch err := ctx.Err(); err {
	case nil:
		return r.out, r.err
	case context.DeadlineExceeded:
		return none, errTimedOut
	default:
		return none, err
	}
}

// errTimedOut is the gateway's own verdict, not to be mixed up with a timeout that a handler returns.
var errTimedOut = errors.New("gatewaytest: integration timed out")

// connect runs $connect. It returns the status of a refusal, or 0.
func (s *Server) connect(a *api, r *http.Request, id string, o origin) (*Response, int) {
	route := a.routes["$connect"]
	switch {
	case !route.limit.take(time.Now()):
		return nil, http.StatusTooManyRequests
	case route.handler == nil:
		return nil, 0
	}
	resp, err := call(s, r.Context(), route.timeout, route.key, route.handler, s.connectEvent(a, r, id, o))
	switch {
	case err == errTimedOut:
		return nil, http.StatusGatewayTimeout
	case err != nil:
		s.log.Info("handler failed", "conn", id, "route", "$connect", "error", err)
		return nil, http.StatusBadGateway
	case resp == nil || resp.StatusCode == 0 || resp.StatusCode/100 == 2:
		return resp, 0
	case resp.StatusCode < 200 || resp.StatusCode > 599:
		return nil, http.StatusBadGateway // no answer to a handshake
	}
	return nil, resp.StatusCode
}

// A task is an event for the backend that waits for its turn.
type task struct {
	data       []byte // of a message
	disconnect bool
	code       int
	reason     string
}

// size is what a task counts for, so that empty messages cannot fill the memory either.
func (t task) size() int { return len(t.data) + 64 }

// Tasks are those of one connection, guarded by its mutex.
type tasks struct {
	queue   []task
	bytes   int  // in the queue and being handled
	working bool // a goroutine empties the queue
	stalled bool // the reader waits for room
}

// mostWaiting is how many bytes of messages wait for the backend before the gateway stops reading from the client.
const mostWaiting = 1 << 20

// addTask puts a task in line, with mu held and the connection not closed, and starts the goroutine that handles the
// line, if there is none. A silent connection has none. With Config.Concurrent nothing waits for its turn.
func (c *Conn) addTask(t task) {
	c.todo.bytes += t.size()
	if c.srv.cfg.Concurrent {
		c.srv.wg.Go(func() {
			c.handle(t)
			c.mu.Lock()
			c.taskDone(t)
			c.mu.Unlock()
		})
		return
	}
	c.todo.queue = append(c.todo.queue, t)
	if !c.todo.working {
		c.todo.working = true
		c.srv.wg.Go(c.work)
	}
}

// work handles what is in line and ends when there is no more.
func (c *Conn) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.todo.working = false }()
	for len(c.todo.queue) > 0 {
		t := c.todo.queue[0]
		c.mu.Unlock()
		c.handle(t)
		c.mu.Lock()
		if c.todo.queue = c.todo.queue[1:]; len(c.todo.queue) == 0 {
			c.todo.queue = nil // an idle connection holds no queue
		}
		c.taskDone(t)
	}
}

// taskDone makes room for others, with mu held.
func (c *Conn) taskDone(t task) {
	c.todo.bytes -= t.size()
	c.room.Broadcast()
}

func (c *Conn) handle(t task) {
	switch {
	case c.srv.ctx.Err() != nil: // the Server is being closed
	case t.disconnect:
		c.handleDisconnect(t)
	default:
		c.handleMessage(t.data)
	}
}

func (c *Conn) handleMessage(data []byte) {
	s := c.srv
	a := s.api.Load()
	r := a.forMessage(data)
	s.log.LogAttrs(s.ctx, slog.LevelDebug, "message",
		slog.String("conn", c.id), slog.String("route", r.key), slog.Int("bytes", len(data)))
	s.observer.add(Observation{Kind: Received, ConnectionID: c.id, Data: data, Route: r.key})
	limited := !r.limit.take(time.Now())
	if a.echo && !limited {
		c.push(Responded, data, true)
		return
	}
	ev := c.messageEvent(a, r.key, data)
	switch {
	case limited:
		c.sendError(r.limited, ev)
		return
	case r.handler == nil:
		c.sendError("Forbidden", ev)
		return
	}
	resp, err := call(s, s.ctx, r.timeout, r.key, r.handler, ev)
	switch {
	case err == errTimedOut:
		c.sendError("Endpoint request timed out", ev)
	case errors.Is(err, ErrInvalidBody):
		c.sendError("Invalid request body", ev)
	case err != nil:
		s.log.Info("handler failed", "conn", c.id, "route", r.key, "error", err)
		c.sendError("Internal server error", ev)
	case r.respond && resp != nil && resp.Body != "":
		c.push(Responded, []byte(resp.Body), true)
	}
}

func (c *Conn) handleDisconnect(t task) {
	a := c.srv.api.Load()
	if r := a.routes["$disconnect"]; r != nil {
		call(c.srv, c.srv.ctx, r.timeout, r.key, r.handler, c.disconnectEvent(a, t.code, t.reason))
	}
}

// sendError sends one of the gateway's own error frames, spaced as the real ones are.
func (c *Conn) sendError(message string, ev *Event) {
	c.push(Failed, fmt.Appendf(nil, `{"message": "%s", "connectionId":"%s", "requestId":"%s"}`,
		message, c.id, ev.RequestContext.RequestID), true)
}
