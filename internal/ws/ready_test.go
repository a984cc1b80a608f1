package ws

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// Ready says whether Next would have to wait. A source that has nothing is read again later.
func TestReady(t *testing.T) {
	var r Reader
	src := &fitful{parts: []string{"", frame(finText, "a") + frame(finPing, ""), "", "", frame(finText, "b")}}
	r.Init(src, 100)
	defer r.Release()
	for i, want := range []struct {
		ready bool
		next  string
	}{
		{false, ""},
		{true, `text "a"`},
		{true, `ping ""`}, // it is in the buffer
		{false, ""},
		{false, ""},
		{true, `text "b"`},
		{true, "EOF"}, // there is an error for Next to return
		{true, "EOF"},
	} {
		if ready := r.Ready(); ready != want.ready {
			t.Fatalf("%d: ready: %v, want %v", i, ready, want.ready)
		}
		if !want.ready {
			continue
		}
		got := ""
		if m, err := r.Next(); err != nil {
			got = err.Error()
		} else {
			got = show(m)
		}
		if got != want.next {
			t.Errorf("%d: %s, want %s", i, got, want.next)
		}
	}
}

// A fitful source brings one part after another; an empty one stands for nothing at the moment.
type fitful struct{ parts []string }

func (f *fitful) Read(p []byte) (int, error) {
	if len(f.parts) == 0 {
		return 0, io.EOF
	}
	part := f.parts[0]
	f.parts = f.parts[1:]
	if part == "" {
		return 0, fmt.Errorf("wrapped: %w", os.ErrDeadlineExceeded)
	}
	return copy(p, part), nil
}

// bytesAndTimeout brings bytes together with an error, as a tls.Conn does when part of an alert
// follows the data.
type bytesAndTimeout struct{ calls int }

func (s *bytesAndTimeout) Read(p []byte) (int, error) {
	switch s.calls++; s.calls {
	case 1:
		return copy(p, frame(finText, "a")), os.ErrDeadlineExceeded
	case 2:
		return copy(p, frame(finText, "b")), nil
	}
	return 0, io.EOF
}

// A source that brings bytes and has no more at the moment is read again later, too.
func TestReadyWithBytesAndTimeout(t *testing.T) {
	var r Reader
	r.Init(&bytesAndTimeout{}, 100)
	defer r.Release()
	if !r.Ready() {
		t.Fatal("nothing is there")
	}
	for _, want := range []string{`text "a"`, `text "b"`} {
		if m, err := r.Next(); err != nil || show(m) != want {
			t.Errorf("%v, %v; want %s", m, err, want)
		}
	}
}

// While there is nothing, no large buffer is kept.
func TestReadyGivesTheLargeBufferBack(t *testing.T) {
	var r Reader
	all := frame(finPing, strings.Repeat("x", smallBuf-4)) + frame(finPong, "") // fills the small one
	r.Init(&fitful{parts: []string{all, "", frame(finText, "a")}}, 100)
	defer r.Release()
	for r.Ready() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if r.large != nil {
		t.Error("keeps 64 KiB")
	}
	if m := readOne(t, &r); show(m) != `text "a"` {
		t.Errorf("%s", show(m))
	}
}
