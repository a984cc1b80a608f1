package ws

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// FuzzReader holds the Reader against gobwas/ws: for any bytes, the same messages, and the same
// end.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "\x81\x05Hello", "\x01\x03Hel\x80\x02lo", "\x89\x05Hello\x8a\x00", "\x88\x02\x03\xe8",
		"\x01\x02\xe1\xbd\x89\x00\x80\x01\xb9", "\x01\x02\xe1\xbd\x80\x01a", "\x82\x01\xff", "\x81\x01\xff",
		"\x81\x7e\x00\x7d", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "\x81\x7f\x80", "\x81\x81", "\xc1\x00", "\x83\x00",
		"\x80\x00", "\x09\x00", "\x89\x7e\x00\x7e", "\x01\x00\x01\x00",
		frame(finText, text(300)) + fragments(Text, text(300), 50),
		frame(finBinary, text(70_000)),
	} {
		f.Add([]byte(seed), 200, uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, limit int, seed uint64) {
		limit = max(0, min(limit, 1<<20)) // so much memory may be asked for at once
		want, wantEnd := reference(in, limit)

		random := rand.New(rand.NewPCG(seed, seed))
		for _, size := range []func() int{
			nil,
			func() int { return 1 },
			func() int { return 1 + random.IntN(1+int(seed%300)) },
		} {
			got, err := readAll(&source{in: string(in), size: size}, limit)
			if !slices.Equal(got, want) || outcome(err) != wantEnd {
				t.Fatalf("%q with a limit of %d is %q and %v, want %q and %s", in, limit, got, err, want, wantEnd)
			}
		}
	})
}

// reference returns what readAll should. gobwas/ws reads and checks the headers; it differs in two
// ways:
//
//   - It accepts lengths that are not in their shortest form.
//   - It checks a header when all of it is there. So a header that has been cut off is completed
//     here, in the way that does no harm.
//
// It leaves it to the caller to put messages together and to check text.
func reference(in []byte, limit int) (messages []string, end string) {
	state := ws.StateClientSide
	var op ws.OpCode
	var message []byte
	stream := bytes.NewReader(in)
	for {
		rest := in[len(in)-stream.Len():]
		if len(rest) == 0 {
			if state.Fragmented() {
				return messages, "unexpected EOF"
			}
			return messages, "EOF"
		}
		completed := bytes.Clone(rest[:min(len(rest), ws.MaxHeaderSize)])
		if len(rest) == 1 {
			completed = append(completed, 1) // the length that every frame may have
		}
		completed = append(completed, bytes.Repeat([]byte{0x7f}, ws.MaxHeaderSize)...)
		frame := bytes.NewReader(completed)
		h, err := ws.ReadHeader(frame)
		size := len(completed) - frame.Len()
		if err == nil {
			err = ws.CheckHeader(h, state)
		}
		if err != nil || size != ws.HeaderSize(h) {
			return messages, "1002"
		}
		if size > len(rest) {
			return messages, "unexpected EOF"
		}
		stream.Seek(int64(size), io.SeekCurrent)
		payload := rest[size:min(int64(len(rest)), int64(size)+min(h.Length, 1<<40))]
		stream.Seek(int64(len(payload)), io.SeekCurrent)
		missing := int64(len(payload)) < h.Length

		if h.OpCode.IsControl() {
			if missing {
				return messages, "unexpected EOF"
			}
			messages = append(messages, show(Message{Opcode(h.OpCode), append([]byte{}, payload...), h.Length}))
			continue
		}
		if h.OpCode != ws.OpContinuation {
			op, message = h.OpCode, []byte{}
		}
		message = append(message, payload...)
		if op == ws.OpText && !viable(lastCharacter(message)) || op == ws.OpText && h.Fin && !missing && !utf8.Valid(message) {
			return messages, "1007"
		}
		if missing {
			return messages, "unexpected EOF"
		}
		if !h.Fin {
			state = state.Set(ws.StateFragmented)
			continue
		}
		state = state.Clear(ws.StateFragmented)
		m := Message{Opcode(op), message, int64(len(message))}
		if len(message) > limit {
			m.Data = nil
		}
		messages = append(messages, show(m))
	}
}

// lastCharacter returns the end of p that viable has to look at: what is left without the longest
// beginning that is UTF-8, if that is short. If it is long, p is not viable, and neither is its
// end.
func lastCharacter(p []byte) []byte {
	for len(p) > 0 {
		_, size := utf8.DecodeRune(p)
		if !utf8.Valid(p[:size]) {
			return p[:min(len(p), 8)]
		}
		p = p[size:]
	}
	return p
}

