// Package socket looks after the TCP socket under a connection: it finds the socket, bounds what
// the kernel holds unsent, asks whether bytes get through, waits for input, and resets a connection
// that is given up.
package socket

import (
	"net"
	"sync"
	"time"

	"github.com/apigws/apigws/internal/session"
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

// A TCP is a TCP connection as a session.Socket. Its methods may be called concurrently, except for
// SetNonblocking and AwaitInput, which are for the goroutine that reads.
type TCP struct {
	*net.TCPConn
	tls13    bool // see OfTLS13
	progress progress
}

// A progress remembers how far the bytes have come that were written to a connection.
type progress struct {
	mu        sync.Mutex // guards what follows
	acked     uint64     // how many bytes the peer's kernel has acknowledged, without gaps
	delivered uint32     // how many segments, those behind gaps too
	last      time.Time  // when one of them last grew, at the latest; zero if none did
	mark      uint64     // what acked is once the bytes before the mark are acknowledged
	marked    time.Time  // last, as it was when that was; zero if nothing came since the mark
}

// setMark sets the mark; p.mu is held.
func (p *progress) setMark(mark uint64) { p.mark, p.marked = mark, time.Time{} }

// report returns what Progress does; p.mu is held.
func (p *progress) report() session.Progress {
	return session.Progress{Last: p.last, Marked: p.marked, Pending: p.acked < p.mark}
}

// Of returns a new TCP, which has seen nothing yet.
func Of(conn *net.TCPConn) *TCP { return &TCP{TCPConn: conn} }

// OfTLS13 is Of for a conn that a tls.Conn with TLS 1.3 reads, and the stream reads that: no
// wrapper of the application is between.
func OfTLS13(conn *net.TCPConn) *TCP { return &TCP{TCPConn: conn, tls13: true} }

// Reset closes the socket, and drops what the kernel still holds.
func (t *TCP) Reset() {
	t.SetLinger(0)
	t.Close()
}
