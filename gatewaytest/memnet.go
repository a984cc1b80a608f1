package gatewaytest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// memBuffer is how much each direction of an in-memory connection holds before a writer has to
// wait, as the socket buffers of a TCP connection do: without it a peer that does not read could
// never be told from one that does.
const memBuffer = 64 << 10

// A memListener is a network of its own: whatever is dialled through it arrives at its Accept.
// Nothing in it waits on anything but channels, condition variables and timers, so all of it works
// in a testing/synctest bubble, where a wait on a real socket would stop the clock.
type memListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	refused atomic.Int64 // dials since it was closed

	mu   sync.Mutex // guards port
	port int        // of the client dialled last, so that each has an address of its own
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{}), port: 49151}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memListener) Addr() net.Addr { return memAddr(80) }

// dial has the signature of http.Transport.DialContext. The address does not matter: there is one
// host.
func (l *memListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return l.dialTo(ctx, l.Addr())
}

// dialTLS has the signature of http.Transport.DialTLSContext. What is dialled is in plain text: TLS
// would protect nothing here.
func (l *memListener) dialTLS(ctx context.Context, _, _ string) (net.Conn, error) {
	return l.dialTo(ctx, memSecureAddr)
}

func (l *memListener) dialTo(ctx context.Context, addr net.Addr) (net.Conn, error) {
	l.mu.Lock()
	l.port++
	client, server := memPipe(memAddr(l.port), addr)
	l.mu.Unlock()
	var err error
	select {
	// Looked at first: a closed listener refuses even if it still has an Accept running.
	case <-l.done:
		l.refuse()
		err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	default:
		select {
		case l.conns <- server:
			return client, nil
		case <-l.done:
			l.refuse()
			err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err}
}

// mostRefused is how many dials a closed network refuses before it panics.
const mostRefused = 10_000

// refuse counts a dial of a closed network. In a bubble a client that is never closed would dial
// for ever without time passing for anybody outside, so that the test would hang.
func (l *memListener) refuse() {
	if l.refused.Add(1) == mostRefused {
		panic(fmt.Sprintf("gatewaytest: %d dials since the Server was closed: a client is still connecting; "+
			"close it before the Server, or give its dial a deadline", mostRefused))
	}
}

// memSecureAddr is where the wss and https URLs of a Server in memory lead. It is told from others
// by its identity.
var memSecureAddr net.Addr = memAddr(443)

func memAddr(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// A memConn is one end of an in-memory connection. It behaves as a TCP connection does where that
// matters to a client: writes succeed into a buffer and wait when it is full, deadlines work in
// both directions, Close lets the peer read what it has not read yet, and after SetLinger(0) Close
// is a reset.
type memConn struct {
	in, out       *memStream
	local, remote net.Addr

	mu     sync.Mutex
	closed bool
	reset  bool // what Close does
}

// memPipe returns the two ends of a connection.
func memPipe(clientAddr, serverAddr net.Addr) (client, server *memConn) {
	up, down := newMemStream(), newMemStream()
	return &memConn{in: down, out: up, local: clientAddr, remote: serverAddr},
		&memConn{in: up, out: down, local: serverAddr, remote: clientAddr}
}

func (c *memConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

func (c *memConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// wrap gives errors the form they have on a socket. io.EOF is passed on as it is, as package net
// does.
func (c *memConn) wrap(op string, err error) error {
	switch err := err.(type) {
	case nil:
		return nil
	case syscall.Errno:
		return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: os.NewSyscallError(op, err)}
	default:
		if err == io.EOF {
			return err
		}
		return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
	}
}

func (c *memConn) Close() error {
	c.mu.Lock()
	closed, reset := c.closed, c.reset
	c.closed = true
	c.mu.Unlock()
	if closed {
		return c.wrap("close", net.ErrClosed)
	}
	// For the peer: what it reads next, once the buffer is empty, and what its writes return.
	if reset {
		c.out.closeWriter(syscall.ECONNRESET)
		c.in.closeReader(syscall.ECONNRESET)
	} else {
		c.out.closeWriter(io.EOF)
		c.in.closeReader(syscall.EPIPE)
	}
	return nil
}

// SetLinger follows net.TCPConn: after SetLinger(0), Close resets the connection.
func (c *memConn) SetLinger(sec int) error {
	c.mu.Lock()
	c.reset = sec == 0
	c.mu.Unlock()
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

// A memStream is one direction of a connection. The mutex is never held across a wait other than
// the condition's own.
type memStream struct {
	mu      sync.Mutex
	changed sync.Cond // anything below
	buf     []byte    // written and not yet read
	// Set once the writing end is closed: what a read of the drained buffer returns.
	end     error
	deaf    bool  // the reading end is closed
	broken  error // set once the reading end is closed: what a write returns
	readBy  memDeadline
	writeBy memDeadline
}

type memDeadline struct {
	at    time.Time
	timer *time.Timer // wakes whoever waits when the time has come
}

func (d *memDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newMemStream() *memStream {
	s := &memStream{}
	s.changed.L = &s.mu
	return s
}

func (s *memStream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.deaf:
			return 0, net.ErrClosed
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			if s.buf = s.buf[n:]; len(s.buf) == 0 {
				s.buf = nil // an idle connection holds no buffer
			}
			s.changed.Broadcast()
			return n, nil
		case s.end != nil:
			return 0, s.end
		}
		s.changed.Wait()
	}
}

func (s *memStream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.end != nil:
			return n, net.ErrClosed
		case s.broken != nil:
			return n, s.broken
		case s.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := memBuffer - len(s.buf); room > 0 {
			m := min(room, len(p))
			s.buf = append(s.buf, p[:m]...)
			n, p = n+m, p[m:]
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}

// closeWriter closes the writing end: the reader gets what is buffered, then err.
func (s *memStream) closeWriter(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = err
	s.writeBy.stop()
	s.changed.Broadcast()
}

// closeReader closes the reading end: writes fail with err from now on.
func (s *memStream) closeReader(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf, s.broken, s.buf = true, err, nil
	s.readBy.stop()
	s.changed.Broadcast()
}

func (s *memStream) setDeadline(d *memDeadline, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.stop()
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			// Under the lock, or the signal could fall between a waiter's look at the clock and its
			// wait.
			s.mu.Lock()
			s.changed.Broadcast()
			s.mu.Unlock()
		})
	}
	s.changed.Broadcast()
}

func (d *memDeadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
