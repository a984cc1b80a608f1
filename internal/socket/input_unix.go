//go:build unix

package socket

import (
	"net"
	"os"
	"syscall"
	"time"

	"github.com/apigws/apigws/internal/redact"
)

// SetNonblocking is that of session.Socket. It works by a read deadline that has passed. It returns
// false if the stream is not known to be TLS 1.3: a stream without TLS gains nothing; with TLS 1.2
// the deadline could break a renegotiation, for good; and what wraps a tls.Conn may not read on
// after the error.
func (t *TCP) SetNonblocking(on bool) bool {
	if !t.tls13 {
		return false
	}
	var deadline time.Time
	if on {
		deadline = time.Unix(1, 0) // long ago
	}
	return t.SetReadDeadline(deadline) == nil
}

// AwaitInput is that of session.Socket. Its error is the one that a Read of the stream would have
// returned.
func (t *TCP) AwaitInput() error {
	raw, err := t.SyscallConn()
	if err != nil {
		return nil // the next Read returns it
	}
	var failed error
	looked := false
	// The error of raw.Read says that the connection is closed: the next Read returns it.
	raw.Read(func(fd uintptr) bool {
		if looked {
			// There is input now. A second look would take a reset away from the next Read.
			return true
		}
		looked = true
		var p [1]byte
		_, _, err := syscall.Recvfrom(int(fd), p[:], syscall.MSG_PEEK)
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			failed = os.NewSyscallError("read", err) // the name that a Read gives it
		}
		return true
	})
	if failed == nil {
		return nil
	}
	// As redact.Stream does with the errors of Read.
	return new(redact.Secrets).Transport(&net.OpError{
		Op: "read", Net: "tcp", Source: t.LocalAddr(), Addr: t.RemoteAddr(), Err: failed,
	})
}
