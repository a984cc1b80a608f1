package session

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/ws"
)

// shutting calls Shut on a goroutine of its own.
func (r *rig) shutting(timeout time.Duration) <-chan bool {
	return done(func() bool { return r.Shut(timeout) })
}

// closes fails the test unless the stream is closed after this time, and not before, and then reset
// or not.
func (r *rig) closes(after time.Duration, reset bool) {
	r.t.Helper()
	synctest.Wait()
	if after > 0 {
		time.Sleep(after - 1)
		if r.link.isClosed() {
			r.t.Errorf("the stream is closed within %v", after)
		}
		time.Sleep(time.Nanosecond)
	}
	synctest.Wait()
	if !r.link.isClosed() {
		r.t.Fatalf("the stream is not closed after %v", after)
	}
	if got := r.link.resets.Load() > 0; got != reset {
		r.t.Errorf("the stream was reset: %v, want %v", got, reset)
	}
}

const closeNormal, closeAway, closeProtocol = "\x03\xe8", "\x03\xe9", "\x03\xea"

// Shut sends a CLOSE and returns when it was answered. The peer may close the stream first.
func TestShut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.send("a", Untracked)
		shut := r.shutting(time.Hour)
		waits(t, shut)
		equal(t, "frames", r.link.frames(), []frame{{ws.Text, "a"}, {ws.Close, closeNormal}})
		r.link.bring(text("late"), closeFrame(1000, "fine"), text("after it"))
		must(t, shut, true)
		equal(t, "messages", r.pop(), []string{"late"})
		equal(t, "frames", r.link.wrote(ws.Close), []string{closeNormal})
		if f, ok := r.Cause().(*CloseFrame); !ok || f.Code != 1000 || f.Reason != "fine" || f.Error() == "" {
			t.Errorf("cause %v", r.Cause())
		}
		r.closes(closeWait, false)
		must(t, r.shutting(time.Hour), false)
	})
}

// A PING goes before the CLOSE if anything is not acknowledged, so that its PONG tells.
func TestShutAsksFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.send("a", Fresh)
		shut := r.shutting(time.Hour)
		equal(t, "frames", r.link.frames(), []frame{{ws.Text, "a"}, {ws.Ping, "1"}, {ws.Close, closeNormal}})
		if n := len(r.link.writes); n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
		r.link.bring(pongOf(1), closeFrame(1000, ""))
		must(t, shut, true)
		must(t, done(r.Settle), 0)
	})
}

// A CLOSE that is not answered in time ends the session all the same.
func TestShutTimesOut(t *testing.T) {
	for _, hold := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			r := begin(t, config())
			if hold {
				r = begin(t, config(), stuck)
				r.sending("under way", Fresh)
			}
			shut := r.shutting(time.Second)
			if outcome, err := r.Send(context.Background(), []byte("x"), Fresh); outcome != NotSent || err != ErrSealed {
				t.Errorf("Send = %v, %v", outcome, err)
			}
			time.Sleep(time.Second - 1)
			waits(t, shut)
			time.Sleep(time.Nanosecond)
			must(t, shut, false)
			r.died(ErrCloseTimeout)
			r.closes(0, true)
		})
	}
}

// A CLOSE that cannot be written ends the session, with the reason of the reader if there is one.
func TestShutFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		shut := r.shutting(time.Hour)
		r.link.permits <- errBroken
		time.Sleep(causeWait)
		must(t, shut, false)
		r.died(errBroken)

		r = begin(t, config(), stuck)
		shut = r.shutting(time.Hour)
		r.link.permits <- errBroken
		close(r.link.in)
		must(t, shut, false)
		r.died(io.EOF)
	})
}

// A CLOSE of the peer with another status is no answer.
func TestShutCrosses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		shut := r.shutting(time.Hour)
		r.link.bring(closeFrame(1001, ""))
		must(t, shut, false)
		equal(t, "CLOSE", r.link.wrote(ws.Close), []string{closeNormal})
		r.closes(closeWait, false)
	})
}

// Two calls of Shut send one CLOSE.
func TestShutTwice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		first, second := r.shutting(time.Hour), r.shutting(2*time.Hour)
		r.link.permits <- nil
		time.Sleep(2 * causeWait)
		r.lives()
		r.link.bring(closeFrame(1000, ""))
		must(t, first, true)
		must(t, second, true)
		equal(t, "CLOSE", r.link.wrote(ws.Close), []string{closeNormal})
	})
}

