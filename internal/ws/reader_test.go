package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// A script is a source whose reads do what its functions say, one after another.
type script []func(p []byte) (int, error)

func (s *script) Read(p []byte) (int, error) {
	f := (*s)[0]
	*s = (*s)[1:]
	return f(p)
}

// gives returns a read that brings all of b, and err.
func gives(b string, err error) func(p []byte) (int, error) {
	return func(p []byte) (int, error) {
		n := copy(p, b)
		if n < len(b) {
			panic("the read has too little room")
		}
		return n, err
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	broken := errors.New("broken")
	wrapped := fmt.Errorf("wrapped: %w", io.EOF) // is not the end of the stream
	for _, c := range []struct {
		name  string
		reads script
		want  []string
		err   error
	}{
		{"at once", script{gives("", broken)}, nil, broken},
		{"within a header", script{gives("\x81", nil), gives("", broken)}, nil, broken},
		{"within a message", script{gives("\x81\x05Hel", nil), gives("", broken)}, nil, broken},
		{"between two frames", script{gives("\x01\x02Hi", nil), gives("", broken)}, nil, broken},
		{"with the last bytes", script{gives("\x81\x02Hi", broken)}, []string{`text "Hi"`}, broken},
		{"with too few bytes", script{gives("\x81\x03Hi", broken)}, nil, broken},
		{"with two messages", script{gives("\x81\x02Hi\x89\x00", broken)}, []string{`text "Hi"`, `ping ""`}, broken},
		{"io.EOF with a message", script{gives("\x81\x02Hi", io.EOF)}, []string{`text "Hi"`}, io.EOF},
		{"io.EOF with too few bytes", script{gives("\x81\x03Hi", io.EOF)}, nil, io.ErrUnexpectedEOF},
		{"a wrapped io.EOF", script{gives("\x81\x03Hi", nil), gives("", wrapped)}, nil, wrapped},
		{"a wrapped io.EOF between two messages", script{gives("\x81\x02Hi", nil), gives("", wrapped)}, []string{`text "Hi"`}, wrapped},
		{"nothing, once", script{gives("\x81", nil), gives("", nil), gives("\x02Hi", nil), gives("", io.EOF)}, []string{`text "Hi"`}, io.EOF},
		{"nothing, 99 times", append(slices.Repeat(script{gives("", nil)}, 99), gives("\x81\x00", io.EOF)), []string{`text ""`}, io.EOF},
		{"nothing, 100 times", slices.Repeat(script{gives("", nil)}, 100), nil, io.ErrNoProgress},
		{"nothing where a large payload is", append(script{gives(header(finText, 1<<17), nil)}, slices.Repeat(script{gives("", nil)}, 100)...),
			nil, io.ErrNoProgress},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(&c.reads, 1<<20)
			if !slices.Equal(got, c.want) || err != c.err || len(c.reads) > 0 {
				t.Fatalf("%q and %v, with %d reads left, want %q and %v", got, err, len(c.reads), c.want, c.err)
			}
		})
	}
}

// TestNothingIsReadAfterAnError shows that Next does not touch the source again.
func TestNothingIsReadAfterAnError(t *testing.T) {
	for _, in := range []string{"", "\x81", "\x81\x05Hel", "\x01\x02Hi", "\x83", "\x81\x01\xff", "\x81\x05\xffrest", "\x80" + frame(finText, "more")} {
		src := &source{in: in}
		var r Reader
		r.Init(src, 100)
		_, err := r.Next()
		if err == nil {
			t.Fatalf("%q is no error", in)
		}
		reads := src.reads
		for range 3 {
			if _, again := r.Next(); again != err || src.reads != reads {
				t.Fatalf("%q: %v and then %v, after %d more reads", in, err, again, src.reads-reads)
			}
		}
	}
}

