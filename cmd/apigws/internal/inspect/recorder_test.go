package inspect

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func connect(r *Recorder, n int) string {
	id := fmt.Sprint("conn", n)
	r.Record(Event{Kind: Connect, Conn: id, IP: "127.0.0.1", UserAgent: "test"})
	return id
}

func TestRecorderCounts(t *testing.T) {
	r := NewRecorder()
	id := connect(r, 1)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.Record(Event{Kind: Message, Conn: id, Route: "chat", Data: []byte("hello"), Time: at})
	r.Record(Event{Kind: Push, Conn: id, Data: []byte("hi"), Time: at.Add(time.Second)})
	r.Record(Event{Kind: Failed, Conn: id, Data: []byte("no"), Time: at.Add(2 * time.Second)})
	r.Record(Event{Kind: Ping, Conn: id, Time: at.Add(3 * time.Second)})
	r.Record(Event{Kind: Connect, Conn: id}) // a second one changes nothing
	r.Record(Event{Kind: Refused, Code: 403})
	r.Record(Event{Kind: Message, Conn: "unknown", Data: []byte("x")})

	c, lines, ok := r.Connection(id, 0)
	if !ok || !c.Open || c.In != 1 || c.Out != 2 || c.BytesIn != 5 || c.BytesOut != 4 || c.Pings != 1 ||
		c.IP != "127.0.0.1" || c.UserAgent != "test" || c.Number != 1 || !c.LastAt.Equal(at.Add(3*time.Second)) {
		t.Errorf("connection: %+v", c)
	}
	if len(lines) != 3 || lines[0].Text != "hello" || lines[0].Route != "chat" || lines[1].Kind != Push || lines[2].Text != "no" {
		t.Errorf("lines: %+v", lines)
	}
	if want := (Counts{Connects: 1, Open: 1, Refused: 1, Messages: 2, Pushes: 2, Failed: 1}); r.Counts() != want {
		t.Errorf("counts: %+v, want %+v", r.Counts(), want)
	}
	if _, lines, _ := r.Connection(id, lines[0].Seq); len(lines) != 2 || lines[0].Text != "hi" {
		t.Errorf("lines after the first: %+v", lines)
	}

	r.Record(Event{Kind: Close, Conn: id, Code: 1001, Text: "Going away"})
	r.Record(Event{Kind: Close, Conn: id, Code: 1006}) // a second one changes nothing
	if c, _, _ := r.Connection(id, 0); c.Open || c.Code != 1001 || c.Reason != "Going away" || c.EndedAt == nil {
		t.Errorf("closed: %+v", c)
	}
	if n := r.Counts().Open; n != 0 {
		t.Errorf("%d open", n)
	}
	if _, _, ok := r.Connection("unknown", 0); ok {
		t.Error("a connection that never was")
	}
}

func TestRecorderEvents(t *testing.T) {
	r := NewRecorder()
	const all = 2*mostEvents + 10
	for n := range all {
		r.Record(Event{Kind: Note, Text: fmt.Sprint(n + 1)})
	}
	events, missing := r.Events(0, all)
	if len(events) != mostEvents || missing != all-mostEvents {
		t.Fatalf("%d events, %d missing", len(events), missing)
	}
	for i, e := range events {
		if want := uint64(all - mostEvents + 1 + i); e.Seq != want || e.Text != fmt.Sprint(want) || e.Time.IsZero() {
			t.Fatalf("event %d: %+v", want, e)
		}
	}
	if events, missing := r.Events(all-3, 2); len(events) != 2 || missing != 1 || events[1].Seq != all {
		t.Errorf("the last two of three: %+v, %d missing", events, missing)
	}
	if events, missing := r.Events(all, 10); len(events) != 0 || events == nil || missing != 0 {
		t.Errorf("after the last: %v, %d missing", events, missing)
	}
}

// What is kept of many, long messages on many connections is bounded.
func TestRecorderBounds(t *testing.T) {
	r := NewRecorder()
	long := []byte(strings.Repeat("é", 64<<10)) // 128 KiB
	for n := range mostEnded + 100 {
		id := connect(r, n)
		for range 3 {
			r.Record(Event{Kind: Message, Conn: id, Data: long})
		}
		r.Record(Event{Kind: Close, Conn: id, Code: 1000})
	}
	conns, _ := r.Connections(0)
	if len(conns) != mostEnded || conns[0].Number != 101 {
		t.Fatalf("%d connections, the first is number %d", len(conns), conns[0].Number)
	}
	total := 0
	for _, c := range conns {
		_, lines, _ := r.Connection(c.ID, 0)
		if len(lines) == 0 {
			t.Fatal("a connection without its last message")
		}
		for _, l := range lines {
			total += len(l.Text)
			if !l.Cut || l.Bytes != len(long) || len(l.Text) > lineBytes || strings.ToValidUTF8(l.Text, "") != l.Text {
				t.Fatalf("a line of %d bytes of %d, cut: %v", len(l.Text), l.Bytes, l.Cut)
			}
		}
	}
	if total > mostBytes+mostEnded*lineBytes {
		t.Errorf("%d bytes of text", total)
	}
	id := connect(r, 1)
	for range 3 * mostLines {
		r.Record(Event{Kind: Push, Conn: id, Data: []byte("x")})
	}
	if _, lines, _ := r.Connection(id, 0); len(lines) != mostLines {
		t.Errorf("%d lines", len(lines))
	}
	if events, _ := r.Events(0, mostEvents); len(events[0].Text) > previewSize {
		t.Errorf("an event with %d bytes of text", len(events[0].Text))
	}
}

func TestRecorderChanges(t *testing.T) {
	r := NewRecorder()
	a, b := connect(r, 1), connect(r, 2)
	conns, version := r.Connections(0)
	if len(conns) != 2 {
		t.Fatalf("%d connections", len(conns))
	}
	if conns, v := r.Connections(version); len(conns) != 0 || v != version {
		t.Errorf("without a change: %v", conns)
	}
	r.Record(Event{Kind: Message, Conn: b, Data: []byte("x")})
	if conns, version = r.Connections(version); len(conns) != 1 || conns[0].ID != b {
		t.Errorf("after a message: %v", conns)
	}
	r.set(a, func(c *Conn) { c.Frozen = true })
	r.set("unknown", func(*Conn) { t.Error("unknown") })
	if conns, _ := r.Connections(version); len(conns) != 1 || !conns[0].Frozen {
		t.Errorf("after an action: %v", conns)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := NewRecorder()
	var ids []string
	for n := range 1000 {
		ids = append(ids, connect(r, n))
	}
	data := []byte(`{"action":"sendmessage","data":"hello"}`)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		r.Record(Event{Kind: Message, Conn: ids[n%len(ids)], Route: "sendmessage", Data: data})
	}
}
