package queue

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
)

// Many push, some to a queue that is moved on the way; many take, in turn or
// what matches; the queue is widened and narrowed. Each item arrives once, and each taker sees
// those of one connection in order.
func TestStress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const connections, items, takers = 8, 3000, 4
		var (
			q         = New()
			never     = make(chan struct{})
			pushers   sync.WaitGroup
			consumers sync.WaitGroup
			mu        sync.Mutex // guards seen
			seen      = make(map[[2]uint32]int)
		)
		for c := range uint32(connections) {
			to := q
			if c%2 == 0 {
				to = New()
				early := to
				pushers.Go(func() { // at any time
					for range 100 * c {
						runtime.Gosched()
					}
					early.MoveTo(q)
				})
			}
			pushers.Go(func() {
				for i := uint32(0); i < items; {
					var packet []Item
					for range min(i%13+1, items-i) {
						packet = append(packet, encode(c, i))
						i++
					}
					if i%7 != 6 {
						packet = packet[to.TryPush(packet):]
					}
					if len(packet) > 0 {
						to, _ = to.Push(packet, never)
					}
				}
			})
			pushers.Go(func() {
				for range 100 {
					q.Widen()
					q.Narrow()
				}
			})
		}
		for n := range takers {
			consumers.Go(func() {
				var last [connections]int
				for {
					var it Item
					var ok bool
					if n%2 == 0 {
						it, ok = q.Pop(t.Context())
					} else {
						it, ok = q.PopMatch(t.Context(), func(p []byte) bool { return p[7]%2 == 0 })
					}
					if !ok {
						return
					}
					c, i := decode(it)
					if int(i) < last[c] {
						t.Errorf("item %d of connection %d came after %d", i, c, last[c])
					}
					last[c] = int(i)
					mu.Lock()
					seen[[2]uint32{c, i}]++
					mu.Unlock()
				}
			})
		}
		pushers.Wait()
		q.End()
		consumers.Wait()
		want(t, "Len", q.Len(), 0)
		for c := range uint32(connections) {
			for i := range uint32(items) {
				if n := seen[[2]uint32{c, i}]; n != 1 {
					t.Fatalf("item %d of connection %d came %d times", i, c, n)
				}
			}
		}
		atRest(t, q)
	})
}

func encode(connection, i uint32) Item {
	return Item{Data: binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, connection), i)}
}

func decode(it Item) (connection, i uint32) {
	return binary.BigEndian.Uint32(it.Data), binary.BigEndian.Uint32(it.Data[4:])
}
