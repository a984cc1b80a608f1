//go:build linux && realnet

package realnet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// A gateway is the fake gateway at the far end of all lines, once plain and once with TLS, and
// notes what arrives from whom. Clients say who they are in the query: ?client=3.
type gateway struct {
	servers []*gatewaytest.Server

	mu      sync.Mutex // guards what follows
	clients map[int]*guest
	conns   map[string]*link // by connection id
}

// A guest is one client as the gateway sees it.
type guest struct {
	links    []*link
	arrivals []arrival
}

// A link is one connection of a guest.
type link struct {
	guest  *guest
	number int // from 1
	pushed int
}

const (
	plainPort  = 8080
	securePort = 8443
)

// newGateway starts the servers in a network namespace.
func newGateway(namespace string) (*gateway, error) {
	g := &gateway{clients: map[int]*guest{}, conns: map[string]*link{}}
	err := inNamespace(namespace, func() error {
		cfg := gatewaytest.Config{Backend: g.handle, Discard: true, Addr: fmt.Sprintf(":%d", plainPort)}
		g.servers = append(g.servers, gatewaytest.NewServer(&cfg))
		cfg.Addr = fmt.Sprintf(":%d", securePort)
		g.servers = append(g.servers, gatewaytest.NewTLSServer(&cfg))
		return nil
	})
	return g, err
}

func (g *gateway) close() {
	for _, s := range g.servers {
		s.Close()
	}
}

// url returns what the client of a line dials.
func (g *gateway) url(line int, secure bool) string {
	if secure {
		return fmt.Sprintf("wss://%s:%d/prod?client=%d", gatewayAddr(line), securePort, line)
	}
	return fmt.Sprintf("ws://%s:%d/prod?client=%d", gatewayAddr(line), plainPort, line)
}

// handle is the backend.
func (g *gateway) handle(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	id := ev.RequestContext.ConnectionID
	switch ev.RequestContext.EventType {
	case gatewaytest.EventConnect:
		client, err := strconv.Atoi(ev.QueryStringParameters["client"])
		if err != nil {
			return nil, err
		}
		u := g.clients[client]
		if u == nil {
			u = &guest{}
			g.clients[client] = u
		}
		l := &link{guest: u, number: len(u.links) + 1}
		u.links = append(u.links, l)
		g.conns[id] = l
	case gatewaytest.EventMessage:
		l := g.conns[id]
		var n int
		if _, err := fmt.Sscanf(ev.Body, "message %d ", &n); err != nil {
			return nil, err
		}
		l.guest.arrivals = append(l.guest.arrivals, arrival{N: n, Conn: l.number, At: now})
	}
	return nil, nil
}

// arrivals returns what has arrived from a client so far.
func (g *gateway) arrivals(client int) []arrival {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u := g.clients[client]; u != nil {
		return slices.Clone(u.arrivals)
	}
	return nil
}

// open returns the open connections of a client.
func (g *gateway) open(client int) (conns []*gatewaytest.Conn) {
	for _, s := range g.servers {
		for _, c := range s.Conns() {
			g.mu.Lock()
			mine := g.conns[c.ID()].guest == g.clients[client]
			g.mu.Unlock()
			if mine {
				conns = append(conns, c)
			}
		}
	}
	return conns
}

// push sends the next numbered message on each open connection of a client.
func (g *gateway) push(client int) {
	for _, c := range g.open(client) {
		g.mu.Lock()
		l := g.conns[c.ID()]
		text := fmt.Sprintf("push %d %d", l.number, l.pushed)
		l.pushed++
		g.mu.Unlock()
		c.Send([]byte(text)) // an error means that the connection has just ended
	}
}

// pushEach pushes to a client at an interval until stop is closed.
func (g *gateway) pushEach(interval time.Duration, client int, stop <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.push(client)
		case <-stop:
			return
		}
	}
}
