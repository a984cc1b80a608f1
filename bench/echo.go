package main

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
)

var question = bytes.Repeat([]byte("x"), 120)

// ask is request and response, one in flight: a goroutine writes and waits for
// the answer. With apigws it reads the answer itself. The others need a reader
// at all times, or PINGs would go unanswered, so theirs hands the answer over.
func ask(ctx context.Context, lib library, base string, n *atomic.Int64) (func(), error) {
	if lib.name == floor.name { // it has one goroutine
		return bounce(ctx, lib, base, n)
	}
	var (
		c    conn
		err  error
		wait func() bool // for the answer
	)
	if lib.name == ours {
		c, err = dialUnread(ctx, base+"/echo", usual, nil)
		wait = func() bool {
			a := c.(*apigwsConn)
			_, err := a.c.Read(a.ctx)
			return err == nil
		}
	} else {
		answers := make(chan struct{}, 1)
		c, err = lib.dial(ctx, base+"/echo", usual, func([]byte) { answers <- struct{}{} })
		wait = func() bool {
			select {
			case <-answers:
				return true
			case <-c.lost():
				return false
			}
		}
	}
	if err != nil {
		return nil, err
	}

	var (
		ended   atomic.Bool
		working sync.WaitGroup
	)
	working.Go(func() {
		for !ended.Load() && c.write(question) == nil && wait() {
			n.Add(1)
		}
	})
	return func() {
		ended.Store(true)
		working.Wait()
		c.close()
	}, nil
}

// bounce is one in flight too, but whoever reads a message writes the next, so
// that no library has to hand anything over.
func bounce(ctx context.Context, lib library, base string, n *atomic.Int64) (func(), error) {
	var c conn
	ready := make(chan struct{})
	c, err := lib.dial(ctx, base+"/echo", usual, func([]byte) {
		<-ready
		n.Add(1)
		c.write(question) // when it fails, the reader ends
	})
	if err != nil {
		return nil, err
	}
	close(ready)
	if err := c.write(question); err != nil {
		c.close()
		return nil, err
	}
	return c.close, nil
}
