package queue

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		next, taken := 0, 0
		for round := range 1000 { // of lengths that go up and down
			for range round % 13 {
				if tryOne(q, Item{Data: []byte{1}, Size: int64(next)}) {
					next++
				}
			}
			for range round % 11 {
				it, ok := q.Pop(ended)
				if !ok {
					break
				}
				want(t, "item", it.Size, int64(taken))
				taken++
			}
			want(t, "Len", q.Len(), next-taken)
			atRest(t, q)
			if cap(q.items) > few {
				t.Fatalf("room for %d items, want at most %d", cap(q.items), few)
			}
		}
		if taken < 1000 {
			t.Errorf("%d items taken, want more", taken)
		}
	})
}

// Push and TryPush wake a Pop that waits.
func TestPopWaits(t *testing.T) {
	t.Run("Push", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q := New()
			c := popping(t, q)
			c.waits(t)
			pushNow(q, "a")
			want(t, "Pop", c.returns(t), "a")
			atRest(t, q)
		})
	})
	t.Run("TryPush", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			q := New()
			c := popping(t, q)
			tryOne(q, item("a"))
			want(t, "Pop", c.returns(t), "a")
			atRest(t, q)
		})
	})
}

// Many items wake as many calls, and no more.
func TestManyPops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		var calls []call[string]
		for range 5 {
			calls = append(calls, popping(t, q))
		}
		want(t, "added", q.TryPush(items("a a a")), 3)
		synctest.Wait()
		served := 0
		for _, c := range calls {
			served += len(c.ended)
		}
		want(t, "calls that have returned", served, 3)
		want(t, "added", q.TryPush(items("a a")), 2)
		for _, c := range calls {
			want(t, "Pop", c.returns(t), "a")
		}
		atRest(t, q)
	})
}

// A token that is left over makes no Pop return without an item.
func TestPopAfterOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		inVain := func(c call[string]) {
			q.mu.Lock()
			q.add(&Item{})
			q.settle() // the call is woken, and cannot go on before Unlock
			var it Item
			q.take(q.head, &it)
			q.mu.Unlock()
			c.waits(t)
		}
		c := popping(t, q)
		inVain(c)
		pushNow(q, "a")
		want(t, "Pop", c.returns(t), "a")

		ctx, cancel := context.WithCancel(t.Context())
		c = begin("Pop", func() string { return text(q.Pop(ctx)) })
		inVain(c)
		cancel()
		want(t, "Pop that is cancelled", c.returns(t), "none")
	})
}

// A hook is a context that calls f when it is first asked for its Done: a call that waits does so
// when it has unlocked the queue, and before it waits.
type hook struct {
	context.Context
	f    func()
	once sync.Once
}

func (h *hook) Done() <-chan struct{} {
	h.once.Do(h.f)
	return h.Context.Done()
}

// No wake-up is lost that comes when a call is about to wait.
func TestAboutToWait(t *testing.T) {
	for name, pushFunc := range map[string]func(*Queue){
		"Push":    func(q *Queue) { pushNow(q, "a") },
		"TryPush": func(q *Queue) { tryOne(q, item("a")) },
		"MoveTo": func(q *Queue) {
			early := New()
			tryOne(early, item("a"))
			early.MoveTo(q)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := New()
				ctx := &hook{Context: t.Context(), f: func() { pushFunc(q) }}
				want(t, "Pop", text(q.Pop(ctx)), "a")
				ctx = &hook{Context: t.Context(), f: func() { pushFunc(q) }}
				want(t, "PopMatch", text(q.PopMatch(ctx, anything)), "a")
				atRest(t, q)
			})
		})
	}
}

// What is there is returned although ctx or the queue has ended; only then are they obeyed.
func TestPopEnds(t *testing.T) {
	pops := map[string]func(q *Queue, ctx context.Context) (Item, bool){
		"Pop": (*Queue).Pop,
		"PopMatch": func(q *Queue, ctx context.Context) (Item, bool) {
			return q.PopMatch(ctx, func([]byte) bool { return true })
		},
	}
	ends := map[string]func(t *testing.T, q *Queue) (ctx context.Context, end func()){
		"ctx": func(t *testing.T, _ *Queue) (context.Context, func()) { return context.WithCancel(t.Context()) },
		"End": func(t *testing.T, q *Queue) (context.Context, func()) { return t.Context(), q.End },
	}
	for popName, popFunc := range pops {
		for endName, endFunc := range ends {
			t.Run(popName+"/"+endName, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					q := New()
					ctx, end := endFunc(t, q)
					end()
					tryOne(q, item("a"))
					want(t, "ended before", text(popFunc(q, ctx)), "a")
					want(t, "ended before, nothing there", text(popFunc(q, ctx)), "none")

					q = New()
					ctx, end = endFunc(t, q)
					var calls []call[string]
					for range 3 {
						c := begin(popName, func() string { return text(popFunc(q, ctx)) })
						c.waits(t)
						calls = append(calls, c)
					}
					end()
					for _, c := range calls {
						want(t, "ended while waiting", c.returns(t), "none")
					}
					atRest(t, q)
				})
			})
		}
	}
}

// A call that its ctx wakes returns what has come meanwhile.
func TestPopEndsWhenAnItemComes(t *testing.T) {
	pops := map[string]func(q *Queue, ctx context.Context) (Item, bool){
		"Pop": (*Queue).Pop,
		"PopMatch": func(q *Queue, ctx context.Context) (Item, bool) {
			return q.PopMatch(ctx, func([]byte) bool { return true })
		},
	}
	for name, popFunc := range pops {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := New()
				ctx, cancel := context.WithCancel(t.Context())
				c := begin(name, func() string { return text(popFunc(q, ctx)) })
				c.waits(t)
				q.mu.Lock()
				cancel() // the call is woken by this, and cannot go on before Unlock
				q.add(&Item{Data: []byte("b")})
				q.mu.Unlock()
				want(t, "Pop", c.returns(t), "b")
			})
		})
	}
}

// A queue in which nobody has waited has no channels, and one that was widened gives its memory
// back.
func TestMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := New()
		tryOne(q, item("a"))
		q.Pop(ended)
		if q.ready != nil || q.news != nil || q.spare != nil {
			t.Error("a queue in which nobody has waited holds what is for those who wait")
		}
		if got := testing.AllocsPerRun(1000, func() {
			tryOne(q, Item{})
			q.Pop(ended)
		}); got != 0 {
			t.Errorf("%v allocations a message, want 0", got)
		}
		q.Widen()
		fill(t, q, 10*Messages, "-")
		rest(q)
		want(t, "room that is kept", cap(q.items), 0)
	})
}

func BenchmarkPushPop(b *testing.B) {
	q := New()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	it := sized(128)
	b.ReportAllocs()
	for b.Loop() {
		tryOne(q, it)
		q.Pop(ctx)
	}
}

// As BenchmarkPushPop, from a goroutine to another, 30 items to a packet.
func BenchmarkPackets(b *testing.B) {
	const packet = 30
	q := New()
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		items := slices.Repeat([]Item{sized(128)}, packet)
		for {
			if n := q.TryPush(items); n < packet {
				q.Push(items[n:], stop)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		q.Pop(b.Context())
	}
	close(stop)
	<-ended
}
