//go:build linux && !386 && !s390x

// For 386 and s390x package syscall has no number of the system call getsockopt.

package socket

import (
	"syscall"
	"time"
	"unsafe"
)

// Acknowledged returns how long ago the path was last seen to carry bytes to the peer: when its
// kernel last acknowledged some, as long as others are on their way; after that, when a call last
// saw some on their way. The true time may be longer. ok is false if no call saw any, or if the
// system does not tell.
func (t *TCP) Acknowledged() (ago time.Duration, ok bool) {
	info, err := t.info()
	if err != nil {
		return 0, false
	}
	return t.progress.note(&info, time.Now())
}

// A tcpInfo is what Linux tells of a connection: its struct tcp_info. Package syscall knows only
// the oldest fields. A field that the kernel does not know is 0.
type tcpInfo struct {
	syscall.TCPInfo
	_         [40]byte
	notSent   uint32 // bytes that wait in the kernel; since Linux 4.6
	_         [44]byte
	delivered uint32 // segments that the peer has acknowledged; since Linux 4.18
	_         [32]byte
	window    uint32 // bytes for which the peer had room; since Linux 5.4
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

// underWay reports whether bytes are on their way to the peer, or about to be: some wait, and the
// peer has room for a segment. Bytes that wait for a peer without room are not: it reads too
// slowly, and the path is well.
func (i *tcpInfo) underWay() bool {
	return i.Unacked > 0 || i.notSent > 0 && i.window >= i.Snd_mss
}

// note takes notice of what the kernel tells, and returns what Acknowledged does.
//
// That an acknowledgement has come says nothing by itself: every segment of the peer carries one,
// even if nothing of ours gets through to it. Nor does it say much that bytes were acknowledged
// which were never seen on their way: the kernel of a peer that hangs takes what it is sent.
func (p *progress) note(info *tcpInfo, now time.Time) (ago time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if info.delivered != p.delivered {
		p.delivered = info.delivered
		p.acknowledged = now.Add(-time.Duration(info.Last_ack_recv) * time.Millisecond)
	}
	last := p.seen
	if info.underWay() && !p.acknowledged.IsZero() {
		p.seen = now
		last = p.acknowledged
	}
	if last.IsZero() {
		return 0, false
	}
	return now.Sub(last), true
}
