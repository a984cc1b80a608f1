package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// playDemo has alice and bob talk in one room and carol in another, and resets
// bob's connection while alice talks on.
func playDemo(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	b := newBackend(gatewaytest.NewServer, &gatewaytest.Config{})
	defer b.gateway.Close()

	rooms := map[string]string{"alice": "tea", "bob": "tea", "carol": "chess"}
	members := make(map[string]*member)
	for name, room := range rooms {
		m, err := join(ctx, b.gateway.URL, b.gateway.Client(), name, room, nil)
		if err != nil {
			return err
		}
		defer m.client.Close()
		members[name] = m
	}

	says := func(name, text string) func() error {
		return func() error { return members[name].say(ctx, text) }
	}
	sees := func(name string) func() error {
		return func() error {
			l, err := members[name].next(ctx)
			if err == nil {
				fmt.Fprintf(out, "%-5s in %-5s sees   %s: %s\n", name, rooms[name], l.From, l.Text)
			}
			return err
		}
	}
	does := func(what string, f func()) func() error {
		return func() error {
			fmt.Fprintf(out, "-- %s --\n", what)
			f()
			return nil
		}
	}
	for _, step := range []func() error{
		says("alice", "hello"), sees("alice"), sees("bob"),
		says("carol", "e4"), sees("carol"), // and nothing of the tea
		does("bob's connection is reset, and nobody gets in", func() {
			b.gateway.Hold(true)
			b.drop("bob")
		}),
		says("alice", "more tea?"), sees("alice"),
		does("the door is open again", func() { b.gateway.Hold(false) }),
		sees("bob"), // what was said without him
		says("bob", "yes, please"), sees("bob"), sees("alice"),
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