// A CLOSE of the peer is answered with its status. The peer is to close the stream first.
func TestCloseOfThePeer(t *testing.T) {
	for _, test := range []struct {
		close []byte
		code  int
		want  string
	}{
		{closeFrame(1001, "away"), 1001, closeAway},
		{closeFrame(4000, ""), 4000, "\x0f\xa0"},
		{peerFrame(ws.Close, nil), 1005, ""},
	} {
		for _, first := range []bool{false, true} {
			inBubble(t, func(t *testing.T) {
				r := begin(t, config())
				r.link.bring(test.close)
				synctest.Wait()
				if f, ok := r.Cause().(*CloseFrame); !ok || f.Code != test.code {
					t.Fatalf("cause %v", r.Cause())
				}
				if outcome, err := r.Send(context.Background(), []byte("x"), Untracked); outcome != NotSent || err != r.Cause() {
					t.Errorf("Send = %v, %v", outcome, err)
				}
				must(t, done(r.Settle), 0) // whether the stream is closed does not matter
				if first {
					time.Sleep(closeWait / 2)
					r.link.bring([]byte(big(2000))) // is dropped
					close(r.link.in)
					r.closes(0, false)
				} else {
					r.closes(closeWait, false)
				}
				r.Wait()
				equal(t, "frames", r.link.frames(), []frame{{ws.Close, test.want}})
				equal(t, "messages", r.pop(), nil)
			})
		}
	}
}

// A breach is answered, and what the peer still gets is dropped.
func TestBreach(t *testing.T) {
	for _, test := range []struct {
		bring []byte
		want  string
	}{
		{breach, closeProtocol},
		{peerFrame(ws.Close, []byte{3}), closeProtocol},
		{peerFrame(ws.Text, []byte{0xff}), "\x03\xef"},
	} {
		inBubble(t, func(t *testing.T) {
			r := begin(t, config())
			r.link.bring(test.bring, text("after it"))
			synctest.Wait()
			if _, ok := r.Cause().(*ws.Error); !ok {
				t.Fatalf("cause %v", r.Cause())
			}
			equal(t, "frames", r.link.frames(), []frame{{ws.Close, test.want}})
			r.closes(closeWait, true)
			equal(t, "messages", r.pop(), nil)
		})
	}
}

// Behind a write that is stuck, the answer to a CLOSE or a breach does not wait for long: the
// handshake is not finished then.
func TestAnswerBehindAWrite(t *testing.T) {
	for _, bring := range [][]byte{closeFrame(1001, ""), breach} {
		for _, shut := range []bool{false, true} {
			inBubble(t, func(t *testing.T) {
				r := begin(t, config(), stuck)
				r.sending("under way", Fresh)
				if shut {
					r.shutting(time.Hour)
				}
				r.link.bring(bring)
				synctest.Wait()
				time.Sleep(causeWait - 1)
				r.lives()
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if !r.IsDead() {
					t.Fatal("the session waits for a write that is stuck")
				}
				r.closes(0, true)
			})
		}
	}
}

// An Abort ends the wait for the answer to leave, even if the write goes on.
func TestAbortEndsTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck, func(l *link) { l.deaf = true })
		r.sending("under way", Fresh)
		r.link.bring(closeFrame(1001, ""))
		synctest.Wait()
		r.Abort(errBroken)
		must(t, done(func() bool { r.reading.Wait(); return true }), true)
	})
}

// An answer that leaves in time finishes the handshake, also if it is the CLOSE that Shut has put
// into a batch.
func TestAnswerBehindAWriteInTime(t *testing.T) {
	for _, shut := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			r := begin(t, config(), stuck)
			sent := r.sending("under way", Untracked)
			if shut {
				r.shutting(time.Hour)
			}
			r.link.bring(closeFrame(1000, ""))
			time.Sleep(causeWait / 2)
			r.lives()
			r.link.permits <- nil
			must(t, sent, result{Sent, nil})
			r.link.permits <- nil
			synctest.Wait()
			equal(t, "frames", r.link.frames(), []frame{{ws.Text, "under way"}, {ws.Close, closeNormal}})
			r.closes(closeWait, false)
		})
	}
}

// An answer that cannot be written finishes nothing, and the peer's CLOSE is the cause.
func TestAnswerFails(t *testing.T) {
	for _, shut := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			r := begin(t, config(), stuck)
			if shut {
				r.shutting(time.Hour)
			}
			r.link.bring(closeFrame(1000, ""))
			synctest.Wait()
			r.link.permits <- errBroken
			synctest.Wait()
			if _, ok := r.Cause().(*CloseFrame); !ok {
				t.Fatalf("cause %v", r.Cause())
			}
			r.closes(0, true)
		})
	}
}

// Abort ends everything at once, resets the stream and counts once.
func TestAbort(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		sent, ping, shut := r.sending("x", Fresh), r.pinging(context.Background()), r.shutting(time.Hour)
		r.Abort(errBroken)
		r.Abort(errEnded)
		r.died(errBroken)
		must(t, sent, result{Truncated, errBroken})
		must(t, ping, pinged{0, errBroken})
		must(t, shut, false)
		r.closes(0, true)
		r.Wait()
		if r.link.resets.Load() != 1 || r.link.calls != 1 {
			t.Errorf("%d resets, closed %d times", r.link.resets.Load(), r.link.calls)
		}
		equal(t, "frames", r.link.frames(), nil)
	})
}

