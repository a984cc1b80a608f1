package session

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/ws"
)

// Messages go to the queue, in order, and are counted.
func TestRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.link.bring(text("a"), text(""), peerFrame(ws.Binary, []byte{0xff}))
		r.link.bring(text("d"))
		equal(t, "messages", r.pop(), []string{"a", "", "\xff", "d"})
		if n, bytes := r.cfg.Traffic.MessagesReceived.Load(), r.cfg.Traffic.BytesReceived.Load(); n != 4 || bytes != 3 {
			t.Errorf("counted %d messages, %d bytes", n, bytes)
		}
	})
}

// A message comes to those who wait as soon as it is there: before the stream is read again, before
// a PING is answered, before a breach is.
func TestMessagesAreAnnounced(t *testing.T) {
	for _, test := range []struct {
		name   string
		behind []byte
	}{
		{"nothing more", nil},
		{"half a frame", []byte{0x81}},
		{"a PING", pingFrame("")},
		{"a CLOSE", closeFrame(1000, "")},
		{"a breach", breach},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := begin(t, config(), stuck)
				r.sending("x", Untracked) // so that no answer leaves
				popped := done(func() string {
					it, _ := r.queue.Pop(context.Background())
					return string(it.Data)
				})
				r.link.bring(text("a"), test.behind)
				must(t, popped, "a")
				r.lives()
			})
		})
	}
}

// Those who wait learn of many messages of one packet, too.
func TestMessagesAreAnnouncedAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Intercept = func(_ *Session, p []byte) bool {
			if string(p) == "exit" {
				runtime.Goexit()
			}
			return false
		}
		r := begin(t, cfg)
		popped := done(func() string {
			it, _ := r.queue.Pop(context.Background())
			return string(it.Data)
		})
		r.link.bring(text("a"), text("exit"))
		must(t, popped, "a")
	})
}

// A PING is answered with its payload, behind what is under way.
func TestPong(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.link.bring(pingFrame("one"), pingFrame(""), text("m"))
		equal(t, "messages", r.pop(), []string{"m"})
		equal(t, "frames", r.link.frames(), []frame{{ws.Pong, "one"}, {ws.Pong, ""}})
	})
}

// After a CLOSE of ours a PING is not answered, and the reading goes on.
func TestNoPongAfterClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		shut := done(func() bool { return r.Shut(time.Minute) })
		r.link.bring(pingFrame("p"), text("m"))
		equal(t, "messages", r.pop(), []string{"m"})
		equal(t, "frames", r.link.frames(), []frame{{ws.Close, "\x03\xe8"}})
		r.link.bring(closeFrame(1000, ""))
		must(t, shut, true)
	})
}

// A PONG that cannot be written does not end the reading: the peer may have said why.
func TestPongFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		r.link.bring(pingFrame("p"), text("m"), pingFrame("q"), text("n"), closeFrame(1001, "why"))
		synctest.Wait()
		r.link.permits <- errBroken
		equal(t, "messages", r.pop(), []string{"m", "n"})
		if f, ok := r.Cause().(*CloseFrame); !ok || f.Code != 1001 || f.Reason != "why" {
			t.Errorf("cause %v", r.Cause())
		}
		if r.link.resets.Load() != 1 {
			t.Error("no CLOSE has left, and the stream was not reset")
		}
	})
}

// Messages that are too large are skipped, and say how large they were.
func TestTooLarge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Message = 4
		intercepted := 0
		cfg.Intercept = func(*Session, []byte) bool { intercepted++; return false }
		r := begin(t, cfg)
		r.link.bring(text("12345"), text("1234"))
		synctest.Wait()
		ended, end := context.WithCancel(context.Background())
		end()
		first, _ := r.queue.Pop(ended)
		second, _ := r.queue.Pop(ended)
		if !first.Skipped() || first.Size != 5 {
			t.Errorf("%+v", first)
		}
		if n := cfg.Traffic.BytesReceived.Load(); n != 9 {
			t.Errorf("%d bytes are counted, want those that were skipped, too", n)
		}
		if second.Skipped() || string(second.Data) != "1234" || intercepted != 1 {
			t.Errorf("%+v, %d intercepted", second, intercepted)
		}
	})
}

