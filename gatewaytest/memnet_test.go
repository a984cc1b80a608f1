package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// memBubble runs f on the two ends of an in-memory connection in a bubble.
func memBubble(t *testing.T, f func(t *testing.T, a, b *memConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := memPipe(memAddr(1), memAddr(2))
		f(t, a, b)
	})
}

func wantIO(t *testing.T, what string, n int, err error, wantN int, want error) {
	t.Helper()
	if n != wantN || !errors.Is(err, want) {
		t.Errorf("%s: %d, %v, want %d, %v", what, n, err, wantN, want)
	}
}

// Random sizes in both directions at once: what goes in comes out, in order.
func TestMemConnStream(t *testing.T) {
	memBubble(t, func(t *testing.T, a, b *memConn) {
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(rand.Int())
		}
		var wg sync.WaitGroup
		for _, c := range []net.Conn{a, b} {
			wg.Go(func() {
				for rest := data; len(rest) > 0; {
					n := min(rand.IntN(100_000)+1, len(rest))
					if m, err := c.Write(rest[:n]); m != n || err != nil {
						t.Errorf("%d of %d, %v", m, n, err)
						return
					}
					rest = rest[n:]
				}
			})
			wg.Go(func() {
				var got []byte
				for len(got) < len(data) {
					buf := make([]byte, rand.IntN(100_000)+1)
					n, err := c.Read(buf)
					if err != nil {
						t.Error(err)
						return
					}
					got = append(got, buf[:n]...)
				}
				if !bytes.Equal(data, got) {
					t.Error("not what was sent")
				}
			})
		}
		wg.Wait()
	})
}

func TestMemConnDeadlines(t *testing.T) {
	memBubble(t, func(t *testing.T, a, b *memConn) {
		buf := make([]byte, 1<<20)
		began := time.Now()
		a.SetReadDeadline(began.Add(time.Second))
		n, err := a.Read(buf)
		wantIO(t, "read", n, err, 0, os.ErrDeadlineExceeded)
		n, err = a.Read(buf)
		wantIO(t, "read again", n, err, 0, os.ErrDeadlineExceeded)
		if d := time.Since(began); d != time.Second {
			t.Errorf("after %v", d)
		}
		a.SetWriteDeadline(began.Add(3 * time.Second))
		n, err = a.Write(buf)
		wantIO(t, "write", n, err, memBuffer, os.ErrDeadlineExceeded)
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("after %v", d)
		}

		// A deadline in the past interrupts a read that waits, as net/http needs it, and its
		// removal lets it go on.
		a.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { a.SetReadDeadline(time.Unix(1, 0)) })
		n, err = a.Read(buf)
		wantIO(t, "interrupted", n, err, 0, os.ErrDeadlineExceeded)
		a.SetDeadline(time.Time{})
		b.Write([]byte("x"))
		n, err = a.Read(buf)
		wantIO(t, "then", n, err, 1, nil)

		// Moved while a read waits.
		began = time.Now()
		a.SetReadDeadline(began.Add(time.Second))
		go a.SetReadDeadline(began.Add(time.Minute))
		n, err = a.Read(buf)
		wantIO(t, "moved", n, err, 0, os.ErrDeadlineExceeded)
		if d := time.Since(began); d != time.Minute {
			t.Errorf("after %v", d)
		}
	})
}

func TestMemConnClose(t *testing.T) {
	buf := make([]byte, 10)
	memBubble(t, func(t *testing.T, a, b *memConn) {
		a.Write([]byte("last"))
		a.Close()
		n, err := b.Read(buf)
		wantIO(t, "peer", n, err, 4, nil)
		n, err = b.Read(buf)
		wantIO(t, "peer", n, err, 0, io.EOF)
		n, err = b.Write(buf)
		wantIO(t, "peer", n, err, 0, syscall.EPIPE)
		n, err = a.Read(buf)
		wantIO(t, "own", n, err, 0, net.ErrClosed)
		n, err = a.Write(buf)
		wantIO(t, "own", n, err, 0, net.ErrClosed)
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	})
	memBubble(t, func(t *testing.T, a, b *memConn) { // releases whoever waits
		errs := make(chan error)
		go func() { _, err := a.Write(make([]byte, 1<<20)); errs <- err }()
		go func() { _, err := b.Write(make([]byte, 1<<20)); errs <- err }()
		synctest.Wait()
		a.Close()
		err1, err2 := <-errs, <-errs
		if !errors.Is(errors.Join(err1, err2), net.ErrClosed) || !errors.Is(errors.Join(err1, err2), syscall.EPIPE) {
			t.Errorf("%v, %v", err1, err2)
		}
	})
	memBubble(t, func(t *testing.T, a, b *memConn) {
		time.AfterFunc(time.Second, func() { a.Close() })
		n, err := a.Read(buf)
		wantIO(t, "own", n, err, 0, net.ErrClosed)
	})
	memBubble(t, func(t *testing.T, a, b *memConn) { // reset
		a.Write([]byte("last"))
		a.SetLinger(0)
		a.Close()
		n, err := b.Read(buf)
		wantIO(t, "peer", n, err, 4, nil)
		n, err = b.Read(buf)
		wantIO(t, "peer", n, err, 0, syscall.ECONNRESET)
		n, err = b.Write(buf)
		wantIO(t, "peer", n, err, 0, syscall.ECONNRESET)
	})
}

func TestMemListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.dial(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: %v", err)
		}
		go l.dial(t.Context(), "", "")
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() == c.LocalAddr().String() {
			t.Errorf("%v", err)
		}
		errs := make(chan error)
		go func() { _, err := l.Accept(); errs <- err }()
		synctest.Wait()
		l.Close()
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		if _, err := l.dial(t.Context(), "", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
	})
}
