package queue

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		q, first := New(), New()
		go func() {
			to := first
			for i := range n {
				if it := (Item{Size: int64(i)}); !to.TryPush(it) {
					to = to.Push(it, nil)
				}
			}
			to.Announce()
		}()
		synctest.Wait()
		first.MoveTo(q)
		for i := range n {
			if it, ok := q.Pop(t.Context(), nil); !ok || it.Size != int64(i) {
				t.Fatalf("Pop %d: %v, %v", i, it, ok)
			}
		}
	})
}

func BenchmarkPushPop(b *testing.B) {
	q := New()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	it := Item{Data: make([]byte, 128)}
	b.ReportAllocs()
	for b.Loop() {
		q.TryPush(it)
		q.Announce()
		q.Pop(ctx, nil)
	}
}