// What Intercept keeps is counted, and does not come to the queue.
func TestIntercept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Intercept = func(_ *Session, p []byte) bool { return string(p) == "mine" }
		r := begin(t, cfg)
		r.link.bring(text("mine"))
		synctest.Wait()
		if n := cfg.Traffic.MessagesReceived.Load(); n != 1 {
			t.Errorf("%d received, want 1", n)
		}
		r.link.bring(text("mine"), text("yours"))
		equal(t, "messages", r.pop(), []string{"yours"})
		if n := cfg.Traffic.MessagesReceived.Load(); n != 3 {
			t.Errorf("%d received, want 3", n)
		}
	})
}

// A hook that ends the goroutine which reads ends the session, with a cause, and leaves nothing.
func TestGoexit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Intercept = func(s *Session, _ []byte) bool {
			s.Hold(runtime.Goexit)
			return true
		}
		r := begin(t, cfg)
		r.link.bring(text("m"))
		r.died(errGoexit)
		if r.link.resets.Load() != 1 || !r.link.isClosed() {
			t.Error("the stream was not reset")
		}
		if h := r.Health(); h.Blocked {
			t.Error("the reader is gone, and blocked")
		}
		must(t, done(func() int64 { return r.Settle() }), 0)
		r.Wait()
	})
}

// When the queue is full, the reader waits; what comes later is not read, so that the peer waits,
// too.
func TestBackPressure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		opened := time.Now()
		time.Sleep(time.Second)
		for range queue.Messages + 2 {
			r.link.bring(text("m"))
		}
		synctest.Wait()
		if n := len(r.link.in); n != 1 {
			t.Errorf("%d packets are left, want 1", n)
		}
		if h := r.Health(); !h.Blocked {
			t.Errorf("%+v", h)
		}
		time.Sleep(time.Second)
		if n := len(r.pop()); n != queue.Messages+2 {
			t.Errorf("%d messages", n)
		}
		if h := r.Health(); h.Blocked || h.Freed != opened.Add(2*time.Second) {
			t.Errorf("%+v", h)
		}
		if n := r.cfg.Traffic.Dropped.Load(); n != 0 {
			t.Errorf("%d dropped", n)
		}
	})
}

// However many messages a packet brings, they come in order and are counted, and no more wait in
// the queue than there is room for.
func TestManyInOnePacket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		const many = 3*queue.Messages + 1
		var packet []byte
		var want []string
		for i := range many {
			want = append(want, strconv.Itoa(i))
			packet = append(packet, text(want[i])...)
		}
		r.link.bring(packet)
		synctest.Wait()
		if n := r.queue.Len(); n != queue.Messages {
			t.Errorf("%d messages are in the queue, want %d", n, queue.Messages)
		}
		if n := r.cfg.Traffic.MessagesReceived.Load(); n <= queue.Messages || n > 2*queue.Messages {
			t.Errorf("%d are counted, want some that wait for room, too, but not many", n)
		}
		equal(t, "messages", r.pop(), want)
		if n := r.cfg.Traffic.MessagesReceived.Load(); n != many {
			t.Errorf("%d are counted, want %d", n, many)
		}
	})
}

// A session that ends while its queue is full has its reader go on: what has come in is kept as
// far as a widened queue has room, and the rest is counted.
func TestLostWhileFull(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		const each = 100 << 10
		var frames [][]byte
		for range 50 {
			frames = append(frames, text(big(each)))
		}
		r.link.bring(frames...)
		synctest.Wait()
		r.Abort(errBroken)
		r.Wait()
		kept := len(r.pop())
		if want := queue.WideBytes / each; kept > want || kept < want-1 {
			t.Errorf("%d messages are kept, want about %d", kept, want)
		}
		if n := r.cfg.Traffic.Dropped.Load(); int(n)+kept != 50 {
			t.Errorf("%d kept and %d dropped, want 50 in all", kept, n)
		}
	})
}

