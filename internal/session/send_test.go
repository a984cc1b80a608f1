package session

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/internal/ws"
)

// A message leaves before Send returns, in frames of the right size, and is counted.
func TestSend(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Frame = 4
		cfg.TrackData = true
		r := begin(t, cfg)
		time.Sleep(time.Second)
		r.send("hello", Fresh)
		equal(t, "frames", r.link.frames(), []frame{{ws.Text, "hell"}, {ws.Continuation, "o"}})
		if n, bytes := cfg.Traffic.MessagesSent.Load(), cfg.Traffic.BytesSent.Load(); n != 1 || bytes != 5 {
			t.Errorf("counted %d messages, %d bytes", n, bytes)
		}
		if h := r.Health(); h.Data != r.Opened().Add(time.Second) {
			t.Errorf("data at %v", h.Data)
		}
		if r.Cause() != nil {
			t.Errorf("cause %v", r.Cause())
		}
	})
}

// Messages that are sent while a write is under way leave together after it, in order.
func TestBatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		first := r.sending("0", Fresh)
		second := r.sending("1", Fresh)
		third := r.sending("2", Untracked)
		r.link.permits <- nil
		must(t, first, result{Sent, nil})
		waits(t, second)
		r.link.permits <- nil
		must(t, second, result{Sent, nil})
		must(t, third, result{Sent, nil})
		equal(t, "messages", r.link.wrote(ws.Text), []string{"0", "1", "2"})
		if n := len(r.link.writes); n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
	})
}

// A batch that is full takes no further message. ctx ends the wait for the next.
func TestFullBatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		first := r.sending("0", Fresh)
		full := r.sending(big(batchLimit), Fresh)
		next := r.sending("2", Fresh)
		ctx, cancel := context.WithCancel(context.Background())
		given := done(func() result {
			outcome, err := r.Send(ctx, []byte("3"), Fresh)
			return result{outcome, err}
		})
		cancel()
		must(t, given, result{NotSent, context.Canceled})
		r.link.permits <- nil
		must(t, first, result{Sent, nil})
		for range 3 { // 64 KiB and some bytes in pieces of 32
			waits(t, full)
			waits(t, next)
			r.link.permits <- nil
		}
		must(t, full, result{Sent, nil})
		r.link.permits <- nil
		must(t, next, result{Sent, nil})
		r.lives()
		if got := r.link.wrote(ws.Text); got[len(got)-1] != "2" {
			t.Errorf("the last message is %q", got[len(got)-1])
		}
		for _, n := range r.link.writes {
			if n > writeLimit {
				t.Errorf("a write of %d bytes", n)
			}
		}
	})
}

// What waits for a batch with room is not sent when the session ends.
func TestFullBatchOfALostSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		under := r.sending("0", Fresh)
		full := r.sending(big(batchLimit), Fresh)
		next := r.sending("2", Fresh)
		r.Abort(errBroken)
		must(t, under, result{Truncated, errBroken})
		must(t, full, result{Truncated, errBroken})
		must(t, next, result{NotSent, errBroken})
		if lost := r.Settle(); lost != 0 {
			t.Errorf("%d messages are lost, want none", lost)
		}
	})
}

// What became of each message of a batch whose write fails: its last byte has left or not.
func TestOutcomes(t *testing.T) {
	// Each sees what its own message has become, and none is told that it was sent: the leader's
	// buffers are used again as soon as it is done.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, test := range []struct {
		taken                int
		first, second, third Outcome
	}{
		{0, Truncated, Truncated, Truncated},
		{6, Truncated, Truncated, Truncated},
		{7, Unconfirmed, Truncated, Truncated}, // a message of 1 byte takes 7
		{20, Unconfirmed, Unconfirmed, Truncated},
		{21, Unconfirmed, Unconfirmed, Unconfirmed},
	} {
		t.Run(fmt.Sprint(test.taken), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := begin(t, config(), stuck)
				r.link.partial = test.taken
				before := r.sending("0", Fresh)
				first, second, third := r.sending("1", Fresh), r.sending("2", Fresh), r.sending("3", Fresh)
				r.link.permits <- nil
				must(t, before, result{Sent, nil})
				r.link.permits <- errBroken
				time.Sleep(causeWait)
				must(t, first, result{test.first, errBroken})
				must(t, second, result{test.second, errBroken})
				must(t, third, result{test.third, errBroken})
				if outcome, err := r.Send(context.Background(), []byte("4"), Fresh); outcome != NotSent || err != errBroken {
					t.Errorf("after it, Send = %v, %v", outcome, err)
				}
				if lost := r.Settle(); lost != 1 {
					t.Errorf("%d messages are lost, want 1: those of a failed write are told by Send", lost)
				}
			})
		})
	}
}

