package session

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/queue"
)

// beginTCP starts a session over a connection of the kernel, and returns its peer's end.
func beginTCP(t *testing.T, cfg *Config) (*Session, *net.TCPConn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	socket := conn.(*net.TCPConn)
	s := New(cfg, socket, lingerless{socket}, queue.New())
	t.Cleanup(func() {
		s.Abort(errEnded)
		s.Wait()
		peer.Close()
	})
	return s, peer.(*net.TCPConn)
}

// lingerless is the Socket of a connection of the kernel.
type lingerless struct{ *net.TCPConn }

func (l lingerless) Reset()                   { l.SetLinger(0) }
func (l lingerless) Mark()                    {}
func (l lingerless) Progress() Progress       { return Progress{} }
func (l lingerless) SetNonblocking(bool) bool { return false }
func (l lingerless) AwaitInput() error        { return nil }

// A session that is given up sends nothing more: what its kernel still holds is dropped, and the
// peer's connection is reset.
func TestAbortDropsWhatTheKernelHolds(t *testing.T) {
	cfg := config()
	cfg.WriteTimeout = time.Second
	s, peer := beginTCP(t, cfg)
	limit := time.AfterFunc(time.Minute, func() { peer.Close() }) // a write that is stuck fails
	defer limit.Stop()
	taken := 0
	p := bytes.Repeat([]byte("x"), 32<<10)
	for {
		// The peer reads nothing: a write is stuck before long, and ends the session.
		if _, err := s.Send(context.Background(), p, Fresh); err != nil {
			break
		}
		taken += len(p)
	}
	if s.Cause() != ErrWriteTimeout {
		t.Fatal(s.Cause())
	}
	s.Wait()
	n, err := io.Copy(io.Discard, peer)
	if err == nil {
		t.Error("the peer reads EOF, want a reset")
	}
	if n >= int64(taken) {
		t.Errorf("the peer gets %d bytes of %d that the kernel had taken", n, taken)
	}
}

// After a close handshake the peer gets all that was written, and no reset: whether it closes first
// or not, whatever it still sends, and whoever calls Abort.
func TestHandshakeIsNoReset(t *testing.T) {
	for _, test := range []struct {
		name string
		shut bool
		more []byte
	}{
		{"ours", true, nil},
		{"the peer's", false, nil},
		{"with more behind it", true, make([]byte, 256<<10)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, peer := beginTCP(t, config())
			for range 10 {
				if _, err := s.Send(context.Background(), make([]byte, 1000), Fresh); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := peer.Write(append(closeFrame(1000, ""), test.more...)); err != nil {
				t.Fatal(err)
			}
			if test.shut {
				s.Shut(time.Minute)
			}
			<-s.Dead()
			s.Abort(errEnded)
			s.Wait()
			n, err := io.Copy(io.Discard, peer)
			if err != nil {
				t.Errorf("the peer reads %v, want EOF", err)
			}
			if n < 10000 {
				t.Errorf("the peer gets %d bytes", n)
			}
		})
	}
}
