package main

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"

	"github.com/gobwas/ws"
)

// The floor is what no library can be cheaper than: one goroutine that reads as much as there is
// into one buffer and takes whole frames out of it, and that writes each message from another one.
// It checks nothing, answers no PING, sends none, and lends the memory of a message.
type floorConn struct {
	c    net.Conn
	done chan struct{}

	mu  sync.Mutex // guards out, and orders writes
	out []byte
}

// floorBuffer has room for the largest message and what comes with it.
const floorBuffer = 192 << 10

func dialFloor(ctx context.Context, url string, s settings, received func([]byte)) (conn, error) {
	dialer := ws.Dialer{TLSConfig: insecure, NetDial: s.dialNet()}
	c, early, _, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	n := &floorConn{c: c, done: make(chan struct{})}
	var in io.Reader = c
	if early != nil { // reads of so large a buffer pass it by once it is empty
		in = early
	}
	go func() {
		defer close(n.done)
		floorRead(in, received)
	}()
	return n, nil
}

// floorRead passes on the payload of each frame, which it takes for a whole message.
func floorRead(in io.Reader, received func([]byte)) {
	buf := make([]byte, floorBuffer)
	start, end := 0, 0
	for {
		n, err := in.Read(buf[end:])
		if err != nil {
			return
		}
		end += n
		for {
			header, size := frameSize(buf[start:end])
			if header == 0 || end-start < header+size {
				break
			}
			received(buf[start+header : start+header+size])
			start += header + size
		}
		if start == end {
			start, end = 0, 0
		} else if end > len(buf)/2 {
			end = copy(buf, buf[start:end])
			start = 0
		}
	}
}

// frameSize returns the sizes of the header and of the payload of an unmasked frame that begins
// with p, and 0 as long as p does not say.
func frameSize(p []byte) (header, size int) {
	switch {
	case len(p) < 2:
		return 0, 0
	case p[1] < 126:
		return 2, int(p[1])
	case p[1] == 126 && len(p) >= 4:
		return 4, int(binary.BigEndian.Uint16(p[2:]))
	case p[1] == 127 && len(p) >= 10:
		return 10, int(binary.BigEndian.Uint64(p[2:]))
	}
	return 0, 0
}

func (n *floorConn) write(p []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.out = append(n.out[:0], 0x81)
	if len(p) < 126 {
		n.out = append(n.out, 0x80|byte(len(p)))
	} else { // no scenario sends more than 64 KiB
		n.out = binary.BigEndian.AppendUint16(append(n.out, 0x80|126), uint16(len(p)))
	}
	mask := [4]byte(binary.NativeEndian.AppendUint32(nil, rand.Uint32()))
	n.out = append(append(n.out, mask[:]...), p...)
	ws.Cipher(n.out[len(n.out)-len(p):], mask, 0)
	_, err := n.c.Write(n.out)
	return err
}

func (n *floorConn) lost() <-chan struct{} { return n.done }

func (n *floorConn) close() { n.c.Close() }
