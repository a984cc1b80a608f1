package ws

import (
	"errors"
	"io"
	"sync"
)

// A buffer reads ahead from a source. It is small while little comes in, so that an idle connection
// costs little. When a read fills the small buffer, or a payload is known not to fit into it, the
// next read goes into a large one, which is borrowed until a read fails to fill it.
type buffer struct {
	src   io.Reader
	err   error // returned by the source together with bytes, or by fail: there is no further read
	buf   []byte
	start int // what has been read and not used is buf[start:end]
	end   int
	full  bool // the last read filled the buffer, so there is probably more
	large *[largeBuf]byte
	small [smallBuf]byte
}

const (
	smallBuf = 128 // holds any control frame
	largeBuf = 64 << 10
	// A payload of straight bytes or more is read to its place without a buffer between: a copy of
	// so many bytes costs more than the reads that reading ahead would save.
	straight = 16 << 10
)

var largeBufs = sync.Pool{New: func() any { return new([largeBuf]byte) }}

// maxEmptyReads is how often in a row the source may return neither bytes nor an error.
const maxEmptyReads = 100

var errReleased = errors.New("ws: Reader used after Release")

// peek returns the bytes that have been read and not used.
func (b *buffer) peek() []byte { return b.buf[b.start:b.end] }

// advance marks the next n bytes of the buffer as used.
func (b *buffer) advance(n int) { b.start += n }

// need reads until n bytes, at most smallBuf, are in the buffer.
func (b *buffer) need(n int) error {
	for b.end-b.start < n {
		if err := b.fill(int64(n)); err != nil {
			return err
		}
	}
	return nil
}

// take returns the next n bytes, at most smallBuf. They are valid until the next read.
func (b *buffer) take(n int) ([]byte, error) {
	if err := b.need(n); err != nil {
		return nil, err
	}
	p := b.peek()[:n:n]
	b.advance(n)
	return p, nil
}

// next returns the next bytes, at least one and at most n. They are valid until the next read.
func (b *buffer) next(n int64) ([]byte, error) {
	if b.start == b.end {
		if err := b.fill(n); err != nil {
			return nil, err
		}
	}
	return b.take(int(min(n, int64(b.end-b.start))))
}

// some reads at least one byte into p, which has room for at least one: what is in the buffer, or
// else what the source brings. If direct is true, that goes to p without a buffer between.
func (b *buffer) some(p []byte, direct bool) (int, error) {
	if b.start == b.end {
		if direct {
			return b.readSrc(p)
		}
		if err := b.fill(int64(len(p))); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.peek())
	b.advance(n)
	return n, nil
}

// fill reads once. want is how many bytes the caller needs.
func (b *buffer) fill(want int64) error {
	rest := b.peek() // less than a header: it fits everywhere
	if b.full || want > smallBuf {
		if b.large == nil {
			b.large = largeBufs.Get().(*[largeBuf]byte)
		}
		b.buf = b.large[:]
		b.start, b.end = 0, copy(b.buf, rest)
	} else {
		b.buf = b.small[:]
		b.start, b.end = 0, copy(b.buf, rest)
		b.giveBack()
	}
	n, err := b.readSrc(b.buf[b.end:])
	b.end += n
	b.full = b.end == len(b.buf)
	return err
}

// readSrc reads into p, which has room for at least one byte, and returns an error only if there
// are no bytes.
func (b *buffer) readSrc(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	b.full = false
	for range maxEmptyReads {
		n, b.err = b.src.Read(p)
		if n > 0 {
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
	}
	b.err = io.ErrNoProgress
	return 0, b.err
}

// fail drops what is in the buffer, so that every further read returns err, and returns it.
func (b *buffer) fail(err error) error {
	b.err = err
	b.start, b.end = 0, 0
	return err
}

// Release gives back the large buffer, if there is one. What it holds is lost, so the Reader cannot
// be used any more.
func (b *buffer) Release() {
	if b.err == nil {
		b.err = errReleased
	}
	b.buf, b.start, b.end = nil, 0, 0
	b.giveBack()
}

func (b *buffer) giveBack() {
	if b.large != nil {
		largeBufs.Put(b.large)
		b.large = nil
	}
}

// noEOF is err where the stream must not end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
