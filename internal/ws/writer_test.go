package ws

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// unmasked takes apart the frames that a client sends. It returns them as a server would send them,
// and their keys.
func unmasked(t *testing.T, b []byte) (frames string, keys []uint32) {
	t.Helper()
	for len(b) > 0 {
		if b[1]&0x80 == 0 {
			t.Fatalf("a frame that begins with %x is not masked", b[:2])
		}
		n, at := int(b[1]&0x7f), 2
		switch n {
		case 126:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, at = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		head := string([]byte{b[0], b[1] & 0x7f}) + string(b[2:at])
		key := b[at : at+4]
		payload := bytes.Clone(b[at+4 : at+4+n])
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		frames += head + string(payload)
		keys = append(keys, binary.LittleEndian.Uint32(key))
		b = b[at+4+n:]
	}
	return frames, keys
}

func TestAppendMessage(t *testing.T) {
	var keys MaskKeys
	for _, c := range []struct{ n, limit int }{
		{0, 1}, {1, 1}, {2, 1}, {5, 2}, {6, 2}, {7, 2},
		{125, 125}, {126, 125}, {125, 126}, {126, 126}, {127, 126},
		{65535, 65535}, {65536, 65535}, {65535, 65536}, {65536, 65536}, {65537, 65536},
		{128 << 10, 32 << 10}, {128<<10 + 1, 32 << 10}, {1 << 20, 1 << 20},
	} {
		p := text(c.n)
		got, _ := unmasked(t, AppendMessage(nil, []byte(p), c.limit, &keys))
		if want := fragments(Text, p, c.limit); got != want {
			t.Errorf("a message of %d bytes in frames of %d is not as it should be: it begins with %.20q, want %.20q", c.n, c.limit, got, want)
		}
	}
}

func TestAppendControl(t *testing.T) {
	var keys MaskKeys
	for _, op := range []Opcode{Close, Ping, Pong} {
		for n := range maxControl + 1 {
			p := text(n)
			if got, _ := unmasked(t, AppendControl(nil, op, []byte(p), &keys)); got != frame(finBit|byte(op), p) {
				t.Errorf("opcode %d with %d bytes is %q", op, n, got)
			}
		}
	}
}

func TestAppendClose(t *testing.T) {
	var keys MaskKeys
	for _, code := range []int{1000, 1001, 1002, 1007, 1009, 3000, 4999} {
		if got, _ := unmasked(t, AppendClose(nil, code, &keys)); got != frame(finClose, closing(uint16(code), "")) {
			t.Errorf("code %d is %q", code, got)
		}
	}
	if got, _ := unmasked(t, AppendClose(nil, 1005, &keys)); got != "\x88\x00" {
		t.Errorf("no code is %q", got)
	}
}

func TestWritersPanic(t *testing.T) {
	var keys MaskKeys
	for name, f := range map[string]func(){
		"a payload of 126 bytes": func() { AppendControl(nil, Ping, make([]byte, 126), &keys) },
		"text":                   func() { AppendControl(nil, Text, nil, &keys) },
		"a continuation":         func() { AppendControl(nil, Continuation, nil, &keys) },
		"no room":                func() { AppendMessage(nil, nil, 0, &keys) },
		"less than no room":      func() { AppendMessage(nil, nil, -1, &keys) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestAppendInto shows that the functions append: what is in the buffer stays, memory is used if
// there is enough, and the payload of the caller is not changed.
func TestAppendInto(t *testing.T) {
	var keys MaskKeys
	p := []byte(strings.Repeat("payload ", 15))
	original := string(p)
	for name, f := range map[string]func(buf []byte) []byte{
		"AppendMessage": func(buf []byte) []byte { return AppendMessage(buf, p, 50, &keys) },
		"AppendControl": func(buf []byte) []byte { return AppendControl(buf, Pong, p, &keys) },
		"AppendClose":   func(buf []byte) []byte { return AppendClose(buf, 1000, &keys) },
	} {
		room := make([]byte, 6, 1000)
		copy(room, "before")
		got := f(room)
		if string(got[:6]) != "before" || &got[0] != &room[0] || string(p) != original {
			t.Errorf("%s: the buffer begins with %q, the payload is %q", name, got[:6], p)
		}
		if got := f([]byte("before")); string(got[:6]) != "before" {
			t.Errorf("%s: the buffer that had to grow begins with %q", name, got[:6])
		}
		if n := testing.AllocsPerRun(100, func() { f(room) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestMask(t *testing.T) {
	// The example of RFC 6455, section 5.7.
	p := appendFrame(nil, finText, []byte("Hello"), 0x3d21fa37)
	if want := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; string(p) != want {
		t.Errorf("%x, want %x", p, want)
	}
	for n := range 100 {
		for at := range 8 { // in memory that is aligned or not
			got := append(make([]byte, at, 200), text(n)...)[at:]
			mask(got, 0x04030201)
			want := []byte(text(n))
			for i := range want {
				want[i] ^= byte(i%4 + 1)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %x, want %x", n, got, want)
			}
		}
	}
}

// TestMaskKeys shows that no key comes twice, within a block or across blocks.
func TestMaskKeys(t *testing.T) {
	var keys MaskKeys
	seen := make(map[uint32]bool)
	var b []byte
	for i := range 200 {
		b = AppendMessage(b, fmt.Append(nil, i), 2, &keys)
	}
	_, used := unmasked(t, b)
	for _, key := range used {
		seen[key] = true
	}
	// By chance, two of 300 are equal in one of 100,000 runs; three pairs never are.
	if len(used) != 300 || len(seen) < len(used)-2 || seen[0] {
		t.Errorf("%d frames have %d keys", len(used), len(seen))
	}
	var others MaskKeys
	if others.next() == used[0] && others.next() == used[1] {
		t.Error("two clients use the same keys")
	}
}