func TestReadsOfTheSource(t *testing.T) {
	many := func(n int) string { return strings.Repeat(frame(finText, text(n)), 100_000/n) }
	for _, c := range []struct {
		name  string
		in    string
		first int // bytes that the first read brings, if not 0
		max   int // reads, with the one that finds the end
	}{
		{"a control frame comes with one read", frame(finPing, strings.Repeat("p", 125)), 0, 2},
		{"a message that fits comes with one read", frame(finText, text(smallBuf-4)), 0, 2},
		{"a message that does not comes with two", frame(finText, text(16<<10)), 0, 3},
		{"so does one whose header comes first", frame(finText, text(10_000)), 4, 3},
		{"and one that is skipped", frame(finText, text(2<<20)), 10, 2 + (2<<20+largeBuf-1)/largeBuf},
		{"a large one comes with as many as the source wants", frame(finText, text(1<<20)), 0, 3},
		{"many small ones come with few", many(50), 0, 2 + (len(many(50))+largeBuf-1)/largeBuf},
		{"so do larger ones", many(5000), 0, 2 + (len(many(5000))+largeBuf-1)/largeBuf},
	} {
		src := &source{in: c.in}
		if c.first > 0 {
			src.size = func() int {
				if src.used == 0 {
					return c.first
				}
				return len(c.in)
			}
		}
		if _, err := readAll(src, 1<<20); err != io.EOF || src.reads > c.max {
			t.Errorf("%s: %d reads, want %d; %v", c.name, src.reads, c.max, err)
		}
	}
}

