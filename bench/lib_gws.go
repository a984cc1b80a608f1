package main

import (
	"context"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

type gwsConn struct {
	gws.BuiltinEventHandler
	c        *gws.Conn
	received func([]byte)
	stop     chan struct{}
	once     sync.Once
}

func dialGWS(_ context.Context, url string, ping time.Duration, received func([]byte)) (conn, error) {
	g := &gwsConn{received: received, stop: make(chan struct{})}
	c, _, err := gws.NewClient(g, &gws.ClientOption{Addr: url, TlsConfig: insecure})
	if err != nil {
		return nil, err
	}
	g.c = c
	go c.ReadLoop()
	go every(ping, g.stop, func() {
		if c.WritePing(nil) != nil {
			c.NetConn().Close()
		}
	})
	return g, nil
}

func (g *gwsConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	if g.received != nil {
		g.received(m.Bytes())
	}
	m.Close()
}

func (g *gwsConn) write(p []byte) error { return g.c.WriteMessage(gws.OpcodeText, p) }

func (g *gwsConn) close() {
	g.once.Do(func() { close(g.stop) })
	g.c.NetConn().Close()
}
