package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// A Message is a control frame or a whole data message.
type Message struct {
	// Op is Text, Binary, Close, Ping or Pong.
	Op Opcode
	// Data is the payload. That of a control frame is valid until the next call of Next, Ready or
	// Release. That of a data message belongs to the caller, and is nil if the message was larger
	// than the limit.
	Data []byte
	// Size is the number of bytes of payload, also of a message that was too large.
	Size int64
}

// A Reader takes apart what a server sends. It must be made ready by Init, must not be copied
// after that, and must be used by one goroutine at a time.
type Reader struct {
	// Alloc, if not nil, provides the memory of data messages. It returns n bytes, of any content;
	// their capacity may be larger. Alloc is called when the header of a frame has been read,
	// once for a message of one frame, and again when a fragmented message needs more.
	Alloc func(n int) []byte

	buffer

	// What follows is the data message that is under way between two calls of Next, or between
	// two frames.
	op    Opcode // Text or Binary, Continuation if none is
	text  utf8Check
	data  []byte
	size  int64
	limit int64
}

// Init prepares r to read from src, whatever r did before. A data message with more than limit
// bytes of payload is read to its end, but not kept.
func (r *Reader) Init(src io.Reader, limit int) {
	*r = Reader{Alloc: r.Alloc, buffer: buffer{src: src}, limit: int64(limit)}
}

// Await waits until there is something for Next to read, or an error for it to return.
func (r *Reader) Await() { r.need(1) }

// Ready reports whether there is something for Next to read, or an error for it to return. The
// source must fail with os.ErrDeadlineExceeded where it would wait; r reads on after that error.
func (r *Reader) Ready() bool {
	err := r.need(1)
	if !errors.Is(r.err, os.ErrDeadlineExceeded) {
		return true
	}
	r.err = nil
	if err == nil { // the error came with bytes
		return true
	}
	r.giveBack() // it may be long until the next read
	return false
}

// Next reads until a control frame or a data message is complete, and returns it. Control frames
// between the frames of a message come before it. A message that is larger than the limit takes no
// memory beyond what it had when it outgrew the limit.
//
// The error is io.EOF if the stream ends between two messages, and io.ErrUnexpectedEOF if it ends
// anywhere else. It is an *Error if the peer breaks RFC 6455: for this, Next waits for no byte
// after the one that breaks it. Other errors are those of the source. After an error, Next returns
// the same error again.
//
// Next calls the Read method of the source only when it cannot go on with the bytes that it has.
func (r *Reader) Next() (Message, error) {
	for {
		if err := r.need(1); err != nil {
			if r.op != Continuation {
				err = noEOF(err)
			}
			return Message{}, err
		}
		m, complete, err := r.frame()
		if err != nil {
			return Message{}, r.fail(noEOF(err))
		}
		if complete {
			return m, nil
		}
	}
}

// frame reads a frame, of which the first byte is in the buffer. It returns a message if the frame
// completes one.
func (r *Reader) frame() (m Message, complete bool, err error) {
	op, fin, length, err := r.header()
	if err != nil {
		return Message{}, false, err
	}
	if op.Control() {
		p, err := r.take(int(length))
		return Message{Op: op, Data: p, Size: length}, true, err
	}

	if op != Continuation {
		r.op = op
	}
	if length > math.MaxInt64-r.size {
		return Message{}, false, breach("a message is longer than 2^63-1 bytes")
	}
	r.size += length
	if r.size > r.limit {
		r.data = nil
		err = r.skip(length)
	} else {
		err = r.read(r.grow(int(length)))
	}
	if err != nil || !fin {
		return Message{}, false, err
	}
	if !r.text.complete() {
		return Message{}, false, malformed("a text message ends within a character")
	}
	m = Message{Op: r.op, Data: r.data, Size: r.size}
	r.op, r.data, r.size = Continuation, nil, 0
	return m, true, nil
}

// header reads the header of a frame. It looks at each byte before it asks for the next, so that a
// breach is found even if the peer sends nothing after it.
//
// A length that is not in its shortest form is a breach: section 5.2 says that "the minimal number
// of bytes MUST be used".
func (r *Reader) header() (op Opcode, fin bool, length int64, err error) {
	first := r.peek()[0]
	op, fin = Opcode(first&0xf), first&finBit != 0
	switch {
	case first&reservedBits != 0:
		err = breach("reserved bits are set")
	case op > Binary && op < Close || op > Pong:
		err = breach(fmt.Sprintf("unknown opcode %d", op))
	case op.Control() && !fin:
		err = breach("a control frame is fragmented")
	case op == Continuation && r.op == Continuation:
		err = breach("a frame continues no message")
	case (op == Text || op == Binary) && r.op != Continuation:
		err = breach("a message begins within another")
	}
	if err != nil {
		return 0, false, 0, err
	}

	if err := r.need(2); err != nil {
		return 0, false, 0, err
	}
	second := r.peek()[1]
	length = int64(second &^ maskBit)
	switch {
	case second&maskBit != 0:
		return 0, false, 0, breach("a frame of the server is masked")
	case op.Control() && length > maxControl:
		return 0, false, 0, breach("a control frame is too long")
	}
	r.advance(2)

	switch length {
	case 126:
		length, err = r.length16()
	case 127:
		length, err = r.length64()
	}
	return op, fin, length, err
}

// length16 reads a length of two bytes.
func (r *Reader) length16() (int64, error) {
	p, err := r.take(2)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint16(p)
	if n < 126 {
		return 0, breach("a length is not in its shortest form")
	}
	return int64(n), nil
}

// length64 reads a length of eight bytes.
func (r *Reader) length64() (int64, error) {
	if err := r.need(1); err != nil {
		return 0, err
	}
	if r.peek()[0]&0x80 != 0 {
		return 0, breach("a length has its highest bit set")
	}
	if err := r.need(6); err != nil {
		return 0, err
	}
	if [6]byte(r.peek()) == [6]byte{} {
		return 0, breach("a length is not in its shortest form")
	}
	p, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(p)), nil
}

// grow makes the message n bytes longer and returns the place for them.
func (r *Reader) grow(n int) []byte {
	old := len(r.data)
	size := old + n
	if r.data == nil || size > cap(r.data) {
		// Doubling keeps the cost of many small frames low.
		room := min(max(int64(size), 2*int64(old)), r.limit)
		data := r.alloc(int(room))
		copy(data, r.data)
		r.data = data
	}
	r.data = r.data[:size]
	return r.data[old:]
}

func (r *Reader) alloc(n int) []byte {
	if n == 0 {
		return []byte{} // not nil, which is for messages that were too large
	}
	if r.Alloc != nil {
		return r.Alloc(n)
	}
	return make([]byte, n)
}

// read fills p with payload.
func (r *Reader) read(p []byte) error {
	direct := len(p) >= straight
	for len(p) > 0 {
		n, err := r.some(p, direct)
		if err != nil {
			return err
		}
		if err := r.check(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// skip reads n bytes of payload without keeping them.
func (r *Reader) skip(n int64) error {
	for n > 0 {
		p, err := r.next(n)
		if err != nil {
			return err
		}
		if err := r.check(p); err != nil {
			return err
		}
		n -= int64(len(p))
	}
	return nil
}

// check looks at the next bytes of payload of the data message.
func (r *Reader) check(p []byte) error {
	if r.op == Text && !r.text.add(p) {
		return malformed("a text message is not UTF-8")
	}
	return nil
}
