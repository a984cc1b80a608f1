//go:build unix

package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/redact"
)

// awaiting calls AwaitInput on a goroutine of its own.
func awaiting(tcp *TCP) <-chan error {
	c := make(chan error, 1)
	go func() { c <- tcp.AwaitInput() }()
	return c
}

// untilWaiting returns when a call of AwaitInput waits.
func untilWaiting(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		for goroutine := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(goroutine, "[IO wait]") && strings.Contains(goroutine, ".AwaitInput(") {
				return
			}
		}
	}
	t.Fatal("AwaitInput does not wait")
}

// returned is what awaiting brings in time.
func returned(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(time.Minute):
		t.Fatal("AwaitInput waits for something that is there")
		return nil
	}
}

// AwaitInput returns when a Read would not wait, before it is called or afterwards, and leaves
// everything to the Read.
func TestAwaitInput(t *testing.T) {
	for name, test := range map[string]struct {
		event func(conn, peer *net.TCPConn)
		read  error // of the Read after the event
	}{
		"bytes": {func(_, peer *net.TCPConn) { peer.Write([]byte("x")) }, nil},
		"end":   {func(_, peer *net.TCPConn) { peer.CloseWrite() }, io.EOF},
		"close": {func(conn, _ *net.TCPConn) { conn.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []bool{true, false} {
				conn, peer := loopback(t)
				tcp := OfTLS13(conn)
				var result <-chan error
				if before {
					test.event(conn, peer)
					result = awaiting(tcp)
				} else {
					result = awaiting(tcp)
					untilWaiting(t)
					test.event(conn, peer)
				}
				if err := returned(t, result); err != nil {
					t.Errorf("before %v: %v", before, err)
				}
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, test.read) {
					t.Errorf("before %v: Read: %v, want %v", before, err, test.read)
				}
			}
		})
	}
}

// The kernel tells of a reset only once: to AwaitInput or to the Read after it.
func TestAwaitReset(t *testing.T) {
	for _, before := range []bool{true, false} {
		conn, peer := loopback(t)
		tcp := OfTLS13(conn)
		reset := func() {
			peer.SetLinger(0)
			peer.Close()
		}
		var result <-chan error
		if before {
			reset()
			result = awaiting(tcp)
		} else {
			result = awaiting(tcp)
			untilWaiting(t)
			reset()
		}
		err := returned(t, result)
		if err == nil {
			_, err = redact.Stream(conn).Read(make([]byte, 1))
		} else if !before {
			t.Errorf("AwaitInput takes the error from the Read: %v", err)
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("before %v: %v, want ECONNRESET", before, err)
		}
		// It looks the same, whoever finds it.
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Net != "tcp" || op.Addr.String() != peer.LocalAddr().String() {
			t.Errorf("before %v: %#v, want what a Read returns", before, err)
		}
		if want := fmt.Sprintf("read tcp %v: connection reset by peer", peer.LocalAddr()); err.Error() != want {
			t.Errorf("before %v: %v, want %s", before, err, want)
		}
	}
}

