package main

import (
	"context"
	"fmt"
	"sync/atomic"
)

// receive takes messages that the server sends as fast as they are taken.
func receive(size int) func(context.Context, library, string, *atomic.Int64) (func(), error) {
	return func(ctx context.Context, lib library, base string, n *atomic.Int64) (func(), error) {
		c, err := lib.dial(ctx, fmt.Sprintf("%s/flood/%d", base, size), usual, func([]byte) { n.Add(1) })
		if err != nil {
			return nil, err
		}
		return c.close, nil
	}
}
