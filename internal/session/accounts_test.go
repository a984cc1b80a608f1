package session

import (
	"strconv"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/window"
)

// at is n seconds after some instant.
func at(n int) time.Time { return time.Unix(int64(1000+n), 0) }

// An accountStep is one thing that happens to accounts, and what they say after it.
type accountStep struct {
	do     string // message, ping, took, pong
	n      int    // of took: messages; of pong: the number
	ping   uint64 // of took: the last PING
	reads  int64  // of took: how often bytes had come in
	refuse bool   // pong answers nothing

	unacknowledged, lost int64
	outstanding          int
	acknowledged         int64 // by this PONG
}

// What accounts say after each event.
func TestAccounts(t *testing.T) {
	message, ping := "message", "ping"
	for _, test := range []struct {
		name  string
		steps []accountStep
	}{
		{"a message and its PONG", []accountStep{
			{do: message, unacknowledged: 1},
			{do: ping, unacknowledged: 1, outstanding: 1},
			{do: "took", n: 1, ping: 1, unacknowledged: 1, lost: 1, outstanding: 1},
			{do: "pong", n: 1, acknowledged: 1},
		}},
		{"a PONG acknowledges nothing that follows its PING", []accountStep{
			{do: ping, outstanding: 1},
			{do: message, unacknowledged: 1, outstanding: 1},
			{do: "took", n: 1, ping: 1, unacknowledged: 1, lost: 1, outstanding: 1},
			{do: "pong", n: 1, unacknowledged: 1, lost: 1},
		}},
		{"a PONG answers the PINGs before it", []accountStep{
			{do: message, unacknowledged: 1},
			{do: ping, unacknowledged: 1, outstanding: 1},
			{do: message, unacknowledged: 2, outstanding: 1},
			{do: ping, unacknowledged: 2, outstanding: 2},
			{do: ping, unacknowledged: 2, outstanding: 3},
			{do: "took", n: 2, ping: 3, unacknowledged: 2, lost: 2, outstanding: 3},
			{do: "pong", n: 2, acknowledged: 2, outstanding: 1},
			{do: "pong", n: 3},
		}},
		{"a PONG before the write has returned", []accountStep{
			{do: message, unacknowledged: 1},
			{do: ping, unacknowledged: 1, outstanding: 1},
			{do: "pong", n: 1, acknowledged: 1},
			{do: "took", n: 1, ping: 1},
		}},
		{"no message is lost that the socket has not taken", []accountStep{
			{do: message, unacknowledged: 1},
			{do: "took", n: 1, unacknowledged: 1, lost: 1},
			{do: message, unacknowledged: 2, lost: 1},
		}},
		{"PONGs that answer nothing", []accountStep{
			{do: "pong", n: 0, refuse: true},
			{do: "pong", n: 1, refuse: true},
			{do: ping, outstanding: 1},
			{do: "pong", n: 2, refuse: true, outstanding: 1},
			{do: "pong", n: 0, refuse: true, outstanding: 1},
			{do: "pong", n: -1, refuse: true, outstanding: 1},
			{do: "pong", n: 1},
			{do: "pong", n: 1, refuse: true},
			{do: ping, outstanding: 1},
			{do: "pong", n: 1, refuse: true, outstanding: 1},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a accounts
			for i, s := range test.steps {
				switch s.do {
				case "message":
					a.addMessage()
				case "ping":
					a.addPing(at(i), nil)
				case "took":
					a.took(int64(s.n), s.ping, at(i), s.reads)
				case "pong":
					_, n, ok := a.pong(strconv.AppendInt(nil, int64(s.n), 10))
					if ok == s.refuse || n != s.acknowledged {
						t.Errorf("step %d: PONG %d: %d messages, %v", i, s.n, n, ok)
					}
				}
				if a.unacknowledged() != s.unacknowledged || a.lost() != s.lost || len(a.outstanding) != s.outstanding {
					t.Errorf("step %d: %d unacknowledged, %d lost, %d outstanding; want %d, %d, %d", i,
						a.unacknowledged(), a.lost(), len(a.outstanding), s.unacknowledged, s.lost, s.outstanding)
				}
			}
		})
	}
}

// A PONG with something else in it answers nothing.
func TestForeignPong(t *testing.T) {
	for _, payload := range []string{"", "x", "1x", " 1", "99999999999999999999", "1.0"} {
		var a accounts
		a.addPing(at(0), nil)
		if _, _, ok := a.pong([]byte(payload)); ok {
			t.Errorf("a PONG %q answers PING 1", payload)
		}
	}
}

// The first message that no PING follows begins the time until one is due.
func TestUnfollowed(t *testing.T) {
	var a accounts
	if !a.addMessage() {
		t.Error("the first message is not the first")
	}
	a.unfollowed = at(1)
	if a.addMessage() {
		t.Error("the second message is the first")
	}
	a.addPing(at(2), nil)
	if !a.unfollowed.IsZero() {
		t.Error("after a PING, a message is without one")
	}
	if !a.addMessage() {
		t.Error("the first message after a PING is not the first")
	}
}

