package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/internal/ws"
)

// A pinged is what Ping has returned.
type pinged struct {
	took time.Duration
	err  error
}

func (r *rig) pinging(ctx context.Context) <-chan pinged {
	return done(func() pinged {
		took, err := r.Ping(ctx)
		return pinged{took, err}
	})
}

// Ping returns how long its PONG took.
func TestPing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		got := r.pinging(context.Background())
		time.Sleep(time.Second)
		waits(t, got)
		r.link.bring(pongOf(1))
		must(t, got, pinged{time.Second, nil})
		if n := r.cfg.Traffic.Pings.Load(); n != 1 {
			t.Errorf("%d PINGs", n)
		}
		if n := r.cfg.Traffic.Pongs.Load(); n != 1 {
			t.Errorf("%d PONGs", n)
		}
		if rtt := r.cfg.Traffic.RTT.Load(); rtt != int64(time.Second) {
			t.Errorf("RTT %v", time.Duration(rtt))
		}
		r.link.bring(pongOf(1), pongOf(7), peerFrame(ws.Pong, []byte("x")))
		synctest.Wait()
		if n := r.cfg.Traffic.Pongs.Load(); n != 1 {
			t.Errorf("%d PONGs; those that answer nothing do not count", n)
		}
	})
}

// The context of Ping ends its wait also behind a write that is stuck, and not the session.
func TestPingBehindAWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		r.sending("x", Fresh)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		got := r.pinging(ctx)
		waits(t, got)
		time.Sleep(time.Second)
		must(t, got, pinged{0, context.DeadlineExceeded})
		r.lives()
	})
}

// Ping returns when the session ends, with its cause.
func TestPingOfALostSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		got := r.pinging(context.Background())
		r.Abort(errBroken)
		must(t, got, pinged{0, errBroken})
		must(t, r.pinging(context.Background()), pinged{0, errBroken})
		r.Wait()
		must(t, r.pinging(context.Background()), pinged{0, errBroken})
		r.tasks.start(func() { t.Error("Wait has returned, and a task starts") })
		synctest.Wait()
	})
}

// A PING that cannot be written ends the session. One after a CLOSE does not.
func TestPingFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		got := r.pinging(context.Background())
		r.link.permits <- errBroken
		time.Sleep(causeWait)
		must(t, got, pinged{0, errBroken})
		r.died(errBroken)

		r = begin(t, config())
		shut := done(func() bool { return r.Shut(time.Hour) })
		r.sendPing(nil)
		time.Sleep(2 * causeWait)
		r.lives()
		waits(t, shut)
		equal(t, "PINGs", r.link.wrote(ws.Ping), nil)
		r.link.bring(closeFrame(1000, ""))
		must(t, shut, true)
	})
}

// A PING's time begins when it has left.
func TestPingBehindAWriteIsTimedLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		sent := r.sending("x", Fresh)
		r.pinging(context.Background())
		queued := time.Now()
		time.Sleep(time.Second)
		r.link.permits <- nil
		must(t, sent, result{Sent, nil})
		if h := r.Health(); h.Pinged != queued || h.Oldest != queued || !h.Silent.IsZero() {
			t.Errorf("a PING that has not left: %+v", h)
		}
		time.Sleep(time.Second)
		r.link.permits <- nil
		synctest.Wait()
		left := time.Now()
		if h := r.Health(); h.Pinged != left || h.Oldest != left || h.Silent != left {
			t.Errorf("a PING that has left at %v: %+v", left, h)
		}
		time.Sleep(time.Second)
		r.link.bring(pongOf(1))
		synctest.Wait()
		if rtt := r.cfg.Traffic.RTT.Load(); rtt != int64(time.Second) {
			t.Errorf("RTT %v, want that from the socket on", time.Duration(rtt))
		}
	})
}