// After a write that fails, nothing is written: what follows would be taken for the rest of it.
func TestNothingFollowsAFailedWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		r.link.partial = 3
		r.sending("0", Fresh)
		next := r.sending("1", Fresh)
		r.link.permits <- errBroken
		synctest.Wait()
		select {
		case r.link.permits <- nil:
			t.Error("a second write")
		default:
		}
		time.Sleep(causeWait)
		must(t, next, result{Truncated, errBroken})
	})
}

// A write that fails ends the session for what the reader finds within causeWait: a CLOSE says more
// than a broken pipe.
func TestFailedWriteWaitsForTheCause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		sent := r.sending("0", Fresh)
		r.link.permits <- errBroken
		time.Sleep(causeWait - 1)
		waits(t, sent)
		r.link.bring(closeFrame(1001, "bye"))
		synctest.Wait()
		got := <-sent
		if f, ok := got.err.(*CloseFrame); got.outcome != Truncated || !ok || f.Code != 1001 || f.Reason != "bye" {
			t.Errorf("Send = %v", got)
		}
	})
}

// If the reader finds nothing, the error of the write is the cause, made into one by Config.Cause.
func TestFailedWriteIsTheCause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Cause = func(err error) error {
			if err != errBroken {
				return err
			}
			return errEnded
		}
		r := begin(t, cfg, stuck)
		sent := r.sending("0", Fresh)
		r.link.permits <- errBroken
		time.Sleep(causeWait)
		must(t, sent, result{Truncated, errEnded})
		r.died(errEnded)
		if r.link.resets.Load() != 1 {
			t.Error("the stream was not reset")
		}
	})
}

// A write that fails with the error of a context that has ended is a failed write all the same.
func TestFailedWriteThatLooksLikeContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		ctx, cancel := context.WithCancel(context.Background())
		sent := done(func() result {
			outcome, err := r.Send(ctx, []byte("0"), Fresh)
			return result{outcome, err}
		})
		cancel()
		waits(t, sent) // on its way to the socket: ctx does not count
		r.link.permits <- context.Canceled
		time.Sleep(causeWait)
		must(t, sent, result{Truncated, context.Canceled})
		r.died(context.Canceled)
	})
}

// A sealed session refuses messages of the application, and nothing else.
func TestSealed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.Seal()
		for _, kind := range []Kind{Fresh, Again} {
			if outcome, err := r.Send(context.Background(), []byte("x"), kind); outcome != NotSent || err != ErrSealed {
				t.Errorf("Send of kind %d = %v, %v", kind, outcome, err)
			}
		}
		r.send("untracked", Untracked)
		r.sendPing(nil)
		r.link.bring(pingFrame("p"))
		r.lives()
		equal(t, "frames", r.link.frames(), []frame{{ws.Text, "untracked"}, {ws.Ping, "1"}, {ws.Pong, "p"}})
	})
}

// Sealing a session that is closing or lost does not open it again.
func TestSealedLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		go r.Shut(time.Hour)
		synctest.Wait()
		r.Seal()
		if outcome, err := r.Send(context.Background(), []byte("x"), Untracked); outcome != NotSent || err != ErrSealed {
			t.Errorf("Send on a closing session = %v, %v", outcome, err)
		}
		r.Abort(errBroken)
		r.Seal()
		if outcome, err := r.Send(context.Background(), []byte("x"), Fresh); outcome != NotSent || err != errBroken {
			t.Errorf("Send on a lost session = %v, %v", outcome, err)
		}
	})
}

// With a window, the first message is followed by a PING in the same batch, the next PING by its
// PONG; the window keeps what is not acknowledged.
func TestPingsOfAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := withWindow()
		notified := false
		cfg.Notify = func() { notified = true }
		r := begin(t, cfg)
		kept := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, p := range cfg.Window.Kept() {
				got = append(got, string(p))
			}
			equal(t, "kept", got, want)
		}
		r.keep("a")
		r.keep("b")
		r.keep("c")
		equal(t, "frames", r.link.frames(), []frame{{ws.Text, "a"}, {ws.Ping, "1"}, {ws.Text, "b"}, {ws.Text, "c"}})
		if n := len(r.link.writes); n != 3 {
			t.Errorf("%d writes, want 3: a PING shares that of its message", n)
		}
		kept("a", "b", "c")
		r.link.bring(pongOf(1))
		kept("b", "c")
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1", "2"})
		r.link.bring(pongOf(2))
		kept()
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1", "2"})
		if notified {
			t.Error("notified: with a window, a PING has followed the message")
		}

		r.send("d", Untracked)
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1", "2"})
		cfg.Window.TryReserve(1)
		cfg.Window.Add([]byte("e"))
		r.send("e", Again)
		kept("e")
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1", "2", "3"})
	})
}

