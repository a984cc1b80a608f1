package main

import (
	"context"
	"sync"
	"time"

	"github.com/apigws/apigws"
)

type apigwsConn struct {
	ctx    context.Context
	cancel context.CancelFunc
	c      *apigws.Client
	reader sync.WaitGroup
}

func dialApigws(ctx context.Context, url string, s settings, received func([]byte)) (conn, error) {
	a, err := dialUnread(ctx, url, s, nil)
	if err != nil {
		return nil, err
	}
	n := a.(*apigwsConn)
	n.reader.Go(func() {
		for {
			p, err := n.c.Read(n.ctx)
			if err != nil {
				return
			}
			received(p)
		}
	})
	return n, nil
}

// dialReadInto is dialApigws with a reader that uses the same memory for each message.
func dialReadInto(ctx context.Context, url string, s settings, received func([]byte)) (conn, error) {
	a, err := dialUnread(ctx, url, s, nil)
	if err != nil {
		return nil, err
	}
	n := a.(*apigwsConn)
	n.reader.Go(func() {
		var buf []byte
		for {
			var err error
			if buf, err = n.c.ReadInto(n.ctx, buf); err != nil {
				return
			}
			received(buf)
		}
	})
	return n, nil
}

// dialUnread leaves the reading to the caller: this client needs nobody in
// Read to stay alive.
func dialUnread(ctx context.Context, url string, s settings, _ func([]byte)) (conn, error) {
	c, err := apigws.Dial(ctx, url, &apigws.Options{
		HTTPClient:   s.httpClient(),
		Keepalive:    apigws.Keepalive{Interval: s.interval, Timeout: s.timeout},
		CloseTimeout: time.Millisecond, // most of the server's paths answer no CLOSE
	})
	if err != nil {
		return nil, err
	}
	n := &apigwsConn{c: c}
	n.ctx, n.cancel = context.WithCancel(ctx)
	return n, nil
}

func (n *apigwsConn) write(p []byte) error { return n.c.Write(n.ctx, p) }

func (n *apigwsConn) lost() <-chan struct{} { return n.c.Done() }

func (n *apigwsConn) close() {
	n.cancel()
	n.c.Close()
	n.reader.Wait()
}
