package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// Sizes beside the bounds, in normal times and widened: what TryPush takes, and what Full and
// Overfull say before it.
func TestRoom(t *testing.T) {
	many := func(n, size int) []int { return slices.Repeat([]int{size}, n) }
	const wideItems = WideBytes / overhead
	for name, tc := range map[string]struct {
		there          []int // sizes of the items in the queue
		size           int   // of the next
		normal, wide   bool  // is there room for it?
		full, overfull bool
	}{
		"empty":                      {size: 1, normal: true, wide: true},
		"empty, a huge item":         {size: WideBytes + 1, normal: true, wide: true},
		"one less than Messages":     {there: many(Messages-1, 0), normal: true, wide: true},
		"Messages":                   {there: many(Messages, 0), wide: true, full: true},
		"up to Bytes":                {there: many(1, Bytes-10), size: 10, normal: true, wide: true},
		"beyond Bytes":               {there: many(1, Bytes-10), size: 11, wide: true},
		"Bytes, an empty item":       {there: many(1, Bytes), normal: true, wide: true},
		"more than Bytes":            {there: many(1, Bytes+1), wide: true, full: true},
		"up to WideBytes":            {there: many(1, WideBytes-2*overhead-10), size: 10, wide: true, full: true},
		"beyond WideBytes":           {there: many(1, WideBytes-2*overhead-10), size: 11, full: true},
		"WideBytes":                  {there: many(1, WideBytes-2*overhead), wide: true, full: true},
		"more than WideBytes":        {there: many(1, WideBytes-2*overhead+1), full: true, overfull: true},
		"empty items up to the last": {there: many(wideItems-1, 0), wide: true, full: true},
		"empty items":                {there: many(wideItems, 0), full: true, overfull: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := New()
				stop := make(chan struct{})
				close(stop)
				for _, size := range tc.there {
					pushOne(q, sized(size), stop)
				}
				want(t, "Full", q.Full(), tc.full)
				want(t, "Overfull", q.Overfull(), tc.overfull)
				want(t, "room", tryOne(q, sized(tc.size)), tc.normal)
				if tc.normal {
					return // and so there is room in a widened queue
				}
				q.Widen()
				want(t, "Full when widened", q.Full(), tc.full)
				want(t, "room when widened", tryOne(q, sized(tc.size)), tc.wide)
			})
		})
	}
}

// The bytes of what was taken are free again.
func TestRoomAfterPop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		for range 3 {
			want(t, "room for Bytes", tryOne(q, sized(Bytes)), true)
			want(t, "room for more", tryOne(q, sized(1)), false)
			q.Pop(ended)
		}
		tryOne(q, item("x"))
		want(t, "room beside one byte", tryOne(q, sized(Bytes-1)), true)
		q.PopMatch(ended, func(p []byte) bool { return len(p) > 1 })
		want(t, "room beside one byte, again", tryOne(q, sized(Bytes-1)), true)
	})
}

// Pop and PopMatch make room, and Widen does: each wakes the Push that waits for it.
func TestPushWaitsForRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		there int
		room  func(*Queue)
	}{
		"Pop":      {Messages, func(q *Queue) { q.Pop(ended) }},
		"PopMatch": {Messages, func(q *Queue) { q.PopMatch(ended, func([]byte) bool { return true }) }},
		"Widen":    {Messages, (*Queue).Widen},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := New()
				fill(t, q, tc.there, "-")
				a := begin("Push", func() bool {
					next, added := pushOne(q, item("a"), t.Context().Done())
					same(t, "next queue", next, q)
					return added
				})
				a.waits(t)
				tc.room(q)
				want(t, "added", a.returns(t), true)
				want(t, "in the queue", rest(q), "a")
			})
		})
	}
}

// Push is first come, first served, however large the first one is.
func TestPushInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		for range 2 { // again with what the first time has left behind
			tryOne(q, sized(Bytes-1))
			large, _ := pushing(t, q, sized(2))
			small, _ := pushing(t, q, item("b"))
			small.waits(t)
			want(t, "TryPush before those who wait", tryOne(q, item("x")), false)
			q.Pop(ended)
			large.returns(t) // and with it the one behind it, which fits, too
			small.returns(t)
			want(t, "in the queue", rest(q), "\x00\x00 b")
			atRest(t, q)
		}
	})
}

// One item that is taken may make room for many.
func TestOnePopManyPushes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, sized(Bytes+1))
		var pushes []call[*Queue]
		for i := range 3 {
			c, _ := pushing(t, q, item(fmt.Sprint(i)))
			pushes = append(pushes, c)
		}
		q.Pop(ended)
		for _, c := range pushes {
			c.returns(t)
		}
		want(t, "in the queue", rest(q), "0 1 2")
	})
}

