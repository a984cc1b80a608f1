// Package socket is what a client does to the TCP socket under a connection: it finds the socket,
// bounds what the kernel holds unsent, and resets a connection that is given up.
package socket

import "net"

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

// Reset closes a connection, and drops all that its kernel holds.
func Reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}
