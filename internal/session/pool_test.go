package session

import (
	"context"
	"testing"
)

// recycles makes alloc look for memory that was given back, or not, for one test.
func recycles(t *testing.T, on bool) {
	before := recycling.Load()
	recycling.Store(on)
	t.Cleanup(func() { recycling.Store(before) })
}

// As long as nothing was given back, messages get as much memory as they need.
func TestAllocIsMake(t *testing.T) {
	recycles(t, false)
	for _, n := range []int{1, 63, 64, 65, 1000, 200000} {
		if p := alloc(n); len(p) != n || cap(p) != cap(make([]byte, n)) {
			t.Errorf("alloc(%d): %d of %d bytes", n, len(p), cap(p))
		}
	}
}

// The memory of a message has room for it, and is one of few sizes.
func TestAllocClasses(t *testing.T) {
	recycles(t, true)
	for _, test := range []struct{ n, room int }{
		{0, 64}, {1, 64}, {64, 64}, {65, 128}, {128, 128}, {129, 256},
		{1 << 16, 1 << 16}, {1<<16 + 1, 1 << 17}, {1 << 17, 1 << 17},
	} {
		p := alloc(test.n)
		if len(p) != test.n || cap(p) < test.room {
			t.Errorf("alloc(%d): %d of %d bytes, want room for %d", test.n, len(p), cap(p), test.room)
		}
	}
	if p := alloc(1<<17 + 1); len(p) != 1<<17+1 {
		t.Errorf("alloc(128 KiB + 1): %d bytes", len(p))
	}
}

// comesBack reports whether memory of this capacity, given back, is that of a later message of n
// bytes.
func comesBack(t *testing.T, size, n int) bool {
	for range 100 { // the pool may drop what it was given
		given := make([]byte, size)
		Recycle(given)
		got := alloc(n)
		if len(got) != n {
			t.Fatalf("alloc(%d): %d bytes", n, len(got))
		}
		if n <= size && &got[:1][0] == &given[0] {
			return true
		}
	}
	return false
}

// What is given back is used for messages that fit into it, and for no others.
func TestRecycle(t *testing.T) {
	recycles(t, false)
	for _, test := range []struct {
		size, n int
		want    bool
	}{
		{63, 32, false}, // too small to keep
		{64, 64, true},
		{64, 1, true},
		{127, 64, true},
		{127, 65, false},
		{128, 65, true},
		{128, 64, false}, // it would be a waste
		{1 << 17, 1 << 17, true},
		{1 << 17, 1<<16 + 1, true},
		{1<<18 - 1, 1 << 17, true},
		{1 << 18, 1 << 17, false}, // too large to keep
	} {
		if got := comesBack(t, test.size, test.n); got != test.want {
			t.Errorf("memory of %d bytes comes back for a message of %d: %v, want %v", test.size, test.n, got, test.want)
		}
	}
	if !recycling.Load() {
		t.Error("alloc does not look for what was given back")
	}
}

// What is given back belongs to one message at a time, also when its Recycle used a header of
// another.
func TestRecycleTwice(t *testing.T) {
	recycles(t, true)
	var all [][]byte
	for range 200 {
		Recycle(make([]byte, 64))
		Recycle(make([]byte, 64))
		all = append(all, alloc(64), alloc(64), alloc(64))
	}
	owner := map[*byte]bool{}
	for _, p := range all {
		if owner[&p[0]] {
			t.Fatal("two messages share their memory")
		}
		owner[&p[0]] = true
	}
}

// What is too small is not kept, and a header that waits for its next use keeps nothing.
func TestRecycleKeepsLittle(t *testing.T) {
	recycles(t, true)
	Recycle(nil)
	for range 100 { // a pool may drop what it was given
		Recycle(make([]byte, 63))
		if pools[minClass-1].Get() != nil {
			t.Fatal("63 bytes are kept")
		}
		Recycle(make([]byte, 64))
		alloc(64)
		if header, _ := headers.Get().(*[]byte); header != nil && *header != nil {
			t.Fatal("a header keeps the memory of a message")
		}
	}
}

// Messages that come in get memory that was given back.
func TestMessagesAreRecycled(t *testing.T) {
	recycles(t, true)
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.link.bring(text("short"))
		it, _ := r.queue.Pop(context.Background())
		if string(it.Data) != "short" || cap(it.Data) < 1<<minClass {
			t.Errorf("%q, with room for %d bytes", it.Data, cap(it.Data))
		}
	})
}

// To give memory back and to take it costs no allocation.
func TestRecycleAllocates(t *testing.T) {
	recycles(t, true)
	p := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { Recycle(p); p = alloc(100) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
