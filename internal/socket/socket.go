// Package socket is what a client has to do with the TCP socket under a connection: it finds the
// socket, bounds what the kernel holds unsent, asks whether bytes get through, and resets a
// connection that is given up.
package socket

import (
	"net"
	"sync"
	"time"
)

// Under returns the TCP connection that conn is or wraps, nil if there is none to be seen.
func Under(conn net.Conn) *net.TCPConn {
	for range 10 { // one may wrap itself
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// A TCP is the socket of a connection, as its session wants it. Its methods may be called
// concurrently.
type TCP struct {
	*net.TCPConn
	progress progress
}

// A progress is what has been seen of what a peer acknowledges.
type progress struct {
	mu        sync.Mutex // guards what follows
	delivered uint32     // segments
	at        time.Time  // when that last grew, at the latest; zero if it never did
}

// Of returns the TCP of a connection.
func Of(conn *net.TCPConn) *TCP { return &TCP{TCPConn: conn} }

// Reset closes the socket, and drops all that its kernel holds.
func (t *TCP) Reset() {
	t.SetLinger(0)
	t.Close()
}