// TestIdleMemory shows that the large buffer is given back before the Reader waits for a message
// that may be long in coming, and that it is in use while traffic fills it.
func TestIdleMemory(t *testing.T) {
	var r Reader
	var pieces []string
	lent := make(map[int]bool) // whether the large buffer is in use, for each read
	reads := 0
	r.Init(readFunc(func(p []byte) (int, error) {
		lent[reads] = r.large != nil
		reads++
		if len(pieces) == 0 {
			return 0, io.EOF
		}
		n := copy(p, pieces[0])
		if pieces[0] = pieces[0][n:]; pieces[0] == "" {
			pieces = pieces[1:]
		}
		return n, nil
	}), 1<<20)
	defer r.Release()

	for _, n := range []int{0, 1, 60, 100, 124, 125, 126, 127, 128, 129, 200, 300, 1000, 5000, 16000, 16384, 16500, 20000, 40000, 100_000} {
		for _, op := range []byte{finText, finBinary} {
			pieces = append(pieces, frame(op, text(n)))
			readOne(t, &r)
			pieces = append(pieces, frame(finPing, "")) // waits, as an idle connection does
			before := reads
			readOne(t, &r)
			if lent[before] {
				t.Errorf("the large buffer is kept after a message of %d bytes", n)
			}
		}
	}

	pieces = append(pieces, strings.Repeat(frame(finText, "a message"), 10_000))
	before := reads
	for range 10_000 {
		readOne(t, &r)
	}
	for i := before + 1; i < reads; i++ {
		if !lent[i] {
			t.Errorf("read %d of a stream of messages went into the small buffer", i)
		}
	}
	pieces = append(pieces, frame(finText, text(1<<20+1)))
	before = reads
	if m := readOne(t, &r); m.Data != nil || !lent[reads-1] || reads-before > 70 {
		t.Errorf("a message that is skipped took %d reads", reads-before)
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestLargePayloadsAreNotCopied shows that they are read into their place.
func TestLargePayloadsAreNotCopied(t *testing.T) {
	for _, size := range []int{straight, 100_000} {
		var place []byte
		in := strings.NewReader(frame(finBinary, text(size)))
		direct := 0
		var r Reader
		r.Alloc = func(n int) []byte { place = make([]byte, n); return place }
		r.Init(readFunc(func(p []byte) (int, error) {
			n, err := in.Read(p[:min(len(p), 30_000)])
			if place != nil && cap(p) > 0 && n > 0 && bytes.Contains(place, p[:n]) && &place[len(place)-1] == &p[:cap(p)][cap(p)-1] {
				direct += n
			}
			return n, err
		}), 1<<20)
		if m := readOne(t, &r); string(m.Data) != text(size) {
			t.Fatal("the message is not what was sent")
		}
		r.Release()
		if all := len(frame(finBinary, text(size))); direct != all-smallBuf { // what the first read did not bring
			t.Errorf("%d bytes of %d went straight to their place", direct, all)
		}
	}
}

// TestMemory shows how much the messages of a hostile server take: the largest sum of the memory
// that a message holds and that it moves to.
func TestMemory(t *testing.T) {
	const limit = 1000
	for _, c := range []struct {
		name, in string
		// At most so many calls of Alloc, bytes in one call, and in two that follow each other.
		calls, room, max int
	}{
		{"empty", frame(finText, ""), 0, 0, 0},
		{"one frame", frame(finText, text(limit)), 1, limit, limit},
		{"empty frames", "\x01\x00" + strings.Repeat("\x00\x00", 10_000) + "\x80\x00", 0, 0, 0},
		{"empty frames after one", "\x01\x01a" + strings.Repeat("\x00\x00", 10_000) + "\x80\x00", 1, 1, 1},
		{"frames of one byte", fragments(Text, text(limit), 1), 11, limit, 2 * limit},
		{"two frames", fragments(Text, text(limit), limit/2), 2, limit, limit + limit/2},
		{"a last frame of one byte", fragments(Text, text(limit), limit-1), 2, limit, 2*limit - 1},
		{"too large", frame(finText, text(limit+1)), 0, 0, 0},
		{"too large by a second frame", fragments(Text, text(limit+1), limit), 1, limit, limit},
		{"2^62 bytes are announced", "\x81\x7f\x40\x00\x00\x00\x00\x00\x00\x00" + text(100_000), 0, 0, 0},
		{"2^62 bytes are announced by a second frame", "\x01\x01a\x80\x7f\x40\x00\x00\x00\x00\x00\x00\x00" + text(100_000), 1, 1, 1},
		{"small frames after the limit", frame(byte(Text), text(limit+1)) + strings.Repeat("\x00\x01a", 1000) + "\x80\x00", 0, 0, 0},
		{"pings", strings.Repeat(frame(finPing, "ping"), 1000), 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Reader
			last, calls := 0, 0
			r.Alloc = func(n int) []byte {
				if calls++; calls > c.calls || n > c.room || n+last > c.max {
					t.Errorf("call %d asks for %d bytes after %d", calls, n, last)
				}
				last = n
				return make([]byte, n)
			}
			r.Init(strings.NewReader(c.in), limit)
			defer r.Release()
			for {
				m, err := r.Next()
				if err != nil {
					break
				}
				if !m.Op.Control() && m.Data == nil && r.data != nil {
					t.Error("a message that was dropped is kept")
				}
			}
		})
	}
}

// TestAlloc shows what is done with the memory that Alloc returns.
func TestAlloc(t *testing.T) {
	slab := make([]byte, 4096)
	for i := range slab {
		slab[i] = '#' // what was in it does not show
	}
	var asked []int
	var r Reader
	r.Alloc = func(n int) []byte { asked = append(asked, n); return slab[:n] }
	r.Init(strings.NewReader(fragments(Text, "one message in four frames", 7)+frame(finText, "another")), 100)
	defer r.Release()
	if m := readOne(t, &r); string(m.Data) != "one message in four frames" || &m.Data[0] != &slab[0] {
		t.Errorf("%q, or not in the memory that was provided", m.Data)
	}
	if m := readOne(t, &r); string(m.Data) != "another" || &m.Data[0] != &slab[0] {
		t.Errorf("%q, or not in the memory that was provided", m.Data)
	}
	if !slices.Equal(asked, []int{7, 7}) { // there was more than was asked for
		t.Errorf("Alloc was asked for %d", asked)
	}
}

func TestSumOfFrameSizes(t *testing.T) {
	var r Reader
	r.Init(strings.NewReader("\x00\x05"), 100)
	r.op, r.size = Binary, math.MaxInt64-5
	if _, err := r.Next(); err != io.ErrUnexpectedEOF { // the payload is missing, the sum is well
		t.Errorf("2^63-1 bytes: %v", err)
	}
	for _, op := range []Opcode{Text, Binary} {
		r.Init(strings.NewReader("\x00\x06"), 100)
		r.op, r.size = op, math.MaxInt64-5
		_, err := r.Next()
		if outcome(err) != "1002" {
			t.Errorf("2^63 bytes: %v", err)
		}
	}
}

// TestMessagesAreTheCallers shows which memory stays as it is when Next is called again.
func TestMessagesAreTheCallers(t *testing.T) {
	var r Reader
	r.Init(strings.NewReader("\x81\x03one"+"\x89\x03two"+"\x01\x03thr"+"\x8a\x00"+"\x80\x02ee"+strings.Repeat(frame(finBinary, "overwritten"), 5000)), 100)
	defer r.Release()
	one, two := readOne(t, &r), readOne(t, &r)
	if string(two.Data) != "two" || cap(two.Data) != 3 {
		t.Errorf("the ping has %q, with room for %d", two.Data, cap(two.Data))
	}
	readOne(t, &r)
	three := readOne(t, &r)
	for range 5000 {
		readOne(t, &r)
	}
	if string(one.Data) != "one" || string(three.Data) != "three" {
		t.Errorf("the messages have become %q and %q", one.Data, three.Data)
	}
}

func TestRelease(t *testing.T) {
	in := strings.Repeat(frame(finText, "message"), 10_000)
	var r Reader
	r.Release() // before everything
	r.Init(strings.NewReader(in), 100)
	for range 1000 {
		readOne(t, &r)
	}
	if r.large == nil {
		t.Fatal("the large buffer is not in use")
	}
	r.Release()
	r.Release()
	if r.large != nil || r.buf != nil {
		t.Error("the large buffer is still in use")
	}
	if m, err := r.Next(); err != errReleased {
		t.Errorf("%v, %v after Release", m, err)
	}

	r.Alloc = func(n int) []byte { return make([]byte, n, 50) }
	for range 2 { // Init starts over, also in the middle
		r.Init(strings.NewReader("\x01\x02\xe1\xbd"), 100)
		r.Next()
		r.Init(strings.NewReader(in), 100)
		for range 1000 {
			if m := readOne(t, &r); string(m.Data) != "message" || cap(m.Data) != 50 {
				t.Fatalf("%q, with room for %d", m.Data, cap(m.Data))
			}
		}
	}
	_, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	r.fail(io.ErrClosedPipe)
	r.Release()
	if _, err := r.Next(); err != io.ErrClosedPipe {
		t.Errorf("%v after Release, want the error from before", err)
	}
}

func TestAllocations(t *testing.T) {
	const size = unsafe.Sizeof(Reader{})
	if size > 300 {
		t.Errorf("a Reader has %d bytes, want at most 300", size)
	}
	place := make([]byte, 100_000)
	for _, c := range []struct {
		name, in string
		want     float64
	}{
		{"ping", frame(finPing, "ping"), 0},
		{"close", frame(finClose, closing(1000, "reason")), 0},
		{"128 bytes", frame(finText, text(128)), 0},
		{"64 KiB", frame(finText, text(65536)), 0},
		{"64 KiB in frames", fragments(Text, text(65536), 1000), 0},
		{"too large", frame(finText, text(200_000)), 0},
	} {
		in := &loop{in: c.in}
		var r Reader
		r.Alloc = func(n int) []byte { return place[:n] }
		r.Init(in, len(place))
		if got := testing.AllocsPerRun(100, func() { r.Next() }); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
		r.Release()
	}
}

// TestLargeBufferIsShared shows that it is not allocated for each message that needs it.
func TestLargeBufferIsShared(t *testing.T) {
	message := frame(finText, text(5000))
	rest := message
	place := make([]byte, 5000)
	var r Reader
	r.Alloc = func(n int) []byte { return place[:n] }
	r.Init(readFunc(func(p []byte) (int, error) { // a read brings no more than the end of a message
		n := copy(p, rest)
		if rest = rest[n:]; rest == "" {
			rest = message
		}
		return n, nil
	}), len(place))
	if got := testing.AllocsPerRun(100, func() { r.Next() }); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

// A loop is a source that gives out in over and over.
type loop struct {
	in  string
	off int
}

func (l *loop) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], l.in[l.off:])
		n += m
		if l.off += m; l.off == len(l.in) {
			l.off = 0
		}
	}
	return n, nil
}

func TestError(t *testing.T) {
	_, err := readAll(strings.NewReader("\x83"), 100)
	if got, want := err.Error(), "breach of RFC 6455: unknown opcode 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
