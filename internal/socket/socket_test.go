package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// loopback returns both ends of a connection of the kernel.
func loopback(t *testing.T) (conn, peer *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialled.Close()
		accepted.Close()
	})
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// wrapper wraps a connection and shows it.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

// hidden wraps a connection and does not show it.
type hidden struct{ net.Conn }

// endless wraps itself, and counts how often it was looked into.
type endless struct {
	net.Conn
	looks int
}

func (e *endless) NetConn() net.Conn {
	if e.looks++; e.looks > 1000 {
		panic("the search does not end")
	}
	return e
}

// The socket is found below whatever shows it.
func TestUnder(t *testing.T) {
	conn, _ := loopback(t)
	pipe, _ := net.Pipe()
	for name, test := range map[string]struct {
		conn net.Conn
		want *net.TCPConn
	}{
		"itself":         {conn, conn},
		"TLS":            {tls.Client(conn, &tls.Config{}), conn},
		"wrapped":        {wrapper{conn}, conn},
		"wrapped twice":  {wrapper{tls.Client(conn, &tls.Config{})}, conn},
		"hidden":         {hidden{conn}, nil},
		"hidden below":   {wrapper{hidden{conn}}, nil},
		"not TCP":        {pipe, nil},
		"wraps nothing":  {wrapper{}, nil},
		"wraps itself":   {&endless{}, nil},
		"no connection":  {nil, nil},
		"TLS of no conn": {tls.Client(nil, &tls.Config{}), nil},
	} {
		if got := Under(test.conn); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// A reset is no end: the peer learns that the connection is broken, whatever it has received.
func TestReset(t *testing.T) {
	conn, peer := loopback(t)
	if _, err := conn.Write([]byte("message")); err != nil {
		t.Fatal(err)
	}
	Of(conn).Reset()
	if _, err := conn.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("a write after the reset: %v", err)
	}
	if _, err := io.Copy(io.Discard, peer); err == nil {
		t.Error("the peer has read up to a proper end")
	}
}

// A connection with a bound carries all that is written. One that is closed, or was never open, is
// left alone.
func TestBoundedConnectionWorks(t *testing.T) {
	conn, peer := loopback(t)
	BoundSendBuffer(conn)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	go func() {
		conn.Write(sent)
		conn.Close()
	}()
	if received, err := io.ReadAll(peer); err != nil || !bytes.Equal(received, sent) {
		t.Errorf("%d bytes of %d, %v", len(received), len(sent), err)
	}
	peer.Close()
	BoundSendBuffer(peer)
	BoundSendBuffer(new(net.TCPConn))
}
