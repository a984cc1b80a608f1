package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// A backend keeps the rooms. The gateway keeps no list of its connections, so
// who is where is kept here, by connectionId.
type backend struct {
	gateway *gatewaytest.Server

	mu    sync.Mutex
	seats map[string]seat // by connectionId
	rooms map[string]*room
}

type seat struct{ room, name string }

type room struct {
	lines []line // the last ones
}

// remembered is how many lines a room keeps for those who come back.
const remembered = 100

func newBackend(start func(*gatewaytest.Config) *gatewaytest.Server, cfg *gatewaytest.Config) *backend {
	b := &backend{seats: make(map[string]seat), rooms: make(map[string]*room)}
	cfg.Routes = map[string]gatewaytest.Handler{"join": b.join, "say": b.say, "$disconnect": b.leave}
	b.gateway = start(cfg)
	return b
}

var ok = &gatewaytest.Response{StatusCode: http.StatusOK}

func (b *backend) join(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	var req request
	if err := json.Unmarshal([]byte(ev.Body), &req); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id := ev.RequestContext.ConnectionID
	b.seats[id] = seat{req.Room, req.Name}
	for _, l := range b.room(req.Room).lines {
		if l.Seq <= req.After {
			continue
		}
		if err := b.post(id, l); err != nil {
			return nil, err
		}
	}
	return ok, nil
}

func (b *backend) say(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	var req request
	if err := json.Unmarshal([]byte(ev.Body), &req); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.room(req.Room)
	l := line{Seq: r.nextSeq(), From: req.Name, Text: req.Text}
	r.lines = append(r.lines, l)
	r.lines = r.lines[max(0, len(r.lines)-remembered):]

	// The lock keeps the lines in one order for all members. Post does not wait for the client;
	// behind a real gateway it is an HTTP call, and members have to sort the lines by Seq.
	var failed error
	for id, s := range b.seats {
		if s.room == req.Room {
			failed = errors.Join(failed, b.post(id, l))
		}
	}
	return ok, failed
}

// room returns the room of that name, a new one if need be. Callers hold mu.
func (b *backend) room(name string) *room {
	if b.rooms[name] == nil {
		b.rooms[name] = new(room)
	}
	return b.rooms[name]
}

// nextSeq numbers lines by the clock, so that a backend that starts anew goes
// on above what its members have seen.
func (r *room) nextSeq() int64 {
	seq := time.Now().UnixMicro()
	if n := len(r.lines); n > 0 {
		seq = max(seq, r.lines[n-1].Seq+1)
	}
	return seq
}

// post sends a line to a connection. One that is gone loses its seat: its
// member joins again on the next and catches up there.
func (b *backend) post(id string, l line) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	err = b.gateway.Post(id, data)
	var refused *gatewaytest.APIError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusGone {
		delete(b.seats, id)
		return nil
	}
	return err
}

func (b *backend) leave(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seats, ev.RequestContext.ConnectionID)
	return ok, nil
}

// drop resets the connections of a member, as a failing network does.
func (b *backend) drop(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.gateway.Conns() {
		if b.seats[c.ID()].name == name {
			c.Drop()
		}
	}
}
