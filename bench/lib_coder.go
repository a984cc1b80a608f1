package main

import (
	"context"

	"github.com/coder/websocket"
)

type coderConn struct {
	ctx    context.Context
	cancel context.CancelFunc
	c      *websocket.Conn
}

// dialCoder uses a context that can be cancelled on every call, as services do.
func dialCoder(ctx context.Context, url string, s settings, received func([]byte)) (conn, error) {
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: s.httpClient()})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(128 << 10)
	n := &coderConn{c: c}
	n.ctx, n.cancel = context.WithCancel(ctx)
	go func() {
		defer n.cancel()
		for {
			_, p, err := c.Read(n.ctx)
			if err != nil {
				return
			}
			received(p)
		}
	}()
	go every(s.interval, n.ctx.Done(), func() {
		ctx, cancel := context.WithTimeout(n.ctx, s.timeout)
		defer cancel()
		if c.Ping(ctx) != nil {
			c.CloseNow()
		}
	})
	return n, nil
}

func (n *coderConn) write(p []byte) error { return n.c.Write(n.ctx, websocket.MessageText, p) }

func (n *coderConn) lost() <-chan struct{} { return n.ctx.Done() }

func (n *coderConn) close() {
	n.cancel()
	n.c.CloseNow()
}
