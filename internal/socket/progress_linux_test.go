//go:build linux && !386 && !s390x

package socket

import (
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// What counts is that more is acknowledged than before, not that an acknowledgement comes. Up to
// the mark is what was written before it.
func TestProgress(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var p progress
	for _, test := range []struct {
		at      int // in milliseconds
		acked   uint64
		lastAck uint32 // ms before
		mark    uint64 // set after that; 0: not
		behind  uint32 // segments acknowledged so far that came behind a gap
		want    session.Progress
	}{
		{0, 0, 100, 0, 0, session.Progress{}},
		{1000, 50, 100, 0, 0, session.Progress{Last: at(900)}},
		{2000, 50, 10, 0, 0, session.Progress{Last: at(900)}}, // an acknowledgement of nothing new
		{3000, 50, 10, 100, 0, session.Progress{Last: at(900), Pending: true}},
		{4000, 60, 10, 0, 0, session.Progress{Last: at(3990), Marked: at(3990), Pending: true}},
		{5000, 60, 10, 0, 0, session.Progress{Last: at(3990), Marked: at(3990), Pending: true}},
		{5500, 60, 10, 0, 1, session.Progress{Last: at(5490), Marked: at(5490), Pending: true}},
		{5700, 60, 10, 0, 1, session.Progress{Last: at(5490), Marked: at(5490), Pending: true}}, // nothing new
		{6000, 99, 0, 0, 1, session.Progress{Last: at(6000), Marked: at(6000), Pending: true}},
		{7000, 100, 5, 0, 1, session.Progress{Last: at(6995), Marked: at(6995)}},
		{8000, 150, 5, 0, 1, session.Progress{Last: at(7995), Marked: at(6995)}}, // beyond the mark
		{8500, 150, 5, 0, 2, session.Progress{Last: at(8495), Marked: at(6995)}},
		{9000, 160, 5, 160, 2, session.Progress{Last: at(8995)}}, // nothing is before it
	} {
		info := tcpInfo{TCPInfo: syscall.TCPInfo{Last_ack_recv: test.lastAck}, acked: test.acked, delivered: test.behind}
		p.note(&info, at(test.at))
		if test.mark > 0 {
			p.setMark(test.mark)
		}
		if got := p.report(); got != test.want {
			t.Errorf("at %dms: %+v, want %+v", test.at, got, test.want)
		}
	}
}

// The kernel of a peer that does not read takes some bytes, and not those behind them, however
// many acknowledgements come. When the peer reads, they arrive.
func TestMark(t *testing.T) {
	conn, peer := loopback(t)
	tcp := Of(conn)
	const before = 64 << 20 // more than the kernels hold
	var reading sync.WaitGroup
	reading.Go(func() { io.CopyN(io.Discard, peer, before) })
	if _, err := conn.Write(make([]byte, before)); err != nil {
		t.Fatal(err)
	}
	reading.Wait()
	tcp.Mark()
	for deadline := time.Now().Add(time.Minute); tcp.Progress().Pending; {
		if time.Now().After(deadline) {
			t.Fatalf("the peer has read everything: %+v", tcp.Progress())
		}
	}

	if info, err := tcp.info(); err != nil || info.delivered == 0 {
		t.Errorf("%d segments acknowledged, %v", info.delivered, err)
	}

	stuff(t, conn)
	tcp.Mark()
	if p := tcp.Progress(); !p.Pending {
		t.Errorf("the peer does not read: %+v", p)
	}
	begun := time.Now()
	reading.Go(func() { io.Copy(io.Discard, peer) })
	// Bytes behind the mark, so that there are acknowledgements of those, too.
	for deadline := begun.Add(time.Minute); tcp.Progress().Pending; {
		if _, err := conn.Write(make([]byte, 1000)); err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v", tcp.Progress(), err)
		}
	}
	const exactly = 10 * time.Millisecond // the kernel counts in milliseconds, or in jiffies
	if p := tcp.Progress(); p.Marked.Before(begun.Add(-exactly)) || p.Last.Before(p.Marked) {
		t.Errorf("since %v: %+v", begun, p)
	}

	conn.Close()
	reading.Wait()
	closed := tcp.Progress()
	tcp.Mark()
	if p := tcp.Progress(); p != closed {
		t.Errorf("closed: %+v, want %+v as before", p, closed)
	}
}

// Progress and Mark may be called concurrently.
func TestConcurrentProgress(t *testing.T) {
	conn, peer := loopback(t)
	tcp := Of(conn)
	var all sync.WaitGroup
	all.Go(func() { io.CopyN(io.Discard, peer, 100) })
	for range 10 {
		all.Go(func() { conn.Write(make([]byte, 10)) })
		all.Go(tcp.Mark)
		all.Go(func() { tcp.Progress() })
	}
	all.Wait()
}