// What Health says of each thing.
func TestHealth(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.TrackData = true
		r := begin(t, cfg)
		opened := time.Now()
		check := func(want Health) {
			t.Helper()
			synctest.Wait()
			if got := r.Health(); got != want {
				t.Errorf("after %v:\n%+v, want\n%+v", time.Since(opened), got, want)
			}
		}
		after := func(seconds int) time.Time { return opened.Add(time.Duration(seconds) * time.Second) }
		want := Health{Heard: opened, Data: opened, Freed: opened}
		check(want)
		time.Sleep(time.Second) // 1
		r.send("a", Untracked)
		want.Data = after(1)
		check(want)
		time.Sleep(time.Second) // 2
		r.send("b", Fresh)
		want.Data, want.Unfollowed, want.Unacknowledged = after(2), after(2), true
		check(want)
		if n := r.Unacknowledged(); n != 1 {
			t.Errorf("%d unacknowledged", n)
		}
		time.Sleep(time.Second) // 3
		r.send("c", Fresh)
		want.Data = after(3)
		check(want)
		time.Sleep(time.Second) // 4
		r.sendPing(nil)
		want.Unfollowed, want.Pinged, want.Oldest, want.Silent = time.Time{}, after(4), after(4), after(4)
		check(want)
		time.Sleep(time.Second) // 5
		r.link.bring(text("m"))
		want.Heard, want.Data, want.Silent = after(5), after(5), time.Time{}
		check(want)
		time.Sleep(time.Second) // 6
		r.sendPing(nil)
		want.Pinged, want.Silent = after(6), after(6)
		check(want)
		time.Sleep(time.Second) // 7
		r.link.bring(pongOf(2))
		check(Health{Heard: after(7), Data: after(5), Freed: opened})
	})
}

// Health says how far the PING has come after which nothing came in. The mark is behind that PING.
func TestCarried(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		carried := time.Now()
		r.link.path.set(Progress{Last: carried.Add(time.Hour), Marked: carried, Pending: true}, 0)
		check := func(marks int32, want time.Time, carrying bool) {
			t.Helper()
			synctest.Wait()
			if h := r.Health(); h.Carried != want || h.Carrying != carrying {
				t.Errorf("carried at %v, carrying %v", h.Carried, h.Carrying)
			}
			if n := r.link.path.marks.Load(); n != marks {
				t.Errorf("marked %d times, want %d", n, marks)
			}
		}
		check(0, time.Time{}, false)
		r.send("a", Fresh)
		check(0, time.Time{}, false)
		r.sendPing(nil)
		check(1, carried, true)
		r.sendPing(nil) // the silence is that after the first
		check(1, carried, true)
		r.link.path.set(Progress{Marked: carried}, 0)
		check(1, carried, false)
		r.link.bring(pongOf(2))
		check(1, time.Time{}, false)
		r.sendPing(nil)
		check(2, carried, false)
	})
}

// Notify is called at the first message that no PING follows, not at the next ones until a PING has
// gone, and when the session has ended.
func TestNotify(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		var r *rig
		calls, dead := 0, false
		cfg.Notify = func() { calls, dead = calls+1, r.IsDead() }
		r = begin(t, cfg)
		notified := func(want int) {
			t.Helper()
			if calls != want {
				t.Errorf("notified %d times, want %d", calls, want)
			}
			calls = 0
		}
		r.send("a", Untracked)
		notified(0)
		r.send("b", Fresh)
		notified(1)
		r.send("c", Fresh)
		notified(0)
		r.sendPing(nil)
		notified(0)
		r.send("d", Again)
		notified(1)
		r.Abort(errEnded)
		r.Abort(errEnded)
		synctest.Wait()
		notified(1)
		if !dead {
			t.Error("notified before the session had ended")
		}
	})
}

// A tick sends a message, then a PING, and says when the message was sent.
func TestTick(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		sent := 0
		if !r.Tick([]byte("k"), true, func() { sent++ }) {
			t.Error("a tick has done nothing")
		}
		synctest.Wait()
		if !r.Tick([]byte("l"), false, func() { sent++ }) {
			t.Error("the second tick has done nothing")
		}
		synctest.Wait()
		if !r.Tick(nil, true, nil) {
			t.Error("the third tick has done nothing")
		}
		synctest.Wait()
		equal(t, "frames", r.link.frames(), []frame{{ws.Text, "k"}, {ws.Ping, "1"}, {ws.Text, "l"}, {ws.Ping, "2"}})
		if sent != 2 {
			t.Errorf("%d messages sent", sent)
		}
		if n := r.Unacknowledged(); n != 0 {
			t.Errorf("%d keepalive messages are in the accounts", n)
		}
	})
}

