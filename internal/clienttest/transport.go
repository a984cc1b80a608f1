package clienttest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/apigws/apigws/gatewaytest"
)

// RoundTrip is a transport that is a function.
type RoundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A Brittle network breaks a connection under a write: the failing Write says how many bytes the
// socket has taken, as on TCP.
type Brittle struct {
	mu    sync.Mutex // guards what follows
	conns []*brittleConn
}

type brittleConn struct {
	net.Conn
	mu   sync.Mutex // guards what follows
	left int        // bytes until the write that reaches the last of them fails; 0: as many as wanted
}

// Client returns an http.Client that reaches gw over n.
func (n *Brittle) Client(gw *gatewaytest.Server) *http.Client {
	transport := gw.Client().Transport.(*http.Transport).Clone()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		brittle := &brittleConn{Conn: conn}
		n.mu.Lock()
		n.conns = append(n.conns, brittle)
		n.mu.Unlock()
		return brittle, nil
	}
	return &http.Client{Transport: transport}
}

// BreakAfter lets the connection dialled last break after that many more bytes.
func (n *Brittle) BreakAfter(bytes int) {
	n.mu.Lock()
	conn := n.conns[len(n.conns)-1]
	n.mu.Unlock()
	conn.mu.Lock()
	conn.left = bytes
	conn.mu.Unlock()
}

func (c *brittleConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 || len(p) < c.left {
		n, err := c.Conn.Write(p)
		if c.left > 0 {
			c.left -= n
		}
		return n, err
	}
	n, _ := c.Conn.Write(p[:c.left])
	c.Conn.Close()
	return n, syscall.ECONNRESET
}
