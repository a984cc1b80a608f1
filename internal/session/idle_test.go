package session

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/ws"
)

// A watchedStream keeps the stack trace of its last Read.
type watchedStream struct {
	*link
	stack atomic.Value // a string
}

func (w *watchedStream) Read(p []byte) (int, error) {
	w.stack.Store(string(debug.Stack()))
	return w.link.Read(p)
}

// A session without a nonblocking Read waits for the next frame outside of Next, so that its
// goroutine keeps the smallest stack that there is.
func TestIdleSessionNeedsLittleStack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &watchedStream{link: newLink()}
		w.blocking = true
		s := New(config(), w, kernel{w.link}, queue.New())
		s.sendPing(nil)
		for _, frame := range [][]byte{nil, pongOf(1), pingFrame("p"), text("a")} {
			w.bring(frame)
			synctest.Wait()
			stack := w.stack.Load().(string)
			if !strings.Contains(stack, ".(*Reader).Await(") || strings.Contains(stack, ".(*Reader).Next(") {
				t.Errorf("after %q it waits in:\n%s", frame, stack)
			}
		}
		s.Abort(errEnded)
		s.Wait()
	})
}

// A session with a nonblocking Read waits for the socket, and not in a Read, unless a message was
// the last thing that came: then more of them may follow.
func TestIdleSessionWaitsForTheSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Intercept = func(_ *Session, p []byte) bool { return string(p) == "kept" }
		r := begin(t, cfg)
		r.sendPing(nil)
		for i, step := range []struct {
			come [][]byte
			want bool
		}{
			{nil, true}, // it has only begun
			{[][]byte{text("a")}, false},
			{[][]byte{pongOf(1)}, true},
			{[][]byte{pingFrame("p")}, true},
			{[][]byte{text("b"), pingFrame("p")}, true},
			{[][]byte{pingFrame("p"), text("c")}, false},
			{[][]byte{text("kept")}, true},
			{[][]byte{pingFrame("p"), text("half of a frame")[:5]}, false},
			{[][]byte{text("half of a frame")[5:], peerFrame(ws.Pong, nil)}, true},
			{[][]byte{{1, 1, 'd'}}, false}, // the first fragment of a message
			{[][]byte{pingFrame("p")}, true},
			{[][]byte{{0x80, 1, 'e'}}, false},
		} {
			if step.come != nil {
				r.link.bring(step.come...)
			}
			synctest.Wait()
			if got := r.link.waiting.Load(); got != step.want {
				t.Errorf("step %d: waits for the socket: %v, want %v", i, got, step.want)
			}
		}
		equal(t, "messages", r.pop(), []string{"a", "b", "c", "half of a frame", "de"})
		if n := len(r.link.wrote(ws.Pong)); n != 5 {
			t.Errorf("%d PINGs were answered, want 5", n)
		}
		r.lives()
	})
}

// A watchedKernel keeps the stack trace of its last AwaitInput.
type watchedKernel struct {
	kernel
	stack atomic.Value // a string
}

func (w *watchedKernel) AwaitInput() error {
	w.stack.Store(string(debug.Stack()))
	return w.kernel.AwaitInput()
}

// The goroutine that waits for the socket is not the one that has read, whose stack stays large.
func TestAnotherGoroutineWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &watchedKernel{kernel: kernel{newLink()}}
		s := New(config(), w.link, w, queue.New())
		for _, frame := range [][]byte{nil, pingFrame("p")} {
			w.bring(frame)
			synctest.Wait()
			if stack := w.stack.Load().(string); strings.Contains(stack, ".(*receiver).run") {
				t.Errorf("after %q it waits in:\n%s", frame, stack)
			}
		}
		s.Abort(errEnded)
		s.Wait()
	})
}

// A timedOut stream fails as one does whose deadline was exceeded.
type timedOut struct {
	*link
	reads atomic.Int32
}

func (o *timedOut) Read([]byte) (int, error) {
	o.reads.Add(1)
	return 0, os.ErrDeadlineExceeded
}

