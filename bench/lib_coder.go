package main

import (
	"context"
	"time"

	"github.com/coder/websocket"
)

type coderConn struct {
	ctx    context.Context
	cancel context.CancelFunc
	c      *websocket.Conn
}

// dialCoder uses a context that can be cancelled on every call, as services do.
func dialCoder(ctx context.Context, url string, ping time.Duration, received func([]byte)) (conn, error) {
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: sharedHTTP()})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(1 << 20)
	n := &coderConn{c: c}
	n.ctx, n.cancel = context.WithCancel(ctx)
	go func() {
		for {
			_, p, err := c.Read(n.ctx)
			if err != nil {
				n.cancel()
				return
			}
			if received != nil {
				received(p)
			}
		}
	}()
	go every(ping, n.ctx.Done(), func() {
		ctx, cancel := context.WithTimeout(n.ctx, 10*time.Second)
		defer cancel()
		if c.Ping(ctx) != nil {
			c.CloseNow()
		}
	})
	return n, nil
}

func (n *coderConn) write(p []byte) error { return n.c.Write(n.ctx, websocket.MessageText, p) }

func (n *coderConn) close() {
	n.cancel()
	n.c.CloseNow()
}
