package main

import (
	"context"
	"time"

	"github.com/lxzan/gws"
)

type gwsConn struct {
	gws.BuiltinEventHandler
	c         *gws.Conn
	keepalive keepalive
	received  func([]byte)
	done      chan struct{}
}

func dialGWS(_ context.Context, url string, k keepalive, received func([]byte)) (conn, error) {
	n := &gwsConn{keepalive: k, received: received, done: make(chan struct{})}
	c, _, err := gws.NewClient(n, &gws.ClientOption{Addr: url, TlsConfig: insecure})
	if err != nil {
		return nil, err
	}
	n.c = c
	go func() {
		defer close(n.done)
		c.ReadLoop()
	}()
	go every(k.interval, n.done, func() {
		if c.WritePing(nil) != nil {
			c.NetConn().Close()
		}
	})
	return n, nil
}

func (n *gwsConn) OnOpen(c *gws.Conn) { n.alive(c) }

func (n *gwsConn) OnPong(c *gws.Conn, _ []byte) { n.alive(c) }

func (n *gwsConn) alive(c *gws.Conn) {
	c.SetReadDeadline(time.Now().Add(n.keepalive.interval + n.keepalive.timeout))
}

func (n *gwsConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	n.received(m.Bytes())
	m.Close() // gives its buffer back
}

func (n *gwsConn) write(p []byte) error { return n.c.WriteMessage(gws.OpcodeText, p) }

func (n *gwsConn) lost() <-chan struct{} { return n.done }

func (n *gwsConn) close() { n.c.NetConn().Close() }
