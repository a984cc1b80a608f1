//go:build !linux && !darwin

package socket

import "net"

// BoundSendBuffer keeps what waits in the kernel small, so that a PING does not wait behind
// megabytes on a slow uplink, and a write that returns says that the path takes bytes. These
// systems cannot bound what is unsent alone: the buffer also bounds what is in flight.
func BoundSendBuffer(conn *net.TCPConn) {
	conn.SetWriteBuffer(128 << 10)
}
