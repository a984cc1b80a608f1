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
	stop chan struct{}
	once sync.Once
}

func dialGorilla(ctx context.Context, url string, ping time.Duration, received func([]byte)) (conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: insecure}
	c, _, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	g := &gorillaConn{c: c, stop: make(chan struct{})}
	alive := func() error { return c.SetReadDeadline(time.Now().Add(ping + 10*time.Second)) }
	alive()
	c.SetPongHandler(func(string) error { return alive() })
	go func() {
		for {
			_, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			if received != nil {
				received(p)
			}
		}
	}()
	go every(ping, g.stop, func() {
		if c.WriteControl(websocket.PingMessage, nil, time.Now().Add(10*time.Second)) != nil {
			c.Close()
		}
	})
	return g, nil
}

func (g *gorillaConn) write(p []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.c.WriteMessage(websocket.TextMessage, p)
}

func (g *gorillaConn) close() {
	g.once.Do(func() { close(g.stop) })
	g.c.Close()
}