// A stream that cannot be reset is closed.
func TestAbortWithoutReset(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLink()
		s := New(config(), l, nil, queue.New())
		s.Abort(errEnded)
		s.Wait()
		if !l.isClosed() {
			t.Error("the stream is open")
		}
	})
}

// Abort leaves a stream whose close handshake is finished to the peer: a reset might overtake our
// CLOSE.
func TestAbortAfterTheHandshake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.link.bring(closeFrame(1001, ""))
		synctest.Wait()
		r.Abort(errBroken)
		if _, ok := r.Cause().(*CloseFrame); !ok {
			t.Errorf("cause %v", r.Cause())
		}
		r.closes(closeWait, false)
	})
}

// An Abort that comes as the handshake is finished is the cause, and leaves the stream as well.
func TestAbortAtTheEndOfTheHandshake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		var r *rig
		cfg.Cause = func(err error) error {
			r.Abort(errBroken)
			return err
		}
		r = begin(t, cfg)
		r.link.bring(closeFrame(1001, ""))
		r.died(errBroken)
		r.closes(closeWait, false)
	})
}

// Settle waits for the write under way: what it has taken may have arrived.
func TestSettleWaitsForTheWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck, func(l *link) { l.deaf = true })
		sent := r.sending("x", Fresh)
		r.Abort(errBroken)
		settled := done(r.Settle)
		waits(t, settled)
		r.link.permits <- nil
		must(t, sent, result{Sent, nil})
		must(t, settled, 1)
	})
}

// Settle waits for the reader: a PONG may be among what has come in.
func TestSettleWaitsForTheReader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cfg := config()
		goOn := make(chan struct{})
		cfg.Intercept = func(*Session, []byte) bool { <-goOn; return true }
		r := begin(t, cfg)
		r.send("x", Fresh)
		r.sendPing(nil)
		r.link.bring(text("m"), pongOf(1))
		synctest.Wait()
		r.Abort(errBroken)
		settled := done(r.Settle)
		waits(t, settled)
		gone := done(func() bool { r.Wait(); return true })
		waits(t, gone)
		close(goOn)
		must(t, settled, 0)
		must(t, gone, true)
	})
}

// Nobody can send any more when a session is said to have ended: its accounts are closed then.
func TestNoSendAfterDead(t *testing.T) {
	s := New(config(), newLink(), nil, queue.New())
	s.out.mu.Lock() // so that nothing can be refused yet
	go s.Abort(errEnded)
	for range 1000 {
		runtime.Gosched()
		if s.IsDead() {
			t.Fatal("the session has ended, and takes messages")
		}
	}
	s.out.mu.Unlock()
	<-s.Dead()
	if outcome, err := s.Send(context.Background(), []byte("x"), Fresh); outcome != NotSent || err != errEnded {
		t.Errorf("Send = %v, %v", outcome, err)
	}
	s.Wait()
}

// However Send, Ping, Tick, Shut, Abort and the peer's CLOSE meet, all return.
func TestEverythingAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for i := range 300 {
			l := newLink()
			s := New(withWindow(), l, nil, queue.New())
			var working sync.WaitGroup
			for _, f := range []func(){
				func() { s.Send(context.Background(), []byte("x"), Untracked) },
				func() { s.Ping(context.Background()) },
				func() { s.Tick([]byte("k"), true, func() {}) },
				func() { s.Shut(time.Minute) },
				func() { s.Shut(time.Minute) },
				func() { l.bring(text("m"), pongOf(1), pingFrame("p"), closeFrame(1000, "")) },
				func() { s.Abort(errEnded) },
				func() { <-s.Dead(); s.Settle(); s.Wait() },
				func() { s.Health() },
			} {
				working.Go(func() {
					for range i % 7 {
						runtime.Gosched()
					}
					f()
				})
			}
			working.Wait()
			if s.Cause() == nil {
				t.Fatal("no cause")
			}
		}
	})
}

// When a session has ended, nothing keeps it: no timer, no goroutine, no batch.
func TestNothingKeepsASession(t *testing.T) {
	for name, use := range map[string]func(*Session, *link){
		"shut": func(s *Session, l *link) {
			go func() { <-s.Dead(); close(l.in) }()
			l.bring(closeFrame(1000, ""))
			s.Shut(24 * time.Hour)
		},
		"write": func(s *Session, l *link) {
			s.Send(context.Background(), []byte("x"), Fresh)
			s.Abort(errEnded)
		},
		"ping": func(s *Session, l *link) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			s.Ping(ctx)
			s.Abort(errEnded)
		},
	} {
		cfg := config()
		cfg.WriteTimeout = 24 * time.Hour
		kept := func() weak.Pointer[Session] {
			l := newLink()
			s := New(cfg, l, nil, queue.New())
			use(s, l)
			s.Wait()
			return weak.Make(s)
		}()
		for i := 0; kept.Value() != nil; i++ {
			if i == 10 {
				t.Errorf("%s: something keeps the session", name)
				break
			}
			runtime.GC()
		}
	}
}
