package session

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Memory for messages. Whoever copies a message out, as ReadInto does, gives its memory back with
// Recycle; whoever hands it to the application, as Read does, does not. As long as nobody recycles,
// alloc is make.
var (
	recycling atomic.Bool
	pools     [maxClass + 1]sync.Pool // of *[]byte with a capacity of at least 1<<class
	headers   sync.Pool               // of *[]byte without memory, so that Recycle does not allocate
)

// minClass and maxClass bound what is kept: 64 bytes to 128 KiB.
const minClass, maxClass = 6, 17

// alloc returns memory for a message of n bytes.
func alloc(n int) []byte {
	if !recycling.Load() {
		return make([]byte, n)
	}
	class := max(minClass, bits.Len(uint(max(n, 1)-1)))
	if class > maxClass {
		return make([]byte, n)
	}
	header, _ := pools[class].Get().(*[]byte)
	if header == nil {
		return make([]byte, n, 1<<class)
	}
	p := *header
	*header = nil
	headers.Put(header)
	return p[:n]
}

// Recycle gives the memory of a message back. It must not be used any more.
func Recycle(p []byte) {
	class := bits.Len(uint(cap(p))) - 1
	if class < minClass || class > maxClass {
		return
	}
	recycling.Store(true)
	header, _ := headers.Get().(*[]byte)
	if header == nil {
		header = new([]byte)
	}
	*header = p[:0]
	pools[class].Put(header)
}