// While the writes of a tick are stuck, further ticks do nothing.
func TestTickBehindAWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		if !r.Tick([]byte("k"), true, func() {}) {
			t.Error("a tick has done nothing")
		}
		synctest.Wait()
		for range 2 {
			if r.Tick(nil, true, nil) {
				t.Error("a second tick begins while the first is stuck")
			}
			synctest.Wait()
			if n := r.cfg.Traffic.Pings.Load(); n > 1 {
				t.Errorf("%d PINGs", n)
			}
			r.link.permits <- nil
			synctest.Wait()
		}
		if !r.Tick(nil, true, nil) {
			t.Error("a tick does nothing although nothing is stuck")
		}
	})
}

// A tick that fails ends the session, and does not say that its message was sent.
func TestTickFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		r.Tick([]byte("k"), false, func() { t.Error("sent") })
		synctest.Wait()
		r.link.permits <- errBroken
		time.Sleep(causeWait)
		r.died(errBroken)
	})
}

// While the reader waits, Health says so, and then when it went on.
func TestHold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		cfg.Intercept = func(s *Session, p []byte) bool {
			if string(p) == "hold" {
				s.Hold(func() { time.Sleep(time.Minute) })
			}
			return false
		}
		r := begin(t, cfg)
		opened := time.Now()
		time.Sleep(time.Second)
		popped := done(func() string {
			it, _ := r.queue.Pop(context.Background())
			return string(it.Data)
		})
		r.link.bring(text("before"), text("hold"), text("after"))
		must(t, popped, "before")
		if h := r.Health(); !h.Blocked || !h.Freed.IsZero() {
			t.Errorf("while it waits: %+v", h)
		}
		time.Sleep(time.Minute)
		equal(t, "after", r.pop(), []string{"hold", "after"})
		if h := r.Health(); h.Blocked || h.Freed != opened.Add(time.Minute+time.Second) {
			t.Errorf("after it: %+v", h)
		}
	})
}

// A peer that leaves PINGs unanswered costs no memory without end, however many there are, and what
// is known of them stays true.
func TestFloodOfPings(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		begun := time.Now()
		waiter := r.pinging(context.Background())
		time.Sleep(time.Second)
		r.link.bring(text("alive"))
		synctest.Wait()
		time.Sleep(time.Second)
		var silent time.Time
		for i := range 10000 {
			if i == 100 {
				r.link.bring(text("alive"))
				synctest.Wait()
			}
			if i == 200 { // more than are kept
				r.link.bring(text("alive"))
				synctest.Wait()
				silent = time.Now()
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			r.Ping(ctx)
			cancel()
		}
		r.out.mu.Lock()
		n := len(r.out.accounts.outstanding)
		r.out.mu.Unlock()
		if n > maxOutstanding {
			t.Errorf("%d PINGs are kept", n)
		}
		h := r.Health()
		if h.Oldest != begun || h.Silent != silent || time.Since(h.Pinged) != time.Millisecond {
			t.Errorf("oldest %v, want %v; silent since %v, want %v; the last %v ago", h.Oldest, begun,
				h.Silent, silent, time.Since(h.Pinged))
		}
		last := r.pinging(context.Background())
		r.send("after it", Fresh)
		r.link.bring(pongOf(5000)) // which is not kept
		must(t, waiter, pinged{time.Since(begun), nil})
		waits(t, last)
		if n := r.Unacknowledged(); n != 1 {
			t.Errorf("%d unacknowledged, want 1", n)
		}
		r.sendPing(nil)
		r.link.bring(pongOf(10003))
		must(t, last, pinged{0, nil})
		if n := r.Unacknowledged(); n != 0 {
			t.Errorf("%d unacknowledged", n)
		}
	})
}
