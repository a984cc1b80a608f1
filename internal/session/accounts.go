package session

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// maxOutstanding is how many outstanding PINGs are kept at most, besides those that a call of Ping
// waits for. There is no other bound: a peer that sends messages is alive although it answers none.
const maxOutstanding = 64

// accounts say what became of the messages of one session: how many were put into a batch, how
// many the socket took, and how many a PONG has acknowledged. PONGs come in order, so the PONG of a
// PING acknowledges every message that went before it.
//
// accounts are a plain value, without locks, goroutines or clocks. Untracked messages are not
// counted.
type accounts struct {
	appended     int64 // put into batches
	taken        int64 // of those, how many the socket took in a write without an error
	acknowledged int64 // of those, how many a PONG has acknowledged

	pings       uint64    // number of the last PING
	outstanding []ping    // those whose PONG is awaited, oldest first
	answered    []*waiter // of those whose PONG has come; tell lets them go on

	// The PING of silentSince: when it left, its number, and how often bytes had come in then.
	silent      time.Time
	silentPing  uint64
	silentReads int64

	// unfollowed is when the first message was appended that no PING follows; zero when there
	// is none.
	unfollowed time.Time
}

// A ping is a PING whose PONG is awaited.
type ping struct {
	number   uint64
	messages int64     // appended before it
	queued   time.Time // when it was put into a batch
	left     time.Time // when the socket had taken it; zero before
	waiter   *waiter   // the call of Ping that waits for it, or nil
}

// A waiter is a call of Ping.
type waiter struct {
	answered chan struct{} // closed when the PONG has come
	gone     atomic.Bool   // the call has returned
}

func newWaiter() *waiter { return &waiter{answered: make(chan struct{})} }

// sent returns when p left, or when it was queued if it has not left yet.
func (p *ping) sent() time.Time {
	if p.left.IsZero() {
		return p.queued
	}
	return p.left
}

// addMessage notes that a message was put into a batch, and reports whether it is the first that
// no PING follows; the caller then sets unfollowed.
func (a *accounts) addMessage() (first bool) {
	a.appended++
	return a.unfollowed.IsZero()
}

// addPing notes that a PING is put into a batch, and returns its number. w, if not nil, waits for
// its PONG.
func (a *accounts) addPing(now time.Time, w *waiter) uint64 {
	a.pings++
	a.unfollowed = time.Time{}
	if len(a.outstanding) >= maxOutstanding {
		// Drop those of the newer half that nobody waits for. What the keepalive concludes is about
		// the oldest, and the PONG of a dropped PING still answers those before it.
		const kept = maxOutstanding / 2
		newer := slices.DeleteFunc(a.outstanding[kept:], func(p ping) bool {
			return p.waiter == nil || p.waiter.gone.Load()
		})
		a.outstanding = a.outstanding[:kept+len(newer)]
	}
	a.outstanding = append(a.outstanding, ping{
		number:   a.pings,
		messages: a.appended,
		queued:   now,
		waiter:   w,
	})
	return a.pings
}

// took notes that the socket has taken a batch: this many messages, and the PINGs up to a number.
// It reports whether silentSince begins anew with one of them.
func (a *accounts) took(messages int64, lastPing uint64, now time.Time, reads int64) (silent bool) {
	a.taken += messages
	for i := len(a.outstanding) - 1; i >= 0 && a.outstanding[i].left.IsZero(); i-- {
		p := &a.outstanding[i]
		if p.number > lastPing {
			continue
		}
		p.left = now
		if a.silentSince(reads).IsZero() {
			a.silent, a.silentPing, a.silentReads = now, p.number, reads
			silent = true
		}
	}
	return silent
}

// pong notes a PONG. It answers its PING and, as RFC 6455 allows, every PING before it. It returns
// when the newest PING that is answered was sent, and how many messages are newly acknowledged; ok
// is false if the PONG answers none. tell tells those who wait for the PONG.
func (a *accounts) pong(payload []byte) (sent time.Time, acknowledged int64, ok bool) {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	if err != nil || len(a.outstanding) == 0 || number < a.outstanding[0].number || number > a.pings {
		return time.Time{}, 0, false
	}
	n := 0
	for ; n < len(a.outstanding) && a.outstanding[n].number <= number; n++ {
		if w := a.outstanding[n].waiter; w != nil {
			a.answered = append(a.answered, w)
		}
	}
	newest := &a.outstanding[n-1]
	sent = newest.sent()
	acknowledged = newest.messages - a.acknowledged
	a.acknowledged = newest.messages
	kept := copy(a.outstanding, a.outstanding[n:])
	clear(a.outstanding[kept:])
	a.outstanding = a.outstanding[:kept]
	return sent, acknowledged, true
}

// tell lets those go on who wait for a PONG that has come: once all is done that it asks for, since
// they take its messages for done with.
func (a *accounts) tell() {
	for _, w := range a.answered {
		close(w.answered)
	}
	a.answered = nil
}

// unacknowledged returns how many messages were put into batches that no PONG has acknowledged.
func (a *accounts) unacknowledged() int64 { return a.appended - a.acknowledged }

// lost returns, once nothing is written any more, how many messages the socket took that no PONG
// has acknowledged: they may have arrived or not. A PONG can come before the write that carried
// its PING has returned, so that more messages are acknowledged than are known to be taken.
func (a *accounts) lost() int64 { return max(0, a.taken-a.acknowledged) }

// silentSince returns when the oldest outstanding PING left after which nothing came in, given how
// often bytes have come in. It is zero if there is none.
func (a *accounts) silentSince(reads int64) time.Time {
	if a.silentReads != reads || len(a.outstanding) == 0 || a.silentPing < a.outstanding[0].number {
		return time.Time{}
	}
	return a.silent
}
