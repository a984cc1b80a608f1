package apigws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A frameReader takes apart what a gateway sends: the frames of RFC 6455,
// section 5, unmasked as servers send them, without extensions.
//
// coder/websocket could do this too, and did. But it takes three locks for each
// message and holds two buffers of 4 KB for each connection, which is most of
// what an idle client costs; what this file brings is measured in bench.
type frameReader struct {
	src io.Reader

	// What has been read and not used is buf[r:w]. buf is small as long as
	// little comes, so that an idle connection costs little, and borrowed
	// from largeBufs while reads fill it.
	buf      []byte
	r, w     int
	large    *[largeBuf]byte
	lastRead int // bytes that the last read brought
	small    [smallBuf]byte
}

const smallBuf, largeBuf = 512, 16 << 10

var largeBufs = sync.Pool{New: func() any { return new([largeBuf]byte) }}

// frameHeader is the header of one frame.
type frameHeader struct {
	fin    bool
	opcode byte
	length int64
}

func (h frameHeader) control() bool { return h.opcode >= opClose }

// maxControl is the longest payload of a control frame.
const maxControl = 125

// A protocolError is a breach of RFC 6455 by the gateway.
type protocolError string

func (e protocolError) Error() string { return "breach of RFC 6455: " + string(e) }

// header reads the header of the next frame. io.EOF says that the stream ended
// between two frames.
func (f *frameReader) header() (frameHeader, error) {
	if err := f.need(2); err != nil {
		return frameHeader{}, err
	}
	b0, b1 := f.buf[f.r], f.buf[f.r+1]
	h := frameHeader{fin: b0&finBit != 0, opcode: b0 & 0xf, length: int64(b1 &^ maskBit)}
	size := 2
	switch h.length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if err := f.need(size); err != nil {
		return frameHeader{}, noEOF(err)
	}
	switch size {
	case 4:
		h.length = int64(binary.BigEndian.Uint16(f.buf[f.r+2:]))
	case 10:
		h.length = int64(binary.BigEndian.Uint64(f.buf[f.r+2:]))
	}
	f.r += size

	switch {
	case b0&0x70 != 0:
		return h, protocolError("reserved bits are set")
	case b1&maskBit != 0:
		return h, protocolError("a server's frame is masked")
	case h.length < 0:
		return h, protocolError("negative length")
	case h.opcode > opText+1 && h.opcode < opClose || h.opcode > opPong:
		return h, protocolError(fmt.Sprintf("unknown opcode %d", h.opcode))
	case h.control() && !h.fin:
		return h, protocolError("a control frame is fragmented")
	case h.control() && h.length > maxControl:
		return h, protocolError("a control frame is too long")
	}
	return h, nil
}

// read fills p with payload.
func (f *frameReader) read(p []byte) error {
	for {
		n := copy(p, f.buf[f.r:f.w])
		f.r += n
		p = p[n:]
		for len(p) >= largeBuf { // the buffer is empty, and would not help
			n, err := f.src.Read(p)
			p = p[n:]
			if n == 0 && err != nil {
				return noEOF(err)
			}
		}
		if len(p) == 0 {
			return nil
		}
		if err := f.fill(); err != nil {
			return noEOF(err)
		}
	}
}

// skip drops n bytes of payload.
func (f *frameReader) skip(n int64) error {
	for n > 0 {
		if f.r == f.w {
			if err := f.fill(); err != nil {
				return noEOF(err)
			}
		}
		m := min(n, int64(f.w-f.r))
		f.r += int(m)
		n -= m
	}
	return nil
}

// need reads until n bytes, of which there are never more than a header has,
// are in the buffer.
func (f *frameReader) need(n int) error {
	for f.w-f.r < n {
		some := f.w > f.r
		if err := f.fill(); err != nil {
			if some {
				err = noEOF(err)
			}
			return err
		}
	}
	return nil
}

// fill reads once, into whichever buffer suits what came last.
func (f *frameReader) fill() error {
	rest := f.buf[f.r:f.w] // less than a header: it fits everywhere
	if f.lastRead < smallBuf/2 {
		f.buf = f.small[:]
	} else {
		if f.large == nil {
			f.large = largeBufs.Get().(*[largeBuf]byte)
		}
		f.buf = f.large[:]
	}
	f.r, f.w = 0, copy(f.buf, rest)
	if len(f.buf) == smallBuf {
		f.release()
	}
	n, err := f.src.Read(f.buf[f.w:])
	f.w += n
	f.lastRead = n
	if n > 0 {
		return nil // an error will come again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// release gives the large buffer back.
func (f *frameReader) release() {
	if f.large != nil {
		largeBufs.Put(f.large)
		f.large = nil
	}
}

// noEOF is err within a frame, where an end is never expected.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