// A nonblocking Read of TLS brings what TLS holds and nothing else, and does no harm to what comes
// later.
func TestSetNonblocking(t *testing.T) {
	for name, test := range map[string]func(*tlsPair){
		"nothing there": func(p *tlsPair) {
			p.nonblocking(true)
			p.read("", os.ErrDeadlineExceeded)
			p.nonblocking(false)
			p.bring(p.records("one"))
			p.read("one", nil)
		},
		"half a record": func(p *tlsPair) {
			record := p.records("one")
			p.bring(record[:10])
			p.nonblocking(true)
			p.read("", os.ErrDeadlineExceeded)
			p.nonblocking(false)
			p.bring(record[10:])
			p.read("one", nil)
		},
		"half a record in TLS": func(p *tlsPair) {
			records := p.records("one", "two")
			p.bring(records[:len(records)-1])
			p.read("one", nil)
			p.nonblocking(true)
			p.read("", os.ErrDeadlineExceeded)
			p.nonblocking(false)
			p.bring(records[len(records)-1:])
			p.read("two", nil)
		},
		"a record in TLS": func(p *tlsPair) {
			p.bring(p.records("one", "two"))
			p.read("one", nil)
			p.nonblocking(true)
			p.read("two", nil)
			p.read("", os.ErrDeadlineExceeded)
			p.nonblocking(false)
		},
		"a record in the socket": func(p *tlsPair) {
			p.bring(p.records("one"))
			p.nonblocking(true)
			p.read("", os.ErrDeadlineExceeded)
			p.nonblocking(false)
			p.read("one", nil)
		},
		"Write": func(p *tlsPair) {
			p.nonblocking(true)
			if _, err := p.client.Write([]byte("x")); err != nil {
				p.t.Errorf("Write: %v", err)
			}
		},
		"closed": func(p *tlsPair) {
			p.nonblocking(true)
			p.client.Close()
			if p.tcp.SetNonblocking(true) || p.tcp.SetNonblocking(false) {
				p.t.Error("it works on a closed connection")
			}
		},
		"not TLS": func(p *tlsPair) {
			if Of(p.tcp.TCPConn).SetNonblocking(true) {
				p.t.Error("it works for a stream that is not TLS")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, peer := loopback(t)
			p := &tlsPair{t: t, tcp: OfTLS13(conn), peer: peer}
			p.client, p.server = tlsOver(t, conn, peer, &p.sent)
			test(p)
		})
	}
}

// A tlsPair is both ends of a TLS connection.
type tlsPair struct {
	t              *testing.T
	client, server *tls.Conn
	tcp            *TCP         // under client
	peer           net.Conn     // the other end of tcp
	sent           bytes.Buffer // what server has written
}

// records returns texts as the server puts them into records.
func (p *tlsPair) records(texts ...string) []byte {
	for _, text := range texts {
		p.server.Write([]byte(text))
	}
	return bytes.Clone(p.sent.Next(p.sent.Len()))
}

// bring sends bytes to the client, and waits until they are there.
func (p *tlsPair) bring(b []byte) {
	p.t.Helper()
	if _, err := p.peer.Write(b); err != nil {
		p.t.Fatal(err)
	}
	if err := p.tcp.AwaitInput(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tlsPair) read(want string, wantErr error) {
	p.t.Helper()
	b := make([]byte, 100)
	n, err := p.client.Read(b)
	if string(b[:n]) != want || !errors.Is(err, wantErr) {
		p.t.Fatalf("Read = %q, %v; want %q, %v", b[:n], err, want, wantErr)
	}
}

func (p *tlsPair) nonblocking(on bool) {
	p.t.Helper()
	if !p.tcp.SetNonblocking(on) {
		p.t.Fatal("SetNonblocking does not work")
	}
}

// tlsOver performs a handshake between both ends of a connection. What the server writes after that
// goes to sent instead.
func tlsOver(t *testing.T, conn, peer net.Conn, sent *bytes.Buffer) (client, server *tls.Conn) {
	t.Helper()
	identity := httptest.NewUnstartedServer(nil)
	identity.StartTLS()
	defer identity.Close()
	trust := identity.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	kept := &keptWrites{Conn: peer}
	client, server = tls.Client(conn, trust), tls.Server(kept, identity.TLS)
	result := make(chan error, 1)
	go func() { result <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-result); err != nil {
		t.Fatal(err)
	}
	kept.to = sent
	return client, server
}

// keptWrites is a connection whose writes go to a buffer once there is one.
type keptWrites struct {
	net.Conn
	to *bytes.Buffer
}

func (k *keptWrites) Write(p []byte) (int, error) {
	if k.to != nil {
		return k.to.Write(p)
	}
	return k.Conn.Write(p)
}
