//go:build linux || darwin

package socket

import (
	"net"
	"runtime"
	"syscall"
)

// unsentLimit is how many bytes the kernel takes that it has not sent yet.
const unsentLimit = 16 << 10

// BoundSendBuffer keeps what waits in the kernel small, so that a PING does not wait behind
// megabytes on a slow uplink, and a write that returns says that the path takes bytes.
// TCP_NOTSENT_LOWAT bounds what is unsent, and leaves alone what is in flight: a send buffer of a
// fixed size would bound both, and with it the rate (internal/realnet measures that). The options
// are the kernel's best effort.
func BoundSendBuffer(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	option := 25 // TCP_NOTSENT_LOWAT of Linux; package syscall has no name for it
	if runtime.GOOS == "darwin" {
		option = 0x201
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, option, unsentLimit)
	})
}
