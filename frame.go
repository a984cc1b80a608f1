package apigws

import (
	"crypto/rand"
	"encoding/binary"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const finBit, maskBit = 0x80, 0x80

// maskKeys hands out masking keys. RFC 6455, section 5.3, wants them
// unpredictable; they are drawn from the system in blocks, because one call a
// frame costs more than the rest of the frame.
type maskKeys struct {
	block [64]byte
	left  int
}

func (k *maskKeys) next() uint32 {
	if k.left == 0 {
		rand.Read(k.block[:]) // never fails, says its documentation
		k.left = len(k.block)
	}
	k.left -= 4
	return binary.LittleEndian.Uint32(k.block[k.left:])
}

// appendMessage appends the text message p to buf, in as many masked frames as
// it takes when none may carry more than limit bytes.
func appendMessage(buf []byte, p []byte, limit int, keys *maskKeys) []byte {
	op := byte(opText)
	for len(p) > limit {
		buf = appendFrame(buf, op, p[:limit], keys.next())
		op, p = opContinuation, p[limit:]
	}
	return appendFrame(buf, op|finBit, p, keys.next())
}

// appendFrame appends one masked frame, as clients send them. first is the
// frame's first byte: the opcode, with finBit on the last frame of a message.
func appendFrame(buf []byte, first byte, p []byte, key uint32) []byte {
	switch n := len(p); {
	case n < 126:
		buf = append(buf, first, maskBit|byte(n))
	case n < 1<<16:
		buf = binary.BigEndian.AppendUint16(append(buf, first, maskBit|126), uint16(n))
	default:
		buf = binary.BigEndian.AppendUint64(append(buf, first, maskBit|127), uint64(n))
	}
	buf = binary.LittleEndian.AppendUint32(buf, key)
	start := len(buf)
	buf = append(buf, p...)
	mask(buf[start:], key)
	return buf
}

// mask applies the masking of RFC 6455, section 5.3, eight bytes at a time.
func mask(p []byte, key uint32) {
	key64 := uint64(key)<<32 | uint64(key)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^key64)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(key >> (8 * (i % 4)))
	}
}
