package queue

import (
	"context"
	"testing"
)

// pushingAll begins a Push of many items. It ends with the test at the latest, and returns how many
// were dropped.
func pushingAll(t *testing.T, q *Queue, items []Item) (c call[int], stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	return begin("Push", func() int {
		_, dropped := q.Push(items, ctx.Done())
		return dropped
	}), cancel
}

// TryPush adds what has room, from the first item on: none overtakes one that has no room.
func TestTryPushMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		want(t, "added", q.TryPush(nil), 0)
		fill(t, q, Messages-2, "-")
		want(t, "added beside the bound", q.TryPush(items("a b c")), 2)
		want(t, "added to a full queue", q.TryPush(items("x y")), 0)
		want(t, "in the queue", rest(q), "a b")

		large := []Item{sized(Bytes - 10), sized(11), sized(10)}
		want(t, "added before one that is too large", q.TryPush(large), 1)
		want(t, "added", q.TryPush(large[2:]), 1)
		atRest(t, q)
	})
}

// TryPush adds nothing while a Push waits, nor to a queue that was moved.
func TestTryPushManyOvertakesNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, next := New(), New()
		fill(t, q, 1, "-")
		pushingAll(t, q, []Item{sized(Bytes)})
		want(t, "added while a Push waits", q.TryPush(items("x y")), 0)
		q.MoveTo(next)
		want(t, "added to what was moved", q.TryPush(items("x y")), 0)
	})
}

// Those who wait learn of the items that have room, although others have none.
func TestPartOfPacketWakes(t *testing.T) {
	packet := append(items("a a"), sized(WideBytes))
	for name, pushFunc := range map[string]func(*testing.T, *Queue){
		"TryPush": func(t *testing.T, q *Queue) { want(t, "added", q.TryPush(packet), 2) },
		"Push":    func(t *testing.T, q *Queue) { pushingAll(t, q, packet) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := New()
				p, m := popping(t, q), matching(t, q, "a")
				pushFunc(t, q)
				want(t, "Pop", p.returns(t), "a")
				want(t, "PopMatch", m.returns(t), "a")
			})
		})
	}
}

// A Push adds each of its items as soon as there is room for it, and returns with the last of them.
// Nothing overtakes those that wait.
func TestPushMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		for range 2 { // again with what the first time has left behind
			fill(t, q, Messages-1, "-")
			first, _ := pushingAll(t, q, items("a b c"))
			want(t, "Len", q.Len(), Messages)
			second, _ := pushingAll(t, q, items("d e"))
			for range 2 {
				first.waits(t)
				want(t, "TryPush", tryOne(q, item("x")), false)
				q.Pop(ended)
				want(t, "Len", q.Len(), Messages)
			}
			want(t, "dropped", first.returns(t), 0)
			second.waits(t)
			want(t, "in the queue", rest(q), "a b c d e")
			want(t, "dropped", second.returns(t), 0)
			atRest(t, q)
		}
	})
}

// A Push that is stopped adds the rest of its items, and only that.
func TestPushManyStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		fill(t, q, Messages, "-")
		c, stop := pushingAll(t, q, items("a b c"))
		q.Pop(ended)
		c.waits(t)
		stop()
		want(t, "dropped", c.returns(t), 0)
		want(t, "Len", q.Len(), Messages+2)
		want(t, "in the queue", rest(q), "a b c")
		atRest(t, q)
	})
}

// Of the items of a Push that is stopped, those are dropped that have no wide room.
func TestPushManyDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, sized(Bytes+1))
		packet := []Item{item("a"), sized(WideBytes), sized(WideBytes), item("b")}
		_, dropped := q.Push(packet, closed)
		want(t, "dropped", dropped, 2)
		q.Pop(ended)
		want(t, "in the queue", rest(q), "a b")
		atRest(t, q)
	})
}

// A Push goes on in the queue to which its own is moved, with the items that it has left.
func TestMoveToWhileManyArePushed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, next := New(), New()
		fill(t, q, Messages-1, "-")
		c, stop := pushingAll(t, q, items("a b c d"))
		fill(t, next, 1, "-")
		q.MoveTo(next)
		q = next
		c.waits(t)
		for range 3 {
			q.Pop(ended) // b is in
		}
		c.waits(t)
		stop()
		want(t, "dropped", c.returns(t), 0)
		want(t, "in the queue", rest(q), "a b c d")
		atRest(t, q)
	})
}

// Full and Overfull count each item that waits, and none twice.
func TestOverfullCountsEachItem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		fill(t, q, Messages, "-")
		pushingAll(t, q, []Item{sized(WideBytes / 2), sized(WideBytes/2 - 2*Messages*overhead), sized(1)})
		want(t, "Full", q.Full(), true)
		want(t, "Overfull while three wait that have wide room", q.Overfull(), false)
		for range Messages {
			q.Pop(ended)
		}
		want(t, "Len", q.Len(), 1)
		want(t, "Overfull while two of them wait", q.Overfull(), false)
		pushingAll(t, q, []Item{sized(0), sized(2 * Messages * overhead)})
		want(t, "Overfull", q.Overfull(), true)
	})
}
