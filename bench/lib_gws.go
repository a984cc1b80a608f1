package main

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/lxzan/gws"
)

type gwsConn struct {
	gws.BuiltinEventHandler
	c        *gws.Conn
	settings settings
	received func([]byte)
	done     chan struct{}
}

func dialGWS(_ context.Context, url string, s settings, received func([]byte)) (conn, error) {
	return newGWS(&gws.ClientOption{Addr: url, TlsConfig: insecure}, s, received)
}

func newGWS(option *gws.ClientOption, s settings, received func([]byte)) (conn, error) {
	n := &gwsConn{settings: s, received: received, done: make(chan struct{})}
	if s.over != nil {
		option.NewDialer = func() (gws.Dialer, error) { return gwsDialer{s.over}, nil }
	}
	c, _, err := gws.NewClient(n, option)
	if err != nil {
		return nil, err
	}
	n.c = c
	go func() {
		defer close(n.done)
		c.ReadLoop()
	}()
	go every(s.interval, n.done, func() {
		if c.WritePing(nil) != nil {
			c.NetConn().Close()
		}
	})
	return n, nil
}

// dialGWSCopying gives the application bytes that are its own, as the other libraries do.
func dialGWSCopying(ctx context.Context, url string, s settings, received func([]byte)) (conn, error) {
	return dialGWS(ctx, url, s, func(p []byte) { received(bytes.Clone(p)) })
}

// dialGWSChecking copies as dialGWSCopying does, and checks that text is UTF-8, as apigws does: RFC
// 6455, section 8.1, demands it.
func dialGWSChecking(_ context.Context, url string, s settings, received func([]byte)) (conn, error) {
	option := &gws.ClientOption{Addr: url, TlsConfig: insecure, CheckUtf8Enabled: true}
	return newGWS(option, s, func(p []byte) { received(bytes.Clone(p)) })
}

type gwsDialer struct{ conn net.Conn }

func (d gwsDialer) Dial(string, string) (net.Conn, error) { return d.conn, nil }

func (n *gwsConn) OnOpen(c *gws.Conn) { n.alive(c) }

func (n *gwsConn) OnPong(c *gws.Conn, _ []byte) { n.alive(c) }

func (n *gwsConn) alive(c *gws.Conn) {
	c.SetReadDeadline(time.Now().Add(n.settings.interval + n.settings.timeout))
}

func (n *gwsConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	n.received(m.Bytes())
	m.Close() // gives its buffer back
}

func (n *gwsConn) write(p []byte) error { return n.c.WriteMessage(gws.OpcodeText, p) }

func (n *gwsConn) lost() <-chan struct{} { return n.done }

func (n *gwsConn) close() { n.c.NetConn().Close() }
