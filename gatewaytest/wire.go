package gatewaytest

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A wire is the connection below the frames, with the faults it was given. One goroutine reads and
// one writes; the rest may be called from anywhere.
type wire struct {
	conn net.Conn
	dead chan struct{} // closed by close and reset: whoever waits here gives up

	mu        sync.Mutex
	changed   sync.Cond // frozenIn, frozenOut, closed
	frozenIn  bool
	frozenOut bool
	closed    bool
	faults    Faults
	in, out   int64 // bytes since faults were set
}

func newWire(conn net.Conn, f Faults) *wire {
	w := &wire{conn: conn, dead: make(chan struct{}), faults: f}
	w.changed.L = &w.mu
	return w
}

var errReset = os.NewSyscallError("read", syscall.ECONNRESET)

// Read implements io.Reader, for a bufio.Reader to stand on. What has changed while it waited for
// the client applies to what came.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	rate, cut := w.faults.RateIn, w.faults.CutIn > 0 && w.in >= w.faults.CutIn
	w.mu.Unlock()
	if cut {
		w.reset()
		return 0, errReset
	}
	if rate > 0 {
		p = p[:min(len(p), portion(rate))]
	}
	n, err := w.conn.Read(p)
	if !w.awaitIn() { // nothing gets through a frozen wire, the end of the stream included
		return 0, net.ErrClosed
	}
	w.mu.Lock()
	rate = w.faults.RateIn
	if left := w.faults.CutIn - w.in; w.faults.CutIn > 0 && int64(n) > left {
		n = int(max(left, 0)) // the rest never arrived
	}
	w.in += int64(n)
	w.mu.Unlock()
	if rate > 0 {
		w.sleep(transit(n, rate))
	}
	return n, err
}

// awaitIn waits while nothing may come in. It reports whether the wire still stands.
func (w *wire) awaitIn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.frozenIn && !w.closed {
		w.changed.Wait()
	}
	return !w.closed
}

// Write sends p in one call of the connection's Write, unless faults are in the way.
func (w *wire) Write(p []byte) (sent int, err error) {
	for sent < len(p) {
		w.mu.Lock()
		for w.frozenOut && !w.closed {
			w.changed.Wait()
		}
		f, out, closed := w.faults, w.out, w.closed
		w.mu.Unlock()
		if closed {
			return sent, net.ErrClosed
		}
		part := p[sent:]
		if f.RateOut > 0 {
			part = part[:min(len(part), portion(f.RateOut))]
			w.sleep(transit(len(part), f.RateOut))
		}
		if f.CutOut > 0 {
			part = part[:min(int64(len(part)), max(f.CutOut-out, 0))]
		}
		n, err := w.conn.Write(part)
		sent += n
		w.mu.Lock()
		w.out += int64(n)
		cut := w.faults.CutOut > 0 && w.out >= w.faults.CutOut
		w.mu.Unlock()
		if cut {
			w.reset()
			return sent, errReset
		}
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (w *wire) setFaults(f Faults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults, w.in, w.out = f, 0, 0
}

// delays returns how much later a frame leaves, and for a push how much more and how many times
// besides the first.
func (w *wire) delays() (latency, push time.Duration, copies int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults.Latency, w.faults.PushDelay, w.faults.PushCopies
}

// transitOut is how long n bytes take to leave.
func (w *wire) transitOut(n int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults.RateOut <= 0 {
		return 0
	}
	return transit(n, w.faults.RateOut)
}

// freeze sets the directions that are given.
func (w *wire) freeze(in, out *bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if in != nil {
		w.frozenIn = *in
	}
	if out != nil {
		w.frozenOut = *out
	}
	w.changed.Broadcast()
}

// mute reports whether nothing may go out.
func (w *wire) mute() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frozenOut
}

// close closes the connection as a program does that is done with it: the peer reads the end of the
// stream.
func (w *wire) close() {
	if w.kill() {
		w.conn.Close()
	}
}

// reset resets the connection: the peer reads what has arrived and then ECONNRESET.
func (w *wire) reset() {
	if !w.kill() {
		return
	}
	conn := w.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // no farewell of TLS either
	}
	if l, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
	conn.Close()
}

// kill releases whoever waits on the wire. It reports whether it was the first to do so.
func (w *wire) kill() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.closed = true
	close(w.dead)
	w.changed.Broadcast()
	return true
}

func (w *wire) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.dead:
	}
}

// portion is how many bytes pass at once at a rate: a twentieth of a second's worth, so that a slow
// line is even.
func portion(rate int) int { return max(rate/20, 1) }

// transit is how long n bytes take at a rate of bytes a second.
func transit(n, rate int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(rate)
}
