package window

import "testing"

// When the peer has closed a connection for a message, the only one is the culprit; of several none
// is known, and the oldest of those that are sent one at a time is.
func TestSuspect(t *testing.T) {
	w := New(1000)
	add := func(p string) {
		if !w.TryReserve(len(p)) {
			t.Fatal("no room")
		}
		w.Add([]byte(p))
	}
	want := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("an empty window has a suspect", w.Suspect(), false)
	want("one at a time", w.OneByOne(), false)

	add("a")
	want("the only message is known", w.Suspect(), true)
	want("one at a time", w.OneByOne(), false)

	add("b")
	want("one of two is known", w.Suspect(), false)
	want("one at a time", w.OneByOne(), true)
	want("the oldest is known", w.Suspect(), true)
	want("one at a time, still", w.OneByOne(), true)
	w.Reject()

	w.Resent()
	want("one at a time after all were sent again", w.OneByOne(), false)
	add("c")
	want("one of two is known, later", w.Suspect(), false)
}

// A clone keeps what the original drops.
func TestClone(t *testing.T) {
	l := Log{Limit: 1000}
	for _, p := range []string{"a", "b", "c"} {
		l.Reserve(len(p))
		l.Add([]byte(p))
	}
	l.Reject()
	c := l.Clone()
	l.Reject()
	l.Acknowledge(1)
	if n := c.Len(); n != 2 || string(c.Kept()[0]) != "b" || len(c.Unconfirmed()) != 3 || c.Used() != 2*64 {
		t.Errorf("the clone has %d messages, %q, and %d unconfirmed", n, c.Kept(), len(c.Unconfirmed()))
	}
}
