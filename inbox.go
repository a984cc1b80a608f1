package apigws

import (
	"context"
	"sync"
)

// inboxMessages and inboxBytes bound what waits in an inbox for Read. When
// either is reached the reading of the connection pauses, and TCP passes the
// pressure on.
const (
	inboxMessages = 64
	inboxBytes    = 256 << 10
)

// inbound is what a connection brought: a message, or the news that one was
// too large and has been skipped.
type inbound struct {
	data []byte
	size int64 // of the message, also of a skipped one
	err  error
}

// An inbox is a bounded queue between the goroutines that read connections
// and those that call Read. All methods may be called concurrently.
type inbox struct {
	// Each holds a token when somebody who waits should look again.
	ready, room chan struct{}

	mu      sync.Mutex // guards what follows
	items   []inbound  // items[head:] wait
	head    int
	bytes   int
	poppers int    // how many wait for ready
	pushers int    // how many wait for room
	sequel  *inbox // set by moveTo
}

func newInbox() *inbox {
	return &inbox{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// wake leaves a token for one of those who wait on ch.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// tryPush adds an item if there is room for it here. Those who wait for one
// learn of it by announce: to wake them for each of many messages that came in
// one packet would cost more than the messages.
func (b *inbox) tryPush(item inbound) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sequel != nil || b.pushers > 0 || !b.fits(item) {
		return false
	}
	b.add(item)
	return true
}

// push adds an item, waiting for room, for a pass, or for urgent to be closed:
// then the item is added although there is no room. What has been received is
// never dropped. It returns the inbox to push to next.
func (b *inbox) push(item inbound, pass, urgent <-chan struct{}) *inbox {
	b.mu.Lock()
	b.announceLocked() // room comes of those who take
	for forced := false; b.sequel == nil && !forced && !b.fits(item); {
		b.pushers++
		b.mu.Unlock()
		select {
		case <-b.room:
		case <-pass:
			forced = true
		case <-urgent:
			forced = true
		}
		b.mu.Lock()
		b.pushers--
	}
	if next := b.sequel; next != nil {
		if b.pushers > 0 {
			wake(b.room)
		}
		b.mu.Unlock()
		return next.push(item, pass, urgent)
	}
	b.add(item)
	b.announceLocked()
	if b.pushers > 0 && b.fits(inbound{}) {
		wake(b.room)
	}
	b.mu.Unlock()
	return b
}

// announce wakes one of those who wait, if there is something for him.
func (b *inbox) announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announceLocked()
}

func (b *inbox) announceLocked() {
	if b.poppers > 0 && b.head < len(b.items) {
		wake(b.ready)
	}
}

func (b *inbox) fits(item inbound) bool {
	n := len(b.items) - b.head
	return n == 0 || n < inboxMessages && b.bytes+len(item.data) <= inboxBytes
}

// add appends an item; b.mu is held.
func (b *inbox) add(item inbound) {
	if b.head > 0 && len(b.items) == cap(b.items) {
		n := copy(b.items, b.items[b.head:])
		clear(b.items[n:])
		b.items, b.head = b.items[:n], 0
	}
	b.items = append(b.items, item)
	b.bytes += len(item.data)
}

// pop takes the first item, waiting for one until ctx ends or closed is
// closed. What is there is returned even then: ok is false only when nothing
// is left.
func (b *inbox) pop(ctx context.Context, closed <-chan struct{}) (item inbound, ok bool) {
	ended := false
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.head == len(b.items) {
		if ended {
			return inbound{}, false
		}
		b.poppers++
		b.mu.Unlock()
		select {
		case <-b.ready:
		case <-ctx.Done():
			ended = true
		case <-closed:
			ended = true
		}
		b.mu.Lock()
		b.poppers--
	}
	item = b.items[b.head]
	b.items[b.head] = inbound{}
	b.head++
	b.bytes -= len(item.data)
	if b.head == len(b.items) {
		b.items, b.head = b.items[:0], 0
	} else if b.poppers > 0 {
		wake(b.ready)
	}
	if b.pushers > 0 {
		wake(b.room)
	}
	return item, true
}

// moveTo hands all that waits, and all that is pushed from now on, to next.
func (b *inbox) moveTo(next *inbox) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next.mu.Lock()
	for _, item := range b.items[b.head:] {
		next.add(item)
	}
	next.announceLocked()
	next.mu.Unlock()
	b.items, b.head, b.sequel = nil, 0, next
	if b.pushers > 0 {
		wake(b.room)
	}
}

// isFull reports whether a message would have to wait for room.
func (b *inbox) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.fits(inbound{})
}

func (b *inbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items) - b.head
}
