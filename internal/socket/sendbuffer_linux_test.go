package socket

import (
	"net"
	"syscall"
	"testing"
	"unsafe"
)

// What the kernel holds unsent stays small, although its send buffer is large.
func TestBoundSendBuffer(t *testing.T) {
	const largest = 80 << 10 // 16 KiB, and what the kernel takes at once
	if unsent := fill(t, func(*net.TCPConn) {}); unsent <= 2*largest {
		t.Fatalf("without a bound: %d bytes unsent", unsent)
	}
	if unsent := fill(t, BoundSendBuffer); unsent > largest {
		t.Errorf("%d bytes unsent, want at most %d", unsent, largest)
	}
}

// fill writes to a connection that bound has seen, until the kernel takes no more. It returns how
// much is unsent then.
func fill(t *testing.T, bound func(*net.TCPConn)) int {
	t.Helper()
	conn, _ := loopback(t)
	conn.SetWriteBuffer(1 << 20)
	bound(conn)
	stuff(t, conn)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var unsent int32
	raw.Control(func(fd uintptr) {
		const unsentBytes = 0x894b // SIOCOUTQNSD; package syscall has no name for it
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, unsentBytes, uintptr(unsafe.Pointer(&unsent))); errno != 0 {
			t.Error(errno)
		}
	})
	return int(unsent)
}

// stuff writes to a connection until its kernel takes no more.
func stuff(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Write(func(fd uintptr) bool {
		chunk := make([]byte, 16<<10)
		for err == nil {
			_, err = syscall.Write(int(fd), chunk)
		}
		return true
	})
	if err != syscall.EAGAIN {
		t.Fatal(err)
	}
}