// Without a socket, a deadline that was exceeded is an error like any other.
func TestDeadlineWithoutASocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		o := &timedOut{link: newLink()}
		s := New(config(), o, nil, queue.New())
		s.Wait()
		if err := s.Cause(); err != os.ErrDeadlineExceeded {
			t.Errorf("cause %v", err)
		}
		if n := o.reads.Load(); n != 1 {
			t.Errorf("read %d times, want once", n)
		}
	})
}

// What TLS holds is read before the session waits for the socket, which does not have it any more.
func TestNothingIsLeftInTLS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), func(l *link) { l.record = len(text("m")) })
		synctest.Wait()
		// One packet with two records, of which a Read returns one.
		for i := range 100 {
			r.link.bring(pingFrame("p"), text("m"))
			if n := len(r.pop()); n != 1 {
				t.Fatalf("packet %d: %d messages, want 1", i, n)
			}
		}
	})
}

// A session that waits for the socket ends like any other, for the cause that a Read finds, or that
// was found in its place.
func TestEndOfAnIdleSession(t *testing.T) {
	found := errors.New("found while waiting")
	for name, test := range map[string]struct {
		end   func(*rig)
		cause error
	}{
		"the stream ends": {func(r *rig) { close(r.link.in) }, io.EOF},
		"the stream fails": {func(r *rig) {
			r.link.inErr = errBroken
			close(r.link.in)
		}, errBroken},
		"the wait fails": {func(r *rig) {
			r.link.awaitErr = found
			r.link.in <- nil // a Read would wait
		}, found},
		"Abort": {func(r *rig) { r.Abort(errEnded) }, errEnded},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := begin(t, config())
				synctest.Wait()
				if !r.link.waiting.Load() {
					t.Fatal("does not wait for the socket")
				}
				test.end(r)
				settled := done(func() int64 { return r.Settle() })
				waited := done(func() bool { r.Wait(); return true })
				r.died(test.cause)
				must(t, settled, 0)
				must(t, waited, true)
				if !r.link.isClosed() || r.link.resets.Load() != 1 {
					t.Error("the stream was not reset")
				}
			})
		})
	}
}

// Wait waits for the goroutine that reads, whichever it is at the time.
func TestWaitWhileIdle(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		synctest.Wait()
		waited := done(func() bool { r.Wait(); return true }) // from here on no task is started
		waits(t, waited)
		r.link.bring(text("a")) // a goroutine reads it
		r.link.bring(peerFrame(ws.Pong, nil))
		synctest.Wait()
		if !r.link.waiting.Load() {
			t.Error("does not wait for the socket")
		}
		waits(t, waited)
		r.Abort(errEnded)
		must(t, waited, true)
		ended, end := context.WithCancel(context.Background())
		end()
		if it, ok := r.queue.Pop(ended); !ok || string(it.Data) != "a" {
			t.Errorf("%q, %v", it.Data, ok)
		}
	})
}

// bytesAndTimeout is a stream that brings the error of its deadline together with bytes, as a
// tls.Conn does when part of an alert follows the data.
type bytesAndTimeout struct{ *link }

func (b bytesAndTimeout) Read(p []byte) (int, error) {
	n, err := b.link.Read(p)
	if n > 0 && b.nonblocking {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// Bytes that come together with the error of the deadline count, and the session lives on.
func TestBytesAndTimeout(t *testing.T) {
	for _, last := range [][]byte{text("m"), append(text("m"), text("kept")...)} {
		inBubble(t, func(t *testing.T) {
			l := newLink()
			l.record = len(last) // a Read brings the PING, the next one what is behind it
			cfg := config()
			cfg.Intercept = func(_ *Session, p []byte) bool { return string(p) == "kept" }
			r := &rig{t: t, link: l, queue: queue.New()}
			r.Session = New(cfg, bytesAndTimeout{l}, kernel{l}, r.queue)
			defer r.Wait()
			defer r.Abort(errEnded)
			synctest.Wait()
			l.bring(pingFrame(big(len(last)-2)), last)
			equal(t, "messages", r.pop(), []string{"m"})
			r.lives()
			l.in <- text("next")
			equal(t, "messages", r.pop(), []string{"next"})
			r.lives()
		})
	}
}
