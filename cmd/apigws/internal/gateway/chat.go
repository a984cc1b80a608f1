package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apigws/apigws/gatewaytest"
)

// A chat is the backend of --demo chat. The gateway keeps no list of connections for it, so it
// keeps its own.
type chat struct {
	gateway atomic.Pointer[gatewaytest.Server] // set when it runs

	mu  sync.Mutex // guards ids
	ids []string
}

func (c *chat) handle(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	rc := ev.RequestContext
	switch rc.EventType {
	case gatewaytest.EventConnect:
		c.broadcast(rc.ConnectionID + " joined")
		c.add(rc.ConnectionID) // after that: it cannot be sent to before this function has returned
	case gatewaytest.EventDisconnect:
		c.remove(rc.ConnectionID)
		c.broadcast(rc.ConnectionID + " left")
	case gatewaytest.EventMessage:
		c.broadcast(rc.ConnectionID + ": " + ev.Body)
	}
	return &gatewaytest.Response{StatusCode: http.StatusOK}, nil
}

// broadcast sends to everybody. Who has gone is left out of it from then on.
func (c *chat) broadcast(text string) {
	gateway := c.gateway.Load()
	c.mu.Lock()
	ids := slices.Clone(c.ids)
	c.mu.Unlock()
	for _, id := range ids {
		gone := (*gatewaytest.APIError)(nil)
		err := gateway.Post(id, []byte(text))
		if errors.As(err, &gone) && gone.StatusCode == http.StatusGone {
			c.remove(id)
		}
	}
}

func (c *chat) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id)
}

func (c *chat) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = slices.DeleteFunc(c.ids, func(other string) bool { return other == id })
}
