package queue

import (
	"context"
	"runtime"
	"strings"
	"testing"
)

// anything matches every item.
func anything([]byte) bool { return true }

func TestPopMatchOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		for _, s := range strings.Fields("a b c d e") {
			tryOne(q, item(s))
		}
		it, ok := q.PopMatch(ended, func(p []byte) bool { return p[0] >= 'c' })
		want(t, "first that matches", text(it, ok), "c")
		it, ok = q.PopMatch(ended, anything)
		want(t, "first of all", text(it, ok), "a")
		it, ok = q.PopMatch(ended, func(p []byte) bool { return p[0] == 'x' })
		want(t, "no match", text(it, ok), "none")
		want(t, "Len", q.Len(), 3)
		atRest(t, q)
		want(t, "the others", rest(q), "b d e")
	})
}

// What was skipped is news for Pop, not a message that may match.
func TestPopMatchNotSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, Item{Size: 5})
		it, ok := q.PopMatch(ended, anything)
		want(t, "PopMatch", text(it, ok), "none")
		tryOne(q, item("")) // is no news
		it, ok = q.PopMatch(ended, anything)
		want(t, "PopMatch", text(it, ok), "")
		if it, ok = q.Pop(ended); !ok || !it.Skipped() || it.Size != 5 {
			t.Errorf("Pop: %v, %v, want the news", it, ok)
		}
	})
}

// Push and TryPush wake a PopMatch that waits, and it sees each item once. Several may wait.
func TestPopMatchWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		var seen []string
		a := begin("PopMatch", func() string {
			return text(q.PopMatch(t.Context(), func(p []byte) bool {
				seen = append(seen, string(p))
				return string(p) == "a"
			}))
		})
		b := matching(t, q, "b")
		tryOne(q, item("1"))
		a.waits(t)
		pushNow(q, "2")
		a.waits(t)
		b.waits(t)
		want(t, "added", q.TryPush(items("b a")), 2)
		want(t, "a", a.returns(t), "a")
		want(t, "b", b.returns(t), "b")
		if s := strings.Join(seen, " "); s != "1 2 b a" && s != "1 2 a" {
			t.Errorf("seen %q, want each once", s)
		}
		atRest(t, q)
		want(t, "the others", rest(q), "1 2")
	})
}

// A Pop that waits beside takes what does not match, in its turn.
func TestPopMatchBesidePop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		a := matching(t, q, "a")
		p := popping(t, q)
		pushNow(q, "1")
		want(t, "Pop", p.returns(t), "1")
		a.waits(t)
		pushNow(q, "a")
		want(t, "PopMatch", a.returns(t), "a")
	})
}

// takeUnlocked does Pop inside a match, and fails the test where that would wait for a lock.
func takeUnlocked(t *testing.T, q *Queue) string {
	if !q.mu.TryLock() {
		t.Error("match is called with the lock")
		return "none"
	}
	q.mu.Unlock()
	return text(q.Pop(ended))
}

// match may use the queue, and others may take items while it runs.
func TestPopMatchWhileOthersTake(t *testing.T) {
	t.Run("its own item", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q := New()
			tryOne(q, item("a"))
			tryOne(q, item("b"))
			it, ok := q.PopMatch(ended, func(p []byte) bool {
				if string(p) == "a" {
					want(t, "Pop", takeUnlocked(t, q), "a")
				}
				return true
			})
			want(t, "PopMatch", text(it, ok), "b")
			want(t, "Len", q.Len(), 0)
		})
	})
	t.Run("the last item", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q := New()
			tryOne(q, item("a"))
			it, ok := q.PopMatch(ended, func(p []byte) bool {
				want(t, "Pop", takeUnlocked(t, q), "a")
				return true
			})
			want(t, "PopMatch", text(it, ok), "none")
		})
	})
	t.Run("an item before it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q := New()
			for _, s := range strings.Fields("1 2 a 3") {
				tryOne(q, item(s))
			}
			var seen []string
			it, ok := q.PopMatch(ended, func(p []byte) bool {
				seen = append(seen, string(p))
				if string(p) != "3" {
					takeUnlocked(t, q)
				}
				return string(p) == "a" || string(p) == "3"
			})
			want(t, "PopMatch", text(it, ok), "3")
			want(t, "seen", strings.Join(seen, " "), "1 2 a 3")
			want(t, "the others", rest(q), "")
		})
	})
	t.Run("all of them", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q, next := New(), New()
			tryOne(q, item("a"))
			c := begin("PopMatch", func() string {
				return text(q.PopMatch(t.Context(), func([]byte) bool {
					if q.mu.TryLock() {
						q.mu.Unlock()
						q.MoveTo(next)
					}
					return true
				}))
			})
			c.waits(t)
			want(t, "in the next queue", text(next.Pop(ended)), "a")
		})
	})
}

// match has a copy: what it does to it changes no item.
func TestPopMatchCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, item("a"))
		tryOne(q, item("b"))
		it, ok := q.PopMatch(ended, func(p []byte) bool {
			b := p[0] == 'b'
			p[0] = 'x'
			return b
		})
		want(t, "PopMatch", text(it, ok), "b")
		want(t, "the others", rest(q), "a")
	})
}

// match runs without the lock, and may end by a panic or by runtime.Goexit.
func TestPopMatchEndsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, end := range map[string]func(){
			"Goexit": runtime.Goexit,
			"panic":  func() { panic("x") },
		} {
			q := New()
			tryOne(q, item("a"))
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { recover() }()
				q.PopMatch(t.Context(), func([]byte) bool {
					if q.mu.TryLock() {
						q.mu.Unlock()
						end()
					}
					t.Errorf("%s: match is called with the lock", name)
					return true
				})
			}()
			<-ended
			atRest(t, q)
			want(t, "Len", q.Len(), 1)
		}
	})
}

// What matches may be behind more than there is normally room for.
func TestPopMatchWidens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		c := matching(t, q, "a")
		fill(t, q, 10*Messages, "-")
		pushNow(q, "a")
		want(t, "PopMatch", c.returns(t), "a")
		atRest(t, q) // narrow

		ctx, cancel := context.WithCancel(t.Context())
		nothing := func([]byte) bool { return false }
		c = begin("PopMatch", func() string { return text(q.PopMatch(ctx, nothing)) })
		next := New()
		q.MoveTo(next)
		want(t, "widened", next.wide, 1)
		cancel()
		want(t, "PopMatch", c.returns(t), "none")
		want(t, "widened after PopMatch", next.wide, 0)
	})
}
