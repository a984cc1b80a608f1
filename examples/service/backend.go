package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/apigws/apigws/gatewaytest"
)

// A backend stands behind the embedded gateway: it tells subscribers of
// orders. As behind the real gateway, all it knows of a client is its
// connectionId.
type backend struct {
	gateway *gatewaytest.Server

	mu          sync.Mutex
	subscribers []string
}

func newBackend(start func(*gatewaytest.Config) *gatewaytest.Server) *backend {
	b := new(backend)
	b.gateway = start(&gatewaytest.Config{Routes: map[string]gatewaytest.Handler{
		"subscribe":   b.subscribe,
		"order":       b.order,
		"$disconnect": b.disconnect,
	}})
	return b
}

func (b *backend) subscribe(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	id := ev.RequestContext.ConnectionID
	b.mu.Lock()
	b.subscribers = append(b.subscribers, id)
	b.mu.Unlock()
	return &gatewaytest.Response{StatusCode: http.StatusOK}, b.gateway.Post(id, []byte(`{"action":"subscribed"}`))
}

func (b *backend) order(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	b.mu.Lock()
	ids := slices.Clone(b.subscribers)
	b.mu.Unlock()
	for _, id := range ids {
		var gone *gatewaytest.APIError
		err := b.gateway.Post(id, []byte(ev.Body))
		switch {
		case errors.As(err, &gone) && gone.StatusCode == http.StatusGone:
			b.unsubscribe(id) // $disconnect is best effort
		case err != nil:
			return nil, err
		}
	}
	return &gatewaytest.Response{StatusCode: http.StatusOK}, nil
}

func (b *backend) disconnect(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	b.unsubscribe(ev.RequestContext.ConnectionID)
	return nil, nil
}

func (b *backend) unsubscribe(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = slices.DeleteFunc(b.subscribers, func(other string) bool { return other == id })
}

// drop resets every connection, as a failing network does.
func (b *backend) drop() {
	for _, c := range b.gateway.Conns() {
		c.Drop()
	}
}
