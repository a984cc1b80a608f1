// Package queue holds what connections have received until somebody reads it.
package queue

import (
	"context"
	"slices"
	"sync"
)

// Messages and Bytes are the room of a queue in normal times. An item has room when there are fewer
// than Messages, and no more than Bytes with it. A queue that is empty has room for any item.
const (
	Messages = 64
	Bytes    = 256 << 10
)

// WideBytes is the room of a queue while it is widened. Each item counts for overhead bytes more
// than its Data, so that empty messages are bounded, too.
const (
	WideBytes = 4 << 20
	overhead  = 64
)

// An Item is a message, or the news that one was too large and has been skipped.
type Item struct {
	Data []byte // the message; nil when it was skipped
	Size int64  // of the message, also of a skipped one
}

// Skipped reports whether the item is only the news of a message.
func (it *Item) Skipped() bool { return it.Data == nil }

// A Queue is a bounded queue between the goroutines that read connections and those that call Read.
// All methods may be called concurrently.
//
// # How calls wait
//
// A Push leaves its items in pushers. Whoever makes room adds the items of pushers that fit, in
// order, and wakes the calls of which all items are added. Such a call has nothing left to do, and
// nothing overtakes it.
//
// A Pop that finds nothing counts itself in poppers, waits for the token in ready, takes it and
// looks again. The token stays in the channel until it is taken, so a Pop that is about to wait
// finds it. One token serves many calls, because a Pop that leaves items behind puts it back.
//
// A PopMatch that finds nothing waits until news is closed, and looks again. In a queue that has
// ended, a call that finds nothing returns.
//
// All of this is done by settle. Every method that changes the queue calls it before it unlocks.
// So, whenever the lock is free: no Push waits with an item for which there is room; if a Pop waits
// and there are items, or the queue has ended, the token is in ready, or a Pop has taken it and is
// about to look; and no PopMatch waits that has not looked at every item.
type Queue struct {
	mu      sync.Mutex    // guards what follows; of two queues, that of the earlier is locked first
	list                  // what waits for Pop
	wide    int32         // calls of Widen less calls of Narrow
	poppers int32         // calls of Pop that wait for ready
	ready   chan struct{} // holds a token when a Pop should look again; nil until one waits
	news    chan struct{} // closed when a PopMatch should look again; nil until one waits
	pushers []*push       // calls of Push that wait for room, in order
	spare   *push         // for the next Push that waits
	sequel  *Queue        // set by MoveTo
	ended   bool          // set by End
}

// A push is a call of Push that waits.
type push struct {
	items []Item        // those that are not in the queue yet
	added chan struct{} // holds a token when all have been added
}

// New returns an empty queue.
func New() *Queue { return &Queue{} }

// TryPush adds the items that have room, from the first on, wakes the calls that wait for them, and
// returns how many it has added: none when a Push waits for room, or when MoveTo was called.
func (q *Queue) TryPush(items []Item) (added int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sequel != nil || len(q.pushers) > 0 {
		return 0
	}
	added = q.addSome(items)
	q.settle()
	return added
}

// Push adds items. It waits for room for each of them, or until stop is closed: then it adds the
// others although there is no room in normal times, and drops only those for which a widened queue
// would have none either. It returns the queue to push to next, which is another one once MoveTo
// was called, and how many items it has dropped.
func (q *Queue) Push(items []Item, stop <-chan struct{}) (next *Queue, dropped int) {
	q = q.lock()
	p := q.spare
	q.spare = nil
	if p == nil {
		p = &push{added: make(chan struct{}, 1)}
	}
	p.items = items
	q.pushers = append(q.pushers, p)
	q.settle()
	q.mu.Unlock()

	stopped := false
	select {
	case <-p.added:
	case <-stop:
		stopped = true
	}

	q = q.lock()
	defer q.mu.Unlock()
	if stopped {
		i := slices.Index(q.pushers, p)
		if i < 0 {
			return q, 0 // all were added meanwhile; p holds a token and is not used again
		}
		q.pushers = slices.Delete(q.pushers, i, i+1)
		for i := range p.items {
			if it := &p.items[i]; q.hasWideRoom(1, len(it.Data)) {
				q.add(it)
			} else {
				dropped++
			}
		}
		q.settle()
	}
	p.items = nil
	q.spare = p
	return q, dropped
}

// Pop takes the first item. It waits for one until ctx or the queue has ended. What is there is
// returned even then: ok is false only when nothing is left. After MoveTo nothing comes any more.
func (q *Queue) Pop(ctx context.Context) (it Item, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for late := false; q.head == len(q.items); {
		if late || q.ended {
			q.settle() // the token of the end is for the next call, too
			return Item{}, false
		}
		if q.ready == nil {
			q.ready = make(chan struct{}, 1)
		}
		q.poppers++
		q.mu.Unlock()
		select { // a third channel would cost each call that waits a larger stack
		case <-q.ready:
		case <-ctx.Done():
			late = true
		}
		q.mu.Lock()
		q.poppers--
	}
	q.take(q.head, &it)
	return it, true
}

// End ends the calls of Pop and PopMatch that find nothing: those that wait now, and later ones.
func (q *Queue) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.settle()
}

