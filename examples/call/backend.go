package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/apigws/apigws/gatewaytest"
)

// A backend computes sums.
type backend struct {
	gateway *gatewaytest.Server

	mu    sync.Mutex // guards what follows
	drop  bool       // the next answer is lost with its connection
	count int        // requests computed
}

func newBackend(start func(*gatewaytest.Config) *gatewaytest.Server) *backend {
	b := new(backend)
	b.gateway = start(&gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"sum": b.sum}})
	return b
}

// dropNext resets the connection of the next request instead of answering it.
func (b *backend) dropNext() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop = true
}

// computed returns how many requests were computed.
func (b *backend) computed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

func (b *backend) sum(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	var req request
	if err := json.Unmarshal([]byte(ev.Body), &req); err != nil {
		return nil, err
	}
	resp := response{ID: req.ID}
	for _, n := range req.Terms {
		resp.Sum += n
	}
	if len(req.Terms) == 0 {
		resp.Error = "no terms"
	}
	b.mu.Lock()
	b.count++
	drop := b.drop
	b.drop = false
	b.mu.Unlock()
	id := ev.RequestContext.ConnectionID
	if drop {
		for _, conn := range b.gateway.Conns() {
			if conn.ID() == id {
				conn.Drop()
			}
		}
		return nil, nil
	}
	data, err := json.Marshal(resp)
	if err != nil {
		return nil, err
	}
	return &gatewaytest.Response{StatusCode: http.StatusOK}, b.gateway.Post(id, data)
}
