// Package socket looks after the TCP socket under a connection: it finds the socket, bounds what
// the kernel holds unsent, asks whether bytes get through, and resets a connection that is given
// up.
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

// A TCP is a TCP connection as a session.Socket. Its methods may be called concurrently.
type TCP struct {
	*net.TCPConn
	progress progress
}

// A progress remembers what was seen of the bytes on their way to a peer.
type progress struct {
	mu           sync.Mutex // guards what follows
	delivered    uint32     // segments that the peer has acknowledged
	acknowledged time.Time  // when delivered last grew, at the latest; zero if it never did
	seen         time.Time  // when bytes were last seen on their way; zero if they never were
}

// Of returns a new TCP, which has seen nothing yet.
func Of(conn *net.TCPConn) *TCP { return &TCP{TCPConn: conn} }

// Reset closes the socket, and drops what the kernel still holds.
func (t *TCP) Reset() {
	t.SetLinger(0)
	t.Close()
}
