package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"sync/atomic"

	"github.com/apigws/apigws"
)

// A request is what members send. Each says all that the backend must know,
// because the gateway may start the backend for several at once: "say" may
// overtake the "join" before it, and then the join brings the line.
type request struct {
	Action string `json:"action"` // join, say
	Room   string `json:"room"`
	Name   string `json:"name"`
	After  int64  `json:"after,omitempty"` // join: send the lines that follow this one
	Text   string `json:"text,omitempty"`
}

// A line is what a room sends to its members.
type line struct {
	Seq  int64  `json:"seq"` // grows from line to line
	From string `json:"from"`
	Text string `json:"text"`
}

type member struct {
	name, room string
	client     *apigws.Client
	seen       atomic.Int64 // the last line that next returned
}

// join connects, and joins the room on each new connection: the backend knows
// members by their connectionId. What was said meanwhile, it sends then.
func join(ctx context.Context, url string, hc *http.Client, name, room string, onState func(*apigws.Client, apigws.StateChange)) (*member, error) {
	m := &member{name: name, room: room}
	var err error
	m.client, err = apigws.Dial(ctx, url, &apigws.Options{
		HTTPClient: hc,
		OnState:    onState,
		OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			return conn.WriteJSON(ctx, request{Action: "join", Room: room, Name: name, After: m.seen.Load()})
		},
	})
	return m, err
}

// say returns nil when the gateway has the line. Write returns when the operating system has it,
// and a lost connection can lose it from there.
func (m *member) say(ctx context.Context, text string) error {
	if err := m.client.WriteJSON(ctx, request{Action: "say", Room: m.room, Name: m.name, Text: text}); err != nil {
		return err
	}
	return m.client.Flush(ctx)
}

// next returns the next line. A line can come twice: on the old connection and,
// when that is replaced, among those that the new one catches up with.
func (m *member) next(ctx context.Context) (line, error) {
	for {
		msg, err := m.client.Read(ctx)
		if err != nil {
			return line{}, err
		}
		var l line
		if err := json.Unmarshal(msg, &l); err != nil {
			log.Printf("not a line: %q", msg) // the room goes on
			continue
		}
		if l.Seq > m.seen.Load() {
			m.seen.Store(l.Seq)
			return l, nil
		}
	}
}
