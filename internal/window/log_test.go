package window

import (
	"fmt"
	"slices"
	"testing"
)

// A model is what a Log should hold, as simple as can be: nothing in it is counted, all is looked
// up.
type model struct {
	limit    int
	reserved []int
	kept     []string
	left     int64
	rejected []string
}

func bytesOf(messages []string) (n int) {
	for _, m := range messages {
		n += max(len(m), 64)
	}
	return n
}

func (m *model) used() int {
	n := bytesOf(m.kept)
	for _, r := range m.reserved {
		n += max(r, 64)
	}
	return n
}

func (m *model) fits(n int) bool {
	return len(m.kept)+len(m.reserved) == 0 || m.used()+max(n, 64) <= m.limit
}

// An operation is done to a Log and to its model. ok is false where it must not be called.
type operation struct {
	name string
	do   func(l *Log, m *model) (ok bool)
}

func operations(sizes ...int) []operation {
	ops := []operation{
		{"Acknowledge(0)", func(l *Log, m *model) bool { l.Acknowledge(0); return true }},
		{"Acknowledge(1)", acknowledge(1)},
		{"Acknowledge(2)", acknowledge(2)},
		{"Reject", func(l *Log, m *model) bool {
			if len(m.kept) == 0 {
				return false
			}
			l.Reject()
			m.left++
			m.rejected = append(m.rejected, m.kept[0])
			m.kept = m.kept[1:]
			for len(m.rejected) > 1 && bytesOf(m.rejected) > m.limit {
				m.rejected = m.rejected[1:]
			}
			return true
		}},
		{"Release", func(l *Log, m *model) bool {
			if len(m.reserved) == 0 {
				return false
			}
			l.Release(m.reserved[0])
			m.reserved = m.reserved[1:]
			return true
		}},
		{"Add", func(l *Log, m *model) bool {
			if len(m.reserved) == 0 {
				return false
			}
			p := slices.Repeat([]byte{byte('a' + int(m.left) + len(m.kept))}, m.reserved[0])
			l.Add(p)
			m.reserved = m.reserved[1:]
			m.kept = append(slices.Clip(m.kept), string(p))
			return true
		}},
	}
	for _, n := range sizes {
		ops = append(ops, operation{fmt.Sprintf("Reserve(%d)", n), func(l *Log, m *model) bool {
			if !m.fits(n) {
				return false
			}
			l.Reserve(n)
			m.reserved = append(slices.Clip(m.reserved), n)
			return true
		}})
	}
	return ops
}

func acknowledge(n int) func(l *Log, m *model) bool {
	return func(l *Log, m *model) bool {
		if n > len(m.kept) {
			return false
		}
		l.Acknowledge(n)
		m.left += int64(n)
		m.kept = m.kept[n:]
		return true
	}
}

// check compares all that a Log tells of itself with its model.
func (m *model) check(t *testing.T, path []string, l *Log, sizes []int) {
	t.Helper()
	for _, n := range sizes {
		if l.Fits(n) != m.fits(n) {
			t.Fatalf("%v: Fits(%d) = %v, want %v", path, n, l.Fits(n), m.fits(n))
		}
	}
	if l.Used() != m.used() || l.Left() != m.left || l.Len() != len(m.kept) {
		t.Fatalf("%v: %d bytes, %d left, %d kept, want %d, %d, %d",
			path, l.Used(), l.Left(), l.Len(), m.used(), m.left, len(m.kept))
	}
	if got := texts(l.Kept()); !slices.Equal(got, m.kept) {
		t.Fatalf("%v: kept %q, want %q", path, got, m.kept)
	}
	if got := texts(l.Unconfirmed()); !slices.Equal(got, slices.Concat(m.rejected, m.kept)) {
		t.Fatalf("%v: unconfirmed %q, want %q, %q", path, got, m.rejected, m.kept)
	}
}

func texts(messages [][]byte) []string {
	var all []string
	for _, p := range messages {
		all = append(all, string(p))
	}
	return all
}

// Every sequence of up to 7 operations, with messages of no bytes, of some, and of more than all.
func TestLogExhaustively(t *testing.T) {
	const limit, depth = 200, 7
	sizes := []int{0, 100, 300}
	ops := operations(sizes...)
	sequences := 0
	path := make([]operation, 0, depth)
	var explore func()
	explore = func() {
		l, m := Log{Limit: limit}, model{limit: limit}
		var names []string
		for _, op := range path {
			names = append(names, op.name)
			if !op.do(&l, &m) {
				return // and nothing that begins so
			}
		}
		sequences++
		m.check(t, names, &l, append(sizes, 64, 65, 72, 136, 137, 200, 201))
		if len(path) == depth {
			return
		}
		for _, op := range ops {
			path = append(path, op)
			explore()
			path = path[:len(path)-1]
		}
	}
	explore()
	if sequences < 10_000 {
		t.Errorf("%d sequences, want more", sequences)
	}
	t.Logf("%d sequences", sequences)
}

// Of the messages rejected, the last are kept, as many as fit into the limit, and always the last
// one.
func TestLogRejected(t *testing.T) {
	for name, tc := range map[string]struct {
		limit int
		sizes []int // of the messages rejected, in order
		want  int   // how many of them are kept
	}{
		"none":                     {200, nil, 0},
		"one":                      {200, []int{100}, 1},
		"up to the limit":          {200, []int{100, 100}, 2},
		"beyond the limit":         {200, []int{100, 101}, 1},
		"the first is forgotten":   {200, []int{100, 100, 100}, 2},
		"two are forgotten":        {200, []int{100, 100, 200}, 1},
		"larger than the limit":    {200, []int{100, 300}, 1},
		"behind a larger one":      {200, []int{300, 100}, 1},
		"empty ones, at the limit": {128, []int{0, 0}, 2},
		"empty ones":               {127, []int{0, 0}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := Log{Limit: tc.limit}
			var all []string
			for i, n := range tc.sizes {
				p := slices.Repeat([]byte{byte('a' + i)}, n)
				all = append(all, string(p))
				l.Reserve(n)
				l.Add(p)
				l.Reject()
			}
			if got, want := texts(l.Unconfirmed()), all[len(all)-tc.want:]; !slices.Equal(got, want) {
				t.Errorf("unconfirmed %q, want %q", got, want)
			}
			if l.Used() != 0 {
				t.Errorf("%d bytes used, want 0", l.Used())
			}
		})
	}
}

// What is no longer kept is not held back from the garbage collector.
func TestLogForgets(t *testing.T) {
	l := Log{Limit: 100}
	for range 6 {
		l.Reserve(80)
		l.Add(make([]byte, 80))
	}
	all := l.kept
	l.rejected = make([][]byte, 0, 4)
	rejected := l.rejected[:2]
	l.Acknowledge(2)
	l.Reject()
	l.Reject()
	for i, p := range all {
		if (p == nil) != (i < 4) {
			t.Errorf("message %d of 6: %v", i, p)
		}
	}
	if rejected[0] != nil || rejected[1] == nil {
		t.Errorf("rejected: %v, want only the second", rejected)
	}
}

// To acknowledge, or reject, what is not there is an error of the caller's.
func TestLogPanics(t *testing.T) {
	for name, f := range map[string]func(l *Log){
		"Acknowledge": func(l *Log) { l.Acknowledge(2) },
		"Reject":      func(l *Log) { l.Acknowledge(1); l.Reject() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			l := Log{Limit: 100}
			l.Reserve(1)
			l.Add([]byte("a"))
			f(&l)
		}()
	}
}