// A Push that is stopped adds its item all the same, and leaves those that wait with it in order.
func TestPushStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		fill(t, q, Messages, "-")
		a, _ := pushing(t, q, item("a"))
		b, stop := pushing(t, q, item("b"))
		c, _ := pushing(t, q, item("c"))
		stop()
		same(t, "next queue", b.returns(t), q)
		want(t, "Len", q.Len(), Messages+1)
		q.Pop(ended) // what was added without room counts
		a.waits(t)
		q.Pop(ended)
		a.returns(t)
		c.waits(t)
		q.Pop(ended)
		c.returns(t)
		want(t, "in the queue", rest(q), "b a c")
		atRest(t, q)
	})
}

// Push may be stopped in the very moment in which there is room.
func TestPushStoppedWithRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		fill(t, q, Messages, "-")
		ctx, stop := context.WithCancel(t.Context())
		a := begin("Push", func() bool {
			next, added := pushOne(q, item("a"), ctx.Done())
			same(t, "next queue", next, q)
			return added
		})
		if cap(q.pushers[0].added) == 0 { // the mutex would hang the test
			t.Fatal("no room for a token")
		}
		q.mu.Lock()
		stop() // the call is woken by this, and cannot go on before Unlock
		var it Item
		q.take(q.head, &it)
		q.mu.Unlock()
		want(t, "added", a.returns(t), true)
		b, _ := pushing(t, q, item("b"))
		b.waits(t) // and takes nothing that was meant for a
		want(t, "in the queue", rest(q), "a b")
		b.returns(t)
		atRest(t, q)
	})
}

// A Push that is stopped adds its item beyond the normal room, and drops it beyond the wide room.
func TestPushStoppedWithoutWideRoom(t *testing.T) {
	const room = WideBytes - Bytes - 2*overhead
	for size, fits := range map[int]bool{room: true, room + 1: false} {
		bubble(t, func(t *testing.T) {
			q := New()
			tryOne(q, sized(Bytes))
			next, added := pushOne(q, sized(size), closed)
			same(t, "next queue", next, q)
			want(t, "added", added, fits)
			want(t, "one more", q.Len() == 2, fits)
			atRest(t, q)
		})
	}
}

// A Push that drops its item makes way for those behind it.
func TestPushDroppedMakesWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, sized(10))
		large, stop := pushing(t, q, sized(WideBytes))
		small, _ := pushing(t, q, item("a"))
		small.waits(t)
		stop()
		large.returns(t)
		small.returns(t)
		want(t, "Len", q.Len(), 2)
	})
}

// A Push that is stopped behind another one tells a PopMatch of its item.
func TestPushStoppedWakesPopMatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, sized(10))
		c := matching(t, q, "a")
		first, _ := pushing(t, q, sized(WideBytes))
		second, stop := pushing(t, q, item("a"))
		second.waits(t)
		c.waits(t)
		stop()
		second.returns(t)
		want(t, "PopMatch", c.returns(t), "a")
		first.waits(t)
	})
}

// A Push that waits needs no memory of its own when another one has waited before.
func TestPushAllocations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		fill(t, q, Messages, "-")
		stop := make(chan struct{})
		close(stop)
		a := items("a")
		if n := testing.AllocsPerRun(1000, func() {
			q.Push(a, stop)
			q.Pop(ended)
		}); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
		rest(q)
		if n := testing.AllocsPerRun(1000, func() {
			q.Push(a, nil)
			q.Pop(ended)
		}); n != 0 {
			t.Errorf("%v allocations where there is room, want 0", n)
		}
	})
}

// Full and Overfull count those who wait: a large item may wait where a small one had room.
func TestFullWhilePushWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, sized(10))
		want(t, "Full", q.Full(), false)
		pushing(t, q, sized(Bytes))
		want(t, "Full while a Push waits", q.Full(), true)
		want(t, "Overfull while one waits that has wide room", q.Overfull(), false)
		pushing(t, q, sized(WideBytes-Bytes-10-4*overhead))
		want(t, "Overfull while two wait that have wide room", q.Overfull(), false)
		pushing(t, q, sized(1))
		want(t, "Overfull", q.Overfull(), true)
	})
}

func TestWidenIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		fill(t, q, Messages, "-")
		q.Widen()
		q.Widen()
		q.Narrow()
		fill(t, q, 1, "-")
		q.Narrow()
		want(t, "TryPush when narrow again", tryOne(q, item("x")), false)
		want(t, "Len", q.Len(), Messages+1)
		a, _ := pushing(t, q, item("a"))
		a.waits(t)
		q.Pop(ended)
		a.waits(t) // what was taken in before counts
		q.Pop(ended)
		a.returns(t)

		defer func() {
			want(t, "panic of a Narrow too many", recover(), any("queue: Narrow without Widen"))
			atRest(t, q)
		}()
		q.Narrow()
	})
}
