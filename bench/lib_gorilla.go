package main

import (
	"context"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

type gorillaConn struct {
	c    *websocket.Conn
	mu   sync.Mutex // gorilla allows one writer at a time
	done chan struct{}
}

func dialGorilla(ctx context.Context, url string, s settings, received func([]byte)) (conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: insecure, NetDialContext: s.dialNet()}
	c, _, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	n := &gorillaConn{c: c, done: make(chan struct{})}
	alive := func(string) error { return c.SetReadDeadline(time.Now().Add(s.interval + s.timeout)) }
	alive("")
	c.SetPongHandler(alive)
	go func() {
		defer close(n.done)
		for {
			_, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			received(p)
		}
	}()
	go every(s.interval, n.done, func() {
		if c.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.timeout)) != nil {
			c.Close()
		}
	})
	return n, nil
}

func (n *gorillaConn) write(p []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.c.WriteMessage(websocket.TextMessage, p)
}

func (n *gorillaConn) lost() <-chan struct{} { return n.done }

func (n *gorillaConn) close() { n.c.Close() }