// A PING's time begins when it leaves, and does not begin again with the next batch.
func TestWhenPingsLeave(t *testing.T) {
	var a accounts
	a.addPing(at(1), nil)
	a.addPing(at(2), nil)
	a.addPing(at(3), nil)
	a.took(0, 2, at(10), 5)
	a.took(1, 0, at(11), 6) // a batch without a PING
	for i, want := range []time.Time{at(10), at(10), at(3)} {
		if got := a.outstanding[i].sent(); got != want {
			t.Errorf("PING %d: sent at %v, want %v", i+1, got, want)
		}
	}
	a.took(0, 3, at(20), 7)
	sent, _, _ := a.pong([]byte("2"))
	if sent != at(10) {
		t.Errorf("PING 2: sent at %v, want %v", sent, at(10))
	}
	if got := a.outstanding[0].sent(); got != at(20) {
		t.Errorf("PING 3: sent at %v, want %v", got, at(20))
	}
}

// Silence begins with the oldest PING after which nothing came in.
func TestSilentSince(t *testing.T) {
	var a accounts
	silent := func(reads int64, want time.Time) {
		t.Helper()
		if got := a.silentSince(reads); got != want {
			t.Errorf("silent since %v, want %v", got, want)
		}
	}
	silent(0, time.Time{})
	a.addPing(at(1), nil)
	silent(0, time.Time{}) // it has not left
	a.took(0, 1, at(2), 3)
	silent(3, at(2))
	silent(4, time.Time{}) // something came
	a.addPing(at(5), nil)
	a.took(0, 2, at(6), 4)
	silent(4, at(6))
	a.addPing(at(7), nil)
	a.took(0, 3, at(8), 4)
	silent(4, at(6))
	a.pong([]byte("3"))
	silent(4, time.Time{})

	// The PONG can come before the write has returned.
	a.addPing(at(9), nil)
	a.pong([]byte("4"))
	a.took(0, 4, at(10), 5)
	silent(5, time.Time{})
}

// A PONG can be among what had come in when its PING was noted as left. The next PING, which has
// not left, is then no silence.
func TestNotSilentWhenAnswered(t *testing.T) {
	var a accounts
	a.addPing(at(1), nil)
	a.took(0, 1, at(2), 3)
	a.addPing(at(3), nil)
	a.pong([]byte("1"))
	if got := a.silentSince(3); !got.IsZero() {
		t.Errorf("silent since %v, and it was answered", got)
	}
}

// Of many outstanding PINGs, the oldest and those that somebody waits for are kept. Answered ones
// are not referred to.
func TestManyPings(t *testing.T) {
	var a accounts
	var waiters []*waiter
	for i := range 10 * maxOutstanding {
		var w *waiter
		if i%maxOutstanding == maxOutstanding-1 {
			w = newWaiter()
			waiters = append(waiters, w)
		}
		a.addPing(at(i), w)
	}
	if n := len(a.outstanding); n > maxOutstanding+len(waiters) {
		t.Errorf("%d PINGs are kept", n)
	}
	if a.outstanding[0].number != 1 {
		t.Errorf("the oldest is PING %d", a.outstanding[0].number)
	}
	a.pong([]byte(strconv.FormatUint(a.pings, 10)))
	a.tell()
	for i, w := range waiters {
		select {
		case <-w.answered:
		default:
			t.Errorf("waiter %d is forgotten", i)
		}
	}
	for _, p := range a.outstanding[:cap(a.outstanding)] {
		if p.waiter != nil {
			t.Error("a waiter that was answered is kept")
		}
	}
}

// Who waits for a PONG is told of it, also by that of a later PING.
func TestPongsAreAwaited(t *testing.T) {
	var a accounts
	var all []*waiter
	for range 3 {
		w := newWaiter()
		all = append(all, w)
		a.addPing(at(1), w)
	}
	a.pong([]byte("2"))
	a.tell()
	for i, w := range all {
		select {
		case <-w.answered:
			if i == 2 {
				t.Error("PING 3 is answered by PONG 2")
			}
		default:
			if i < 2 {
				t.Errorf("PING %d is not answered by PONG 2", i+1)
			}
		}
	}
}

// Who waits for a PONG may send what the window keeps on another connection as soon as the wait is
// over. So it is not told before the window has dropped what the PONG acknowledges.
func TestPongReachesTheWindowFirst(t *testing.T) {
	s := &sender{session: &Session{cfg: &Config{Window: window.New(100)}}}
	s.accounts.addMessage()
	w := newWaiter()
	s.accounts.addPing(time.Now(), w)
	func() {
		defer func() {
			if recover() == nil { // it stops in the middle: the message was never added
				t.Error("the window has acknowledged a message that it does not hold")
			}
		}()
		s.acknowledge([]byte("1"))
	}()
	select {
	case <-w.answered:
		t.Error("the wait was over before the window knew of the PONG")
	default:
	}
	s.accounts.tell()
	<-w.answered
}
