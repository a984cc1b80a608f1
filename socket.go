package apigws

import "net"

// tcpUnder returns the TCP connection that conn is or wraps, nil if there is none to be seen.
func tcpUnder(conn net.Conn) *net.TCPConn {
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

// reset returns what makes closing a connection drop all that its kernel holds; nil if its socket
// is hidden.
func reset(socket *net.TCPConn) func() {
	if socket == nil {
		return nil
	}
	return func() {
		socket.SetLinger(0)
		socket.Close()
	}
}
