//go:build linux && !386 && !s390x

package socket

import (
	"syscall"
	"time"
	"unsafe"
)

// Acknowledged returns how long ago the kernel of the peer last acknowledged bytes that were not
// acknowledged before, at most: calls compare with what the call before them has seen. It is false
// if no bytes of ours are on their way, or if the system does not tell.
func (t *TCP) Acknowledged() (ago time.Duration, ok bool) {
	info, err := t.info()
	if err != nil {
		return 0, false
	}
	return t.progress.note(&info, time.Now())
}

// A tcpInfo is what Linux tells of a connection: its struct tcp_info. Package syscall has the
// fields that it had at first; those that a kernel does not know are 0.
type tcpInfo struct {
	syscall.TCPInfo
	_         [40]byte
	notSent   uint32 // bytes that wait in the kernel
	_         [44]byte
	delivered uint32 // segments that the peer has acknowledged; since Linux 4.18
	_         [32]byte
	window    uint32 // bytes for which the peer had room; since Linux 5.5
}

func (t *TCP) info() (info tcpInfo, err error) {
	raw, err := t.SyscallConn()
	if err != nil {
		return tcpInfo{}, err
	}
	size := uint32(unsafe.Sizeof(info))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return info, err
}

// underWay reports whether bytes are on their way to the peer, or about to be: the kernel has some,
// and the peer has room for a segment. While the peer has no room, its kernel answers each probe,
// which is no progress.
func (i *tcpInfo) underWay() bool {
	return i.Unacked > 0 || i.notSent > 0 && i.window >= i.Snd_mss
}

// note takes notice of what the kernel tells, and returns what Acknowledged does.
//
// That an acknowledgement has come says nothing by itself: whatever the peer sends has one, also
// when nothing of ours gets through to it.
func (p *progress) note(info *tcpInfo, now time.Time) (ago time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if info.delivered != p.delivered {
		p.delivered = info.delivered
		p.at = now.Add(-time.Duration(info.Last_ack_recv) * time.Millisecond)
	}
	if p.at.IsZero() || !info.underWay() {
		return 0, false
	}
	return now.Sub(p.at), true
}
