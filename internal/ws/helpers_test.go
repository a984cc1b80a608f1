package ws

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// First bytes of frames.
const (
	finText   = finBit | byte(Text)
	finBinary = finBit | byte(Binary)
	finCont   = finBit | byte(Continuation)
	finClose  = finBit | byte(Close)
	finPing   = finBit | byte(Ping)
	finPong   = finBit | byte(Pong)
)

// frame returns a frame as a server sends it. first is its first byte.
func frame(first byte, payload string) string {
	return header(first, len(payload)) + payload
}

// header returns the header of a frame with a payload of n bytes.
func header(first byte, n int) string {
	switch {
	case n < 126:
		return string([]byte{first, byte(n)})
	case n < 1<<16:
		return string(binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(n)))
	default:
		return string(binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(n)))
	}
}

// fragments returns a message in frames of at most n bytes of payload.
func fragments(op Opcode, payload string, n int) string {
	var b strings.Builder
	for len(payload) > n {
		b.WriteString(frame(byte(op), payload[:n]))
		op, payload = Continuation, payload[n:]
	}
	b.WriteString(frame(finBit|byte(op), payload))
	return b.String()
}

// closing returns the payload of a close frame.
func closing(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// show describes a message in one line: `text "Hello"`, `close 1000 "bye"`, `binary of 65536`,
// `text of 5, too large`.
func show(m Message) string {
	name, ok := map[Opcode]string{Text: "text", Binary: "binary", Close: "close", Ping: "ping", Pong: "pong"}[m.Op]
	switch {
	case !ok:
		return fmt.Sprintf("opcode %d", m.Op)
	case m.Data == nil:
		return fmt.Sprintf("%s of %d, too large", name, m.Size)
	case m.Size != int64(len(m.Data)):
		return fmt.Sprintf("%s of %d with a size of %d", name, len(m.Data), m.Size)
	case m.Op == Close:
		code, reason, err := ParseClose(m.Data)
		if err != nil {
			return fmt.Sprintf("close refused with %s", outcome(err))
		}
		return fmt.Sprintf("close %d %q", code, reason)
	case m.Size > 200:
		return fmt.Sprintf("%s of %d", name, m.Size)
	default:
		return fmt.Sprintf("%s %q", name, m.Data)
	}
}

// outcome describes the end of a stream in one word: the close code of a breach, or the error.
func outcome(err error) string {
	if e, ok := err.(*Error); ok {
		return fmt.Sprint(e.Code)
	}
	return err.Error()
}

// A source gives out in by reads of at most the lengths that sizes returns, and counts.
type source struct {
	in    string
	size  func() int // nil: all that there is room for
	used  int        // bytes given out
	reads int
}

func (s *source) Read(p []byte) (int, error) {
	s.reads++
	n := len(p)
	if s.size != nil {
		n = min(n, s.size())
	}
	n = copy(p[:n], s.in[s.used:])
	if n == 0 {
		return 0, io.EOF
	}
	s.used += n
	return n, nil
}

// readAll returns what comes out of src: the messages, and why they end.
func readAll(src io.Reader, limit int) (messages []string, err error) {
	var r Reader
	r.Init(src, limit)
	defer r.Release()
	for {
		m, err := r.Next()
		if err != nil {
			if m.Op != 0 || m.Data != nil || m.Size != 0 {
				return append(messages, fmt.Sprintf("%v with an error", m)), err
			}
			if _, again := r.Next(); again != err {
				return append(messages, fmt.Sprintf("%v after an error", again)), err
			}
			return messages, err
		}
		messages = append(messages, show(m))
	}
}

// A row of a conformance table: bytes in, what comes out.
type row struct {
	name string // the section of RFC 6455, or the family of the Autobahn cases
	in   string
	want string // the messages as show describes them, with "; " between them
	// end is "EOF", "unexpected EOF", "1002" or "1007". In the last two cases, the last byte of in
	// is the one that breaks a rule: the Reader must not want to see another.
	end   string
	limit int // 0: 128 KiB
}

const nothing = -1 // as the limit of a row: only an empty message fits

// check reads a row whole, byte by byte, in two pieces at each place where it is short, and in
// pieces of random sizes.
func (c row) check(t *testing.T) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		broken := c.end == "1002" || c.end == "1007"
		all := c.in
		if broken {
			all += frame(finText, "what follows a breach is not looked at")
		}
		c.try(t, "whole", strings.NewReader(all))
		if len(all) <= 1<<20 {
			c.try(t, "whole, with the error", iotest.DataErrReader(strings.NewReader(all)))
			one := &source{in: all, size: func() int { return 1 }}
			c.try(t, "byte by byte", one)
			if broken && one.used != len(c.in) {
				t.Errorf("the breach was reported after %d bytes, want %d", one.used, len(c.in))
			}
		}
		if len(c.in) <= 300 {
			for i := range len(all) {
				c.try(t, fmt.Sprint("in two pieces at ", i),
					io.MultiReader(strings.NewReader(all[:i]), strings.NewReader(all[i:])))
			}
		}
		for seed, most := range []int{20 << 10, 300, 40, 3} {
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			c.try(t, fmt.Sprint("in pieces of up to ", most),
				&source{in: all, size: func() int { return 1 + random.IntN(most) }})
			if len(all) > 1<<20 {
				break // the smaller pieces take long, and are no different
			}
		}
	})
}

func (c row) try(t *testing.T, how string, src io.Reader) {
	t.Helper()
	limit := c.limit
	switch limit {
	case 0:
		limit = 128 << 10
	case nothing:
		limit = 0
	}
	messages, err := readAll(src, limit)
	if got := strings.Join(messages, "; "); got != c.want || outcome(err) != c.end {
		t.Fatalf("%s: %s and %v, want %s and %s", how, got, err, c.want, c.end)
	}
}

// text returns n bytes of text with characters of all lengths.
func text(n int) string {
	const pattern = "aé€𝄞 "
	s := strings.Repeat(pattern, n/len(pattern))
	return s + strings.Repeat("x", n-len(s))
}

func readOne(t *testing.T, r *Reader) Message {
	t.Helper()
	m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return m
}
