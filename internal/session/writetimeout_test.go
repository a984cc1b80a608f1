package session

import (
	"testing"
	"testing/synctest"
	"time"
)

// WriteTimeout bounds each piece of a write, not the write.
func TestWriteTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		sent := r.sending(big(2*writeLimit), Fresh)
		for range 2 {
			time.Sleep(r.cfg.WriteTimeout - 1)
			r.lives()
			r.link.permits <- nil
		}
		time.Sleep(r.cfg.WriteTimeout - 1)
		r.lives()
		r.link.permits <- nil
		must(t, sent, result{Sent, nil})
		time.Sleep(2 * r.cfg.WriteTimeout) // nothing is under way: no time runs
		r.lives()

		for range 2 { // the second write has a time of its own
			sent = r.sending("1", Fresh)
			time.Sleep(r.cfg.WriteTimeout - 1)
			r.lives()
			if len(r.link.writes) == 3 {
				r.link.permits <- nil
				must(t, sent, result{Sent, nil})
			}
		}
		time.Sleep(time.Nanosecond)
		must(t, sent, result{Truncated, ErrWriteTimeout})
		r.died(ErrWriteTimeout)
		if r.link.resets.Load() != 1 {
			t.Error("the stream was not reset")
		}
	})
}

// While the peer's kernel acknowledges bytes, a write has a WriteTimeout from each acknowledgement.
func TestWriteTimeoutOnASlowPath(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		const ago = time.Second
		r.link.path.set(Progress{}, ago)
		sent := r.sending("0", Fresh)
		for range 3 {
			time.Sleep(r.cfg.WriteTimeout - ago)
			r.lives()
		}
		r.link.permits <- nil
		must(t, sent, result{Sent, nil})
		time.Sleep(2 * r.cfg.WriteTimeout) // nothing is under way: no time runs
		r.link.path.set(Progress{}, 0)
		time.Sleep(2 * r.cfg.WriteTimeout)
		r.lives()

		r.link.path.set(Progress{}, ago)
		sent = r.sending("1", Fresh)
		time.Sleep(r.cfg.WriteTimeout)
		synctest.Wait() // the socket was asked
		r.link.path.set(Progress{}, r.cfg.WriteTimeout)
		time.Sleep(r.cfg.WriteTimeout - ago - 1)
		r.lives()
		time.Sleep(time.Nanosecond)
		must(t, sent, result{Truncated, ErrWriteTimeout})
		r.died(ErrWriteTimeout)
	})
}

// What was acknowledged before the write, and is noticed only now, gives it no more time than
// passes until the first look.
func TestWriteTimeoutWithOldProgress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config(), stuck)
		r.link.path.set(Progress{}, time.Nanosecond) // a look finds something new, and dates it late
		start := time.Now()
		sent := r.sending("0", Fresh)
		for r.link.path.asked.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		r.link.path.set(Progress{Last: time.Now()}, 0) // nothing new from here on
		time.Sleep(time.Until(start.Add(r.cfg.WriteTimeout)))
		r.lives()
		time.Sleep(r.cfg.WriteTimeout/firstLook + 2*time.Millisecond)
		must(t, sent, result{Truncated, ErrWriteTimeout})
		r.died(ErrWriteTimeout)
	})
}

// Time that runs out when no write is under way ends nothing.
func TestWriteTimeoutThatComesLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.late()
		r.send("0", Fresh)
		r.link.path.set(Progress{}, time.Second)
		r.late()
		asked := r.link.path.asked.Load()
		time.Sleep(2 * r.cfg.WriteTimeout)
		if n := r.link.path.asked.Load() - asked; n != 0 {
			t.Errorf("the socket was asked %d times, although nothing is written", n)
		}
		r.link.path.set(Progress{}, 0)
		r.late()
		r.lives()
	})
}
