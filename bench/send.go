package main

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
)

// send writes messages from so many goroutines on one connection, to a server
// that reads and forgets.
func send(writers int) func(context.Context, library, string, *atomic.Int64) (func(), error) {
	p := bytes.Repeat([]byte("x"), 128)
	return func(ctx context.Context, lib library, base string, n *atomic.Int64) (func(), error) {
		c, err := lib.dial(ctx, base+"/sink", usual, func([]byte) {})
		if err != nil {
			return nil, err
		}
		var (
			ended   atomic.Bool
			working sync.WaitGroup
		)
		for range writers {
			working.Go(func() {
				for !ended.Load() && c.write(p) == nil {
					n.Add(1)
				}
			})
		}
		return func() {
			ended.Store(true)
			working.Wait()
			c.close()
		}, nil
	}
}
