package queue

import "testing"

// What waits, and what is pushed from then on, goes to the next queue, in order.
func TestMoveTo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, next := New(), New()
		tryOne(next, item("1"))
		fill(t, q, Messages-1, "-")
		tryOne(q, item("2"))
		q.Pop(ended) // so that its items do not begin at the beginning
		tryOne(q, item("3"))
		a, _ := pushing(t, q, item("4"))
		b, _ := pushing(t, q, item("5"))
		q.MoveTo(next)
		want(t, "Len of what was moved", q.Len(), 0)
		want(t, "Len of the next", next.Len(), 1+Messages)
		a.waits(t)
		want(t, "TryPush to what was moved", tryOne(q, item("x")), false)
		c, _ := pushing(t, q, item("6"))
		want(t, "rest", rest(next), "1 2 3 4 5 6")
		for _, c := range []call[*Queue]{a, b, c} {
			same(t, "next queue", c.returns(t), next)
		}
		same(t, "next queue", pushNow(q, "7"), next)
		want(t, "rest", rest(next), "7")
		q.MoveTo(New())
		same(t, "next queue, moved again", pushNow(q, "8"), next)
		atRest(t, next)
		atRest(t, q)
	})
}

// MoveTo wakes the calls that wait for items in the next queue, and for room.
func TestMoveToWakes(t *testing.T) {
	t.Run("Pop", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q, next := New(), New()
			c := popping(t, next)
			tryOne(q, item("a"))
			q.MoveTo(next)
			want(t, "Pop", c.returns(t), "a")
		})
	})
	t.Run("PopMatch", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q, next := New(), New()
			c := matching(t, next, "a")
			tryOne(q, item("a"))
			q.MoveTo(next)
			want(t, "PopMatch", c.returns(t), "a")
		})
	})
	t.Run("Push", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q, next := New(), New()
			tryOne(q, sized(10))
			p, _ := pushing(t, q, sized(Bytes))
			q.Pop(ended) // p is in; another one waits
			p.returns(t)
			p, _ = pushing(t, q, item("a"))
			p.waits(t)
			next.Widen()
			q.MoveTo(next)
			same(t, "next queue", p.returns(t), next)
		})
	})
	t.Run("Push in a queue that is widened by it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q, next := New(), New()
			fill(t, next, Messages, "-")
			p, _ := pushing(t, next, item("a"))
			q.Widen()
			p.waits(t)
			q.MoveTo(next)
			p.returns(t)
		})
	})
}

// A Push that waits while its queue is moved may still be stopped, and waits behind those that wait
// in the next queue.
func TestMoveToWhilePushWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, next := New(), New()
		fill(t, q, Messages, "-")
		fill(t, next, Messages, "-")
		first, _ := pushing(t, next, item("1"))
		second, stop := pushing(t, q, item("2"))
		third, _ := pushing(t, q, item("3"))
		q.MoveTo(next)
		stop()
		same(t, "next queue", second.returns(t), next)
		first.waits(t)
		third.waits(t)
		want(t, "rest", rest(next), "2 1 3")
		first.returns(t)
		third.returns(t)
		atRest(t, next)
	})
}

// A chain of queues is one: the last of them.
func TestMoveToChain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := New(), New(), New()
		fill(t, a, Messages, "-")
		p, _ := pushing(t, a, item("1"))
		b.MoveTo(c)
		a.MoveTo(b)
		want(t, "Len", c.Len(), Messages)
		want(t, "Full", a.Full(), true)
		c.Pop(ended)
		c.Pop(ended)
		same(t, "next queue", p.returns(t), c)
		same(t, "next queue", pushNow(a, "2"), c)
		want(t, "rest", rest(c), "1 2")
		want(t, "Full", a.Full(), false)
	})
}

// Pop and PopMatch do not follow: they end with ctx, or with closed.
func TestPopOfMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, next := New(), New()
		p, m := popping(t, q), matching(t, q, "a")
		q.MoveTo(next)
		pushNow(next, "a")
		pushNow(q, "a")
		p.waits(t)
		m.waits(t)
		want(t, "Pop", text(q.Pop(ended)), "none")
		want(t, "Len", next.Len(), 2)
	})
}

// The calls of Widen go with what is moved: they are for those who push.
func TestMoveToKeepsWidth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, next := New(), New()
		q.Widen()
		next.Widen()
		q.MoveTo(next)
		q.Narrow()
		fill(t, next, Messages+1, "-")
		want(t, "Full", q.Full(), true)
		want(t, "Overfull", q.Overfull(), false)
		next.Narrow()
		want(t, "room when narrow", tryOne(next, item("x")), false)
		q.Widen()
		want(t, "room when widened", tryOne(next, item("x")), true)
		n := Messages + 2
		want(t, "room for what fills it", tryOne(next, sized(WideBytes-n-(n+1)*overhead)), true)
		want(t, "Overfull", q.Overfull(), true)
		q.Narrow()
		atRest(t, next)
	})
}