// A reader that waits for room goes on with the queue to which its own was moved.
func TestMovedQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		for range queue.Messages + 1 {
			r.link.bring(text("m"))
		}
		synctest.Wait()
		next := queue.New()
		r.queue.MoveTo(next)
		r.queue = next
		r.link.bring(text("n"))
		got := r.pop()
		if len(got) != queue.Messages+2 || got[len(got)-1] != "n" {
			t.Errorf("%d messages", len(got))
		}
		if r.in.to != next {
			t.Error("the reader still knows the first queue")
		}
	})
}

// Why the reading ended is the cause of the session, as Config.Cause makes it.
func TestCause(t *testing.T) {
	for _, test := range []struct {
		name  string
		bring []byte
		err   error
		want  error
	}{
		{"EOF", nil, io.EOF, io.EOF},
		{"EOF in a frame", []byte{0x81}, io.EOF, io.ErrUnexpectedEOF},
		{"an error of the stream", nil, errBroken, errBroken},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				cfg := config()
				var asked error
				cfg.Cause = func(err error) error {
					asked = err
					return errEnded
				}
				r := begin(t, cfg)
				r.link.inErr = test.err
				r.link.bring(test.bring)
				close(r.link.in)
				r.died(errEnded)
				if asked != test.want {
					t.Errorf("made from %v, want %v", asked, test.want)
				}
				if r.link.resets.Load() != 1 || !r.link.isClosed() {
					t.Error("the stream was not reset")
				}
			})
		})
	}
}

// heap returns how many bytes are in use.
func heap() uint64 {
	for range 3 { // what is in a pool survives two
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What a receiver has passed on it does not hold any more, nor does the pool.
func TestMessagesAreNotHeld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		for range 100 { // a pool may drop what it was given
			r.link.bring(slices.Concat(text("a"), text("b")))
			equal(t, "messages", r.pop(), []string{"a", "b"})
			if r.in.kept != nil {
				t.Fatal("an idle receiver has room for messages")
			}
			for _, it := range arrivalsPool.Get().(*arrivals) {
				if it.Data != nil {
					t.Fatal("the pool holds a message")
				}
			}
		}
	})
}

// An idle session holds no large buffer, whatever came before; one that has ended holds none,
// however it has.
func TestBuffersAreGivenBack(t *testing.T) {
	const sessions, large = 200, 16 << 10
	header := func(n int) []byte { return peerFrame(ws.Text, make([]byte, n))[:10] }
	for _, test := range []struct {
		name  string
		bring []byte
		end   func(*rig)
	}{
		{"idle", slices.Concat(text(big(100<<10)), text(big(1000)), pingFrame("done")), nil},
		{"ended within a message", append(header(200<<10), make([]byte, 20<<10)...), func(r *rig) { close(r.link.in) }},
		{"ended by a breach", slices.Concat(text(big(1000)), breach), nil},
		{"ended by Goexit", slices.Concat(text(big(1000)), text("exit")), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				cfg := config()
				cfg.Intercept = func(_ *Session, p []byte) bool {
					if string(p) == "exit" {
						runtime.Goexit()
					}
					return true
				}
				var all [sessions]*rig
				for i := range all {
					all[i] = begin(t, cfg)
				}
				synctest.Wait()
				before := heap()
				for _, r := range all {
					r.link.bring(test.bring)
					synctest.Wait()
					if test.end != nil {
						test.end(r)
					}
				}
				time.Sleep(time.Minute)
				if n := int64(heap()-before) / sessions; n > large/4 {
					t.Errorf("a session holds %d bytes more than before", n)
				}
				runtime.KeepAlive(all)
			})
		})
	}
}
