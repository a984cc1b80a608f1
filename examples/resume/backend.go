package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"sync"

	"github.com/apigws/apigws/gatewaytest"
)

// A backend keeps the events and sends them to its subscribers. A real one has both in a database.
type backend struct {
	gateway *gatewaytest.Server

	mu          sync.Mutex      // guards what follows
	events      []event         // all of them; the first has the number 1
	subscribers map[string]bool // by connectionId
}

func newBackend(start func(*gatewaytest.Config) *gatewaytest.Server) *backend {
	b := &backend{subscribers: make(map[string]bool)}
	b.gateway = start(&gatewaytest.Config{Routes: map[string]gatewaytest.Handler{
		"subscribe":   b.subscribe,
		"$disconnect": b.disconnect,
	}})
	return b
}

// subscribe sends the events after the cursor, and from now on every new one. Both happen under one
// lock, so that no event falls between them.
func (b *backend) subscribe(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	var s subscription
	if err := json.Unmarshal([]byte(ev.Body), &s); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id := ev.RequestContext.ConnectionID
	b.subscribers[id] = true
	for _, e := range b.events {
		if e.Seq > s.After {
			b.post(id, e)
		}
	}
	return &gatewaytest.Response{StatusCode: http.StatusOK}, nil
}

func (b *backend) disconnect(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, ev.RequestContext.ConnectionID)
	return nil, nil
}

// publish adds an event and sends it to the subscribers.
func (b *backend) publish(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seq := int64(len(b.events) + 1)
	e := event{ID: fmt.Sprintf("event-%d", seq), Seq: seq, Text: text}
	b.events = append(b.events, e)
	for id := range b.subscribers {
		b.post(id, e)
	}
}

// post sends an event to a connection. Where that fails the connection is gone, and its client asks
// for the event on the next one.
func (b *backend) post(id string, e event) {
	data, err := json.Marshal(e)
	if err != nil {
		log.Print(err)
		return
	}
	if err := b.gateway.Post(id, data); err != nil {
		delete(b.subscribers, id)
	}
}
