package session

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Memory for messages. A caller that copies a message out, as ReadInto does, gives its memory back
// with Recycle. One that hands it to the application, as Read does, must not. Before the first
// Recycle, alloc is make.
var (
	recycling atomic.Bool
	pools     [maxClass + 1]sync.Pool // of *[]byte with a capacity of at least 1<<class
	headers   sync.Pool               // of *[]byte without memory, so that Recycle does not allocate
)

// Memory of 64 bytes to 256 KiB is kept: that of class n has a capacity of 1<<n to 1<<(n+1)-1.
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

// Recycle gives the memory of a message back. The caller must not use it any more.
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