// PopMatch takes the first message whose Data matches, and leaves the other items where they are.
// It waits for more as Pop does. The queue is widened meanwhile, because what matches may be behind
// more items than there is normally room for.
//
// match is called once for each item and without the lock, with a copy that is overwritten after it
// has returned: another call may take the item meanwhile, and own its Data.
func (q *Queue) PopMatch(ctx context.Context, match func([]byte) bool) (it Item, ok bool) {
	q.Widen()
	defer q.Narrow()
	q.mu.Lock()
	defer q.mu.Unlock()
	var (
		next   uint64 // number of the first item not looked at
		copied []byte
		late   bool
	)
	for {
		if i := q.find(next); i < len(q.items) {
			e := q.items[i]
			next = e.number + 1
			if e.Skipped() {
				continue
			}
			copied = append(copied[:0], e.Data...)
			if !unlocked(&q.mu, match, copied) {
				continue
			}
			if i := q.find(e.number); i < len(q.items) && q.items[i].number == e.number {
				q.take(i, &it)
				return it, true
			}
			continue // another call has taken it
		}
		if late || q.ended {
			return Item{}, false
		}
		if q.news == nil {
			q.news = make(chan struct{})
		}
		news := q.news
		q.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			late = true
		}
		q.mu.Lock()
	}
}

// unlocked calls match without the lock, and has it again however match ends.
func unlocked(mu *sync.Mutex, match func([]byte) bool, p []byte) bool {
	mu.Unlock()
	defer mu.Lock()
	return match(p)
}

// MoveTo gives all that waits in q, and all that is pushed to q from now on, to next, in order and
// without regard to room. Push, Widen, Narrow, Full and Overfull then act on next; Pop and PopMatch
// do not follow. Only the first call has an effect. next must not be q nor lead back to it.
func (q *Queue) MoveTo(next *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sequel != nil {
		return
	}
	q.sequel = next
	next = next.lock()
	defer next.mu.Unlock()
	for _, e := range q.items[q.head:] {
		next.add(&e.Item)
	}
	next.pushers = append(next.pushers, q.pushers...)
	next.wide += q.wide
	next.settle()
	q.list, q.pushers, q.spare = list{}, nil, nil
}

// Widen gives the queue the room of WideBytes until Narrow was called as often as Widen. It wakes
// the calls of Push that have room now.
func (q *Queue) Widen() {
	q = q.lock()
	defer q.mu.Unlock()
	q.wide++
	q.settle()
}

// Narrow takes one Widen back. What waits stays.
func (q *Queue) Narrow() {
	q = q.lock()
	defer q.mu.Unlock()
	if q.wide == 0 {
		panic("queue: Narrow without Widen")
	}
	q.wide--
}

// Full reports whether a Push would have to wait in normal times.
func (q *Queue) Full() bool {
	q = q.lock()
	defer q.mu.Unlock()
	return len(q.pushers) > 0 || !q.hasNormalRoom(0)
}

// Overfull reports whether a Push would have to wait in a widened queue.
func (q *Queue) Overfull() bool {
	q = q.lock()
	defer q.mu.Unlock()
	n, bytes := 1, 0
	for _, p := range q.pushers {
		for _, it := range p.items {
			n++
			bytes += len(it.Data)
		}
	}
	return !q.hasWideRoom(n, bytes)
}

// Len returns how many items wait for Pop.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.len()
}

// lock locks the queue that q has moved to, or else q, and returns it.
func (q *Queue) lock() *Queue {
	q.mu.Lock()
	for q.sequel != nil {
		next := q.sequel
		q.mu.Unlock()
		q = next
		q.mu.Lock()
	}
	return q
}

// What follows is called with the lock held.

// settle adds what waiting calls of Push bring, as far as there is room, and wakes the calls that
// have something to do.
func (q *Queue) settle() {
	for len(q.pushers) > 0 {
		p := q.pushers[0]
		p.items = p.items[q.addSome(p.items):]
		if len(p.items) > 0 {
			break
		}
		q.pushers = slices.Delete(q.pushers, 0, 1)
		p.added <- struct{}{}
	}
	if q.poppers > 0 && (q.len() > 0 || q.ended) {
		select {
		case q.ready <- struct{}{}:
		default: // the token is there
		}
	}
	if q.news != nil {
		close(q.news)
		q.news = nil
	}
}

// hasRoom reports whether an item with n bytes of Data has room.
func (q *Queue) hasRoom(n int) bool {
	return q.hasNormalRoom(n) || q.wide > 0 && q.hasWideRoom(1, n)
}

func (q *Queue) hasNormalRoom(n int) bool {
	return q.len() == 0 || q.len() < Messages && q.bytes+n <= Bytes
}

// hasWideRoom reports whether n items, together of the given size, have room in a widened queue.
func (q *Queue) hasWideRoom(n, bytes int) bool {
	return q.bytes+bytes+(q.len()+n)*overhead <= WideBytes
}

// addSome adds the items that have room, from the first on, and returns how many those are.
func (q *Queue) addSome(items []Item) (n int) {
	for ; n < len(items) && q.hasRoom(len(items[n].Data)); n++ {
		q.add(&items[n])
	}
	return n
}

// take moves the item at index i to it.
func (q *Queue) take(i int, it *Item) {
	q.remove(i, it)
	q.settle()
}
