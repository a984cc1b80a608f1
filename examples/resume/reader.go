package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"sync/atomic"

	"github.com/apigws/apigws"
)

// An event is what the backend publishes.
type event struct {
	ID   string `json:"id"`
	Seq  int64  `json:"seq"` // grows by one from event to event
	Text string `json:"text"`
}

// A subscription is what a reader sends on each new connection.
type subscription struct {
	Action string `json:"action"` // "subscribe"
	After  int64  `json:"after"`  // the backend sends the events after this one
}

// A reader returns each event once.
type reader struct {
	client *apigws.Client
	cursor atomic.Int64 // next has returned the events up to this one
	seen   *recent      // next alone uses it
}

// remembered is how many ids a reader keeps. An event that arrives twice does so while two
// connections are read (Reconnect.Drain), or among the events that a new connection catches up
// with. It must be more than there are in both together.
const remembered = 1000

func dial(ctx context.Context, url string, hc *http.Client) (*reader, error) {
	r := &reader{seen: newRecent(remembered)}
	var err error
	r.client, err = apigws.Dial(ctx, url, &apigws.Options{
		HTTPClient: hc,
		OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			return conn.WriteJSON(ctx, subscription{"subscribe", r.cursor.Load()})
		},
	})
	return r, err
}

// next returns the next event that it has not returned yet.
func (r *reader) next(ctx context.Context) (event, error) {
	for {
		msg, err := r.client.Read(ctx)
		if err != nil {
			return event{}, err
		}
		var e event
		if err := json.Unmarshal(msg, &e); err != nil || e.ID == "" {
			log.Printf("not an event: %q", msg) // an error frame of the gateway, for example
			continue
		}
		if !r.seen.add(e.ID) {
			continue
		}
		r.cursor.Store(max(r.cursor.Load(), e.Seq))
		return e, nil
	}
}

// recent is a set of the ids that were added last.
type recent struct {
	ids  map[string]bool
	ring []string // in the order in which they were added; the oldest is at next
	next int
}

func newRecent(n int) *recent {
	return &recent{ids: make(map[string]bool, n), ring: make([]string, n)}
}

// add adds an id in place of the oldest, and reports whether it was not in the set.
func (s *recent) add(id string) bool {
	if s.ids[id] {
		return false
	}
	delete(s.ids, s.ring[s.next])
	s.ring[s.next] = id
	s.ids[id] = true
	s.next = (s.next + 1) % len(s.ring)
	return true
}