// While PINGs of the keepalive are outstanding, messages bring none; then the PONG does.
func TestPongWithMoreOutstanding(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, withWindow())
		r.sendPing(nil)
		r.sendPing(nil)
		r.keep("a")
		r.link.bring(pongOf(1))
		synctest.Wait()
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1", "2"})
		r.link.bring(pongOf(2))
		synctest.Wait()
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1", "2", "3"})
	})
}

// The reader does not wait for the PING that follows a PONG: a write may be stuck.
func TestPongBehindAWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, withWindow(), stuck)
		for _, s := range []string{"a", "b", "c"} {
			r.cfg.Window.TryReserve(len(s))
			r.sending(s, Fresh)
			if s != "c" {
				r.link.permits <- nil
			}
		}
		r.link.bring(pongOf(1), text("m"))
		equal(t, "messages", r.pop(), []string{"m"})
	})
}

// A session that is sealed refuses a message at once, also when it would wait for a batch.
func TestSealedBehindAFullBatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		r.sending("0", Fresh)
		r.sending(big(batchLimit), Fresh)
		r.Seal()
		must(t, r.sending("2", Fresh), result{NotSent, ErrSealed})
	})
}

// Without a window, a PONG brings no PING: the keepalive sends the next one.
func TestPongWithoutAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.send("a", Fresh)
		r.sendPing(nil)
		r.send("b", Fresh)
		r.link.bring(pongOf(1))
		r.lives()
		equal(t, "PINGs", r.link.wrote(ws.Ping), []string{"1"})
		if n := r.Unacknowledged(); n != 1 {
			t.Errorf("%d unacknowledged, want 1", n)
		}
	})
}

// The window keeps messages in the order in which they leave, whoever sends them.
func TestOrderOfTheWindow(t *testing.T) {
	const senders, each = 16, 200
	r := begin(t, withWindow())
	var working, looking sync.WaitGroup
	sent := make(chan struct{})
	looking.Go(func() { // so that who keeps a message has to wait
		for {
			select {
			case <-sent:
				return
			default:
				r.cfg.Window.Unconfirmed()
			}
		}
	})
	for i := range senders {
		working.Go(func() {
			for j := range each {
				p := []byte(fmt.Sprintf("%d.%d", i, j))
				r.cfg.Window.TryReserve(len(p))
				if _, err := r.Send(context.Background(), p, Fresh); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	close(sent)
	looking.Wait()
	var kept []string
	for _, p := range r.cfg.Window.Kept() {
		kept = append(kept, string(p))
	}
	if got := r.link.wrote(ws.Text); strings.Join(got, " ") != strings.Join(kept, " ") {
		t.Error("the window has another order than the wire")
	}
}

// Messages of one goroutine leave in their order, with those of others in between.
func TestOrder(t *testing.T) {
	const senders, each = 16, 200
	r := begin(t, config())
	var working sync.WaitGroup
	for i := range senders {
		working.Go(func() {
			for j := range each {
				if _, err := r.Send(context.Background(), []byte(fmt.Sprintf("%d %d", i, j)), Fresh); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	var next [senders]int
	for _, m := range r.link.wrote(ws.Text) {
		var i, j int
		fmt.Sscanf(m, "%d %d", &i, &j)
		if j != next[i] {
			t.Fatalf("%q, want message %d", m, next[i])
		}
		next[i]++
	}
	for i, n := range next {
		if n != each {
			t.Errorf("%d messages of sender %d, want %d", n, i, each)
		}
	}
}

// The buffer of a batch is used again, unless it is large.
func TestRecycledBatch(t *testing.T) {
	for _, test := range []struct {
		size int
		kept bool
	}{{4 * batchLimit, true}, {4*batchLimit + 1, false}} {
		found := false
		for range 100 { // the pool may drop what it was given
			b := &batch{buf: make([]byte, 1, test.size), messages: 1, lastPing: 2, n: 3, err: errBroken}
			recycle(b)
			got := batches.Get().(*batch)
			if len(got.buf) != 0 || got.messages != 0 || got.lastPing != 0 || got.done != nil || got.n != 0 || got.err != nil {
				t.Fatalf("a batch that is not empty: %+v", got)
			}
			found = found || cap(got.buf) == test.size
		}
		if found != test.kept {
			t.Errorf("a buffer of %d bytes: kept %v, want %v", test.size, found, test.kept)
		}
	}
}