// FuzzAppendMessage has frames read back by gobwas/ws: the payload is whole, and no frame is larger
// than allowed.
func FuzzAppendMessage(f *testing.F) {
	f.Add(5, 3, []byte("hello"))
	f.Add(0, 1, []byte{})
	f.Add(125, 125, []byte("x"))
	f.Add(126, 126, []byte("x"))
	f.Add(1<<16-1, 1<<16, []byte("abc"))
	f.Add(1<<16, 1<<16, []byte("abc"))
	f.Add(128<<10, 32<<10, []byte("é"))
	f.Add(128<<10, 32<<10+1, []byte("é"))
	f.Fuzz(func(t *testing.T, size, limit int, pattern []byte) {
		if size < 0 || size > 200<<10 || limit < 1 || size/limit > 100 {
			return // takes long, and shows no more
		}
		p := bytes.Repeat(append(bytes.Clone(pattern), 0), size/(len(pattern)+1)+1)[:size]
		original := bytes.Clone(p)
		var keys MaskKeys
		stream := bytes.NewBuffer(AppendMessage([]byte("prefix"), p, limit, &keys))
		if !bytes.Equal(p, original) {
			t.Fatal("the caller's bytes were changed")
		}
		if got := string(stream.Next(6)); got != "prefix" {
			t.Fatalf("what was in the buffer is now %q", got)
		}
		var got []byte
		state := ws.StateServerSide
		for fin := false; !fin; state = state.Set(ws.StateFragmented) {
			before := stream.Len()
			h, err := ws.ReadHeader(stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := ws.CheckHeader(h, state); err != nil {
				t.Fatal(err)
			}
			fin = h.Fin
			if !state.Fragmented() && h.OpCode != ws.OpText || h.Length > int64(limit) || !fin && h.Length != int64(limit) ||
				before-stream.Len() != ws.HeaderSize(h) {
				t.Fatalf("frame %+v with a limit of %d and a header of %d bytes", h, limit, before-stream.Len())
			}
			payload := bytes.Clone(stream.Next(int(h.Length)))
			ws.Cipher(payload, h.Mask, 0)
			got = append(got, payload...)
		}
		if !bytes.Equal(got, original) || stream.Len() != 0 {
			t.Fatalf("%d bytes came back of %d, and %d more", len(got), len(original), stream.Len())
		}
	})
}

// FuzzAppendControl has control frames read back by gobwas/ws.
func FuzzAppendControl(f *testing.F) {
	f.Add(byte(8), []byte("\x03\xe8bye"))
	f.Add(byte(9), []byte{})
	f.Add(byte(10), bytes.Repeat([]byte{0xff}, 125))
	f.Fuzz(func(t *testing.T, op byte, payload []byte) {
		op = byte(Close) + op%3
		payload = payload[:min(len(payload), 125)]
		var keys MaskKeys
		stream := bytes.NewReader(AppendControl(nil, Opcode(op), payload, &keys))
		//lint:ignore SA1019 The frames are small.
		got, err := ws.ReadFrame(stream)
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.CheckHeader(got.Header, ws.StateServerSide); err != nil {
			t.Fatal(err)
		}
		got = ws.UnmaskFrame(got)
		if byte(got.Header.OpCode) != op || !bytes.Equal(got.Payload, payload) || stream.Len() != 0 {
			t.Fatalf("%q became %+v, and %d bytes more", payload, got, stream.Len())
		}
	})
}

// FuzzParseClose holds ParseClose against gobwas/ws, which differs in two ways: it does not know
// the codes that were registered after RFC 6455 (1012 to 1014), and it accepts codes above 4999.
func FuzzParseClose(f *testing.F) {
	for _, seed := range []string{
		"", "\x03", "\x03\xe8", "\x03\xe9Going away", "\x03\xf1Max frame length of 32768 has been exceeded.",
		"\x03\xec", "\x03\xed", "\x03\xee", "\x03\xf4", "\x03\xf5", "\x03\xf7", "\x0f\xa0\xff\xfe", "\x0f\xa0\xe1\xbd", "\x13\x88", "\x00\x00",
		"\x0b\xb8" + strings.Repeat("x", 123),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		code, reason, err := ParseClose(p)
		if err != nil {
			if _, ok := err.(*Error); !ok || code != 0 || reason != "" {
				t.Fatalf("%q is %d, %q and %v", p, code, reason, err)
			}
		}
		if len(p) < 2 {
			if len(p) == 0 && (code != 1005 || reason != "" || err != nil) || len(p) == 1 && outcome(err) != "1002" {
				t.Fatalf("%q is %d, %q and %v", p, code, reason, err)
			}
			return
		}
		want := "1007"
		wantCode, wantReason := ws.ParseCloseFrameData(p)
		asked := wantCode
		if 1012 <= asked && asked <= 1014 {
			asked = 1011
		}
		switch refused := ws.CheckCloseFrameData(asked, wantReason); {
		case refused == nil && asked <= 4999:
			if err != nil || code != int(wantCode) || reason != wantReason {
				t.Fatalf("%q is %d, %q and %v, want %d and %q", p, code, reason, err, wantCode, wantReason)
			}
			var keys MaskKeys
			//lint:ignore SA1019 The frame is small.
			if again := ws.UnmaskFrame(ws.MustReadFrame(bytes.NewReader(AppendClose(nil, code, &keys)))).Payload; !bytes.Equal(again, p[:2]) {
				t.Fatalf("code %d is sent as %q", code, again)
			}
			return
		case refused != ws.ErrProtocolInvalidUTF8 || asked > 4999:
			want = "1002"
		}
		if err == nil || outcome(err) != want {
			t.Fatalf("%q is %d, %q and %v, want %s", p, code, reason, err, want)
		}
	})
}

// FuzzUTF8 holds the check of text in pieces against the check of the whole. cuts has the lengths
// of the pieces.
func FuzzUTF8(f *testing.F) {
	for _, seed := range []string{"", "ASCII", "κόσμε", "𝄞𝄞", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x90\x80", "\xc0\xaf", "a\x80", "\xe1\xbd!"} {
		f.Add([]byte(seed), []byte{1, 2, 0, 1, 1, 1})
	}
	f.Fuzz(func(t *testing.T, p, cuts []byte) {
		var c utf8Check
		for rest := p; ; {
			n := len(rest)
			if len(cuts) > 0 {
				n, cuts = min(n, int(cuts[0])), cuts[1:]
			}
			ok := c.add(rest[:n])
			rest = rest[n:]
			seen := p[:len(p)-len(rest)]
			if want := viable(lastCharacter(seen)); ok != want {
				t.Fatalf("%q: %t, want %t", seen, ok, want)
			}
			if !ok {
				return
			}
			if want := utf8.Valid(seen); c.complete() != want {
				t.Fatalf("%q is complete: %t, want %t", seen, c.complete(), want)
			}
			if len(rest) == 0 {
				return
			}
		}
	})
}
