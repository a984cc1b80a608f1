package gatewaytest

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"
)

// A Handler is a backend: it gets an event and returns a result, as a Lambda function behind a
// proxy integration does.
//
// On CONNECT the handshake waits for it: a nil Response, or a StatusCode of 0 or 2xx, lets the
// client in; any other is the status of the refusal; an error or a panic makes it 502. On MESSAGE,
// with Config.RouteResponse, a Body that is not empty is sent to the client; an error or a panic
// sends the error frame "Internal server error". On DISCONNECT the result does not matter, and, as
// on AWS, no guarantee is given that the event comes at all: it does not come once the Server is
// being closed.
//
// The messages of one connection are handled one after the other in the order they came, and its
// DISCONNECT last, unless Config.Concurrent is set. Different connections are handled concurrently.
// PINGs are answered meanwhile. The context ends with Config.IntegrationTimeout, where that of a
// real Lambda function goes on to the function's own, and when the Server is closed. A Handler that
// goes on regardless holds up Server.Close.
type Handler func(ctx context.Context, ev *Event) (*Response, error)

// Silent is a Handler that answers nothing and lets every client in.
func Silent(context.Context, *Event) (*Response, error) { return nil, nil }

// ErrInvalidBody, returned by a Handler for a message, makes the client get the error frame
// "Invalid request body", as the gateway sends it by itself where the route has a model that the
// message does not fit.
var ErrInvalidBody = errors.New("gatewaytest: invalid request body")

// A Response is what a Handler returns.
type Response struct {
	// StatusCode decides on CONNECT: 0 and 2xx let the client in.
	StatusCode int `json:"statusCode"`

	// Headers matter on CONNECT: Sec-WebSocket-Protocol is put into the 101.
	Headers map[string]string `json:"headers,omitempty"`

	// Body matters on MESSAGE: a route response sends it to the client.
	Body string `json:"body,omitempty"`
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

// errTimedOut is the gateway's own verdict, not to be mixed up with a timeout that a handler
// returns.
var errTimedOut = errors.New("gatewaytest: integration timed out")
