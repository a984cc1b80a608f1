package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// A Handler is a backend: it gets an event and returns a result, as a Lambda function behind a proxy integration does.
//
// On CONNECT the handshake waits for it: a nil Response, or a StatusCode of 0 or 2xx, lets the client in; any other is
// the status of the refusal; an error or a panic makes it 502. On MESSAGE, with Config.RouteResponse, a Body that is
// not empty is sent to the client; an error or a panic sends the error frame "Internal server error". On DISCONNECT the
// result does not matter, and, as on AWS, no guarantee is given that the event comes at all: it does not come once the
// Server is being closed.
//
// The messages of one connection are handled one after the other in the order they came, and its DISCONNECT last; the
// real gateway starts them as they come and may run them side by side. Different connections are handled concurrently.
// PINGs are answered meanwhile. The context ends with Config.IntegrationTimeout, where that of a real Lambda function
// goes on to the function's own, and when the Server is closed. A Handler that goes on regardless holds up Server.Close.
type Handler func(ctx context.Context, ev *Event) (*Response, error)

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

// invoke runs a handler, for as long as it may take.
func (s *Server) invoke(ctx context.Context, h Handler, ev *Event) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.IntegrationTimeout)
	defer cancel()
	type result struct {
		resp *Response
		err  error
	}
	done := make(chan result, 1)
	// A goroutine of its own, because the gateway gives up on a handler that does not.
	s.wg.Go(func() {
		r := result{err: errors.New("panic")}
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("handler panicked", "route", ev.RequestContext.RouteKey, "panic", p, "stack", string(debug.Stack()))
			}
			done <- r
		}()
		r.resp, r.err = h(ctx, ev)
	})
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
	}
	// Also if the handler returned because of it.
	switch err := ctx.Err(); err {
	case nil:
		return r.resp, r.err
	case context.DeadlineExceeded:
		return nil, errTimedOut
	default:
		return nil, err
	}
}

// errTimedOut is the gateway's own verdict, not to be mixed up with a timeout that a handler returns.
var errTimedOut = errors.New("gatewaytest: integration timed out")

// connect runs $connect. It returns the status of a refusal, or 0.
func (s *Server) connect(r *http.Request, id string, o origin) (*Response, int) {
	h := s.route.handlers["$connect"]
	if h == nil {
		return nil, 0
	}
	resp, err := s.invoke(r.Context(), h, s.connectEvent(r, id, o))
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

// mostWaiting is how many bytes of messages wait for the backend before the gateway stops reading from the client.
const mostWaiting = 1 << 20

// addTask puts a task in line, with mu held and the connection not closed, and starts the goroutine that handles the
// line, if there is none. A silent connection has none.
func (c *Conn) addTask(t task) {
	c.todo = append(c.todo, t)
	c.todoBytes += len(t.data)
	if !c.working {
		c.working = true
		c.srv.wg.Go(c.work)
	}
}

// work handles what is in line and ends when there is no more.
func (c *Conn) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.working = false }()
	for len(c.todo) > 0 && c.srv.ctx.Err() == nil {
		t := c.todo[0]
		c.mu.Unlock()
		if t.disconnect {
			c.handleDisconnect(t)
		} else {
			c.handleMessage(t.data)
		}
		c.mu.Lock()
		c.todoBytes -= len(t.data)
		if c.todo = c.todo[1:]; len(c.todo) == 0 {
			c.todo = nil // an idle connection holds no queue
		}
		c.room.Broadcast()
	}
}

func (c *Conn) handleMessage(data []byte) {
	s := c.srv
	key, h := s.route.forMessage(data)
	s.log.LogAttrs(s.ctx, slog.LevelDebug, "message",
		slog.String("conn", c.id), slog.String("route", key), slog.Int("bytes", len(data)))
	if s.route.echo {
		c.push(data, true)
		return
	}
	ev := c.messageEvent(key, data)
	if h == nil {
		c.sendError("Forbidden", ev)
		return
	}
	resp, err := s.invoke(s.ctx, h, ev)
	switch {
	case err == errTimedOut:
		c.sendError("Endpoint request timed out", ev)
	case errors.Is(err, ErrInvalidBody):
		c.sendError("Invalid request body", ev)
	case err != nil:
		s.log.Info("handler failed", "conn", c.id, "route", key, "error", err)
		c.sendError("Internal server error", ev)
	case s.cfg.RouteResponse && resp != nil && resp.Body != "":
		c.push([]byte(resp.Body), true)
	}
}

func (c *Conn) handleDisconnect(t task) {
	if h := c.srv.route.handlers["$disconnect"]; h != nil {
		c.srv.invoke(c.srv.ctx, h, c.disconnectEvent(t.code, t.reason))
	}
}

// sendError sends one of the gateway's own error frames, spaced as the real ones are.
func (c *Conn) sendError(message string, ev *Event) {
	c.push(fmt.Appendf(nil, `{"message": "%s", "connectionId":"%s", "requestId":"%s"}`,
		message, c.id, ev.RequestContext.RequestID), true)
}
