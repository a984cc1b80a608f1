//go:build linux && !386 && !s390x

package socket

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// When bytes count as on their way.
func TestUnderWay(t *testing.T) {
	const mss = 1448
	for _, test := range []struct {
		what                     string
		unacked, notSent, window uint32
		want                     bool
	}{
		{"idle", 0, 0, 65536, false},
		{"sent", 3, 0, 65536, true},
		{"sent all that the peer has room for", 3, 5000, 0, true},
		{"the peer has no room", 0, 5000, 0, false},
		{"the peer has less room than a segment takes", 0, 5000, mss - 1, false},
		{"about to be sent", 0, 5000, mss, true},
		{"a kernel that tells less", 0, 0, 0, false},
		{"sent, a kernel that tells less", 1, 0, 0, true},
	} {
		info := tcpInfo{
			TCPInfo: syscall.TCPInfo{Unacked: test.unacked, Snd_mss: mss},
			notSent: test.notSent,
			window:  test.window,
		}
		if got := info.underWay(); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

// What counts is that more is acknowledged than before, not that an acknowledgement comes, and that
// bytes were seen on their way.
func TestProgress(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p progress
	for _, test := range []struct {
		at        int // in seconds
		delivered uint32
		lastAck   uint32 // ms before
		unacked   uint32
		ago       time.Duration
		ok        bool
	}{
		{0, 0, 100, 0, 0, false},
		{1, 0, 100, 3, 0, false}, // an old kernel, or nothing was acknowledged yet
		{2, 4, 100, 0, 0, false}, // never seen on its way
		{3, 5, 250, 3, 250 * time.Millisecond, true},
		{4, 5, 1250, 3, 1250 * time.Millisecond, true},
		{5, 5, 10, 3, 2250 * time.Millisecond, true}, // an acknowledgement of nothing new
		{6, 6, 10, 3, 10 * time.Millisecond, true},
		{7, 7, 20, 0, time.Second, true}, // last seen at 6s
		{9, 9, 20, 0, 3 * time.Second, true},
		{10, 9, 1020, 1, 1020 * time.Millisecond, true},
		{11, 3, 0, 1, 0, true}, // the counter has overflowed
	} {
		info := tcpInfo{TCPInfo: syscall.TCPInfo{Unacked: test.unacked, Last_ack_recv: test.lastAck}, delivered: test.delivered}
		ago, ok := p.note(&info, start.Add(time.Duration(test.at)*time.Second))
		if ago != test.ago || ok != test.ok {
			t.Errorf("at %ds: %v, %v, want %v, %v", test.at, ago, ok, test.ago, test.ok)
		}
	}
}

// The kernel counts what was acknowledged, and says when.
func TestDelivered(t *testing.T) {
	conn, peer := loopback(t)
	before, err := Of(conn).info()
	if err != nil {
		t.Fatal(err)
	}
	const messages = 5
	for range messages {
		if _, err := conn.Write([]byte("message")); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		settled(t, conn)
	}
	after := settled(t, conn)
	if n := after.delivered - before.delivered; n != messages {
		t.Errorf("%d segments were acknowledged, want %d", n, messages)
	}
}

// Nothing is under way to a peer that has received everything, nor to one that has no room.
// internal/realnet has a slow path.
func TestNothingUnderWay(t *testing.T) {
	conn, peer := loopback(t)
	if _, err := conn.Write([]byte("message")); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if info := settled(t, conn); info.notSent != 0 || info.window < info.Snd_mss {
		t.Errorf("%d bytes not sent, room for %d, in segments of %d", info.notSent, info.window, info.Snd_mss)
	}

	full, _ := loopback(t)
	stuff(t, full)
	if info := settled(t, full); info.notSent == 0 || info.window >= info.Snd_mss {
		t.Errorf("the peer reads nothing: %d bytes not sent, room for %d", info.notSent, info.window)
	}

	conn.Close()
	if ago, ok := Of(conn).Acknowledged(); ago != 0 || ok {
		t.Errorf("closed: %v, %v", ago, ok)
	}
}

// settled waits until nothing is on its way.
func settled(t *testing.T, conn *net.TCPConn) tcpInfo {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		info, err := Of(conn).info()
		if err != nil {
			t.Fatal(err)
		}
		if !info.underWay() {
			return info
		}
	}
	t.Fatal("bytes are on their way for ever")
	return tcpInfo{}
}
