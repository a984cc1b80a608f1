//go:build linux && !386 && !s390x

// For 386 and s390x package syscall has no number of the system call getsockopt.

package socket

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/apigws/apigws/internal/session"
)

// Mark makes Progress speak of the bytes that were written before.
func (t *TCP) Mark() {
	t.progress.mu.Lock()
	defer t.progress.mu.Unlock()
	info, err := t.info()
	if err != nil {
		return
	}
	// What is acknowledged between the two calls makes the sum too small. In the other order it
	// would be too large, and never be reached if nothing is written any more.
	if queued, err := t.queued(); err == nil {
		t.progress.note(&info, time.Now())
		t.progress.setMark(info.acked + uint64(queued))
	}
}

// Progress asks the kernel how far the bytes have come.
func (t *TCP) Progress() session.Progress {
	t.progress.mu.Lock()
	defer t.progress.mu.Unlock()
	if info, err := t.info(); err == nil {
		t.progress.note(&info, time.Now())
	}
	return t.progress.report()
}

// A tcpInfo is what Linux tells of a connection: its struct tcp_info. Package syscall knows only
// the oldest fields. A field that the kernel does not know is 0.
type tcpInfo struct {
	syscall.TCPInfo
	_         [16]byte
	acked     uint64 // bytes that the peer has acknowledged, without gaps; since Linux 4.1
	_         [64]byte
	delivered uint32 // segments that it has acknowledged, those behind gaps too; since Linux 4.18
}

func (t *TCP) info() (info tcpInfo, err error) {
	err = t.control(func(fd uintptr) syscall.Errno {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		return errno
	})
	return info, err
}

// queued returns how many bytes were written that the peer has not acknowledged.
func (t *TCP) queued() (n int32, err error) {
	err = t.control(func(fd uintptr) syscall.Errno {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
		return errno
	})
	return n, err
}

// control calls f with the descriptor, unless the connection is closed.
func (t *TCP) control(f func(fd uintptr) syscall.Errno) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) { errno = f(fd) }); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// note takes notice of what the kernel tells; p.mu is held.
//
// That an acknowledgement has come says nothing by itself: every segment of the peer carries one,
// even if nothing of ours gets through to it. What comes behind a gap is progress, too: the gap can
// stay for seconds on a slow path, until its segment is sent again.
func (p *progress) note(info *tcpInfo, now time.Time) {
	if info.acked == p.acked && info.delivered == p.delivered {
		return
	}
	p.last = now.Add(-time.Duration(info.Last_ack_recv) * time.Millisecond)
	if p.acked < p.mark {
		p.marked = p.last
	}
	p.acked, p.delivered = info.acked, info.delivered
}
