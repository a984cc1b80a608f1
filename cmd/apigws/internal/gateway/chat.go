package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/apigws/apigws/gatewaytest"
)

// chat is a backend as one would write it for AWS: the gateway keeps no list of connections for it, so it keeps its own,
// and it sends through @connections.
type chat struct {
	mu  sync.Mutex
	ids []string
}

func (c *chat) handle(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	rc := ev.RequestContext
	switch rc.EventType {
	case gatewaytest.EventConnect:
		c.broadcast(ctx, rc, rc.ConnectionID+" joined")
		c.add(rc.ConnectionID) // after that: it cannot be sent to before this function has returned
	case gatewaytest.EventDisconnect:
		c.remove(rc.ConnectionID)
		c.broadcast(ctx, rc, rc.ConnectionID+" left")
	case gatewaytest.EventMessage:
		c.broadcast(ctx, rc, rc.ConnectionID+": "+ev.Body)
	}
	return &gatewaytest.Response{StatusCode: http.StatusOK}, nil
}

// broadcast sends to everybody. Who cannot be reached is left out of it from then on.
func (c *chat) broadcast(ctx context.Context, rc gatewaytest.RequestContext, text string) {
	c.mu.Lock()
	ids := slices.Clone(c.ids)
	c.mu.Unlock()
	for _, id := range ids {
		url := "http://" + rc.DomainName + "/" + rc.Stage + "/@connections/" + id
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(text))
		if err != nil {
			continue
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusGone {
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
