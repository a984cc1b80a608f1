package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// A stub is the net.Conn of a client without kernel, server and goroutine: what the client writes
// makes what it reads next. It accepts the handshake, answers PING and CLOSE, and forgets the rest.
// Each Write but those of the handshake must hold whole frames. It has no deadlines.
type stub struct {
	forgetful bool        // does not even look at frames
	closed    func(*stub) // called by Close, if not nil; with no lock held

	mu       sync.Mutex
	request  []byte // of the handshake, as far as it has come; nil once it is answered
	upgraded bool
	out      []byte        // what the client has yet to read
	ready    chan struct{} // has a token when out or err has changed
	err      error         // what Read returns once out is empty
}

func newStub() *stub { return &stub{ready: make(chan struct{}, 1)} }

func (s *stub) Read(p []byte) (int, error) {
	for {
		s.mu.Lock()
		n, err := copy(p, s.out), s.err
		if s.out = s.out[n:]; len(s.out) == 0 {
			s.out = nil
		}
		s.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case err != nil:
			return 0, err
		}
		<-s.ready
	}
}

func (s *stub) Write(p []byte) (int, error) {
	if s.forgetful && s.upgraded { // by one goroutine only
		return len(p), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, io.ErrClosedPipe
	}
	if !s.upgraded {
		s.request = append(s.request, p...)
		if bytes.HasSuffix(s.request, []byte("\r\n\r\n")) {
			s.out = acceptance(s.request)
			s.request, s.upgraded = nil, true
			s.wake()
		}
		return len(p), nil
	}
	return len(p), s.answer(p)
}

// answer looks at the frames of a write.
func (s *stub) answer(p []byte) error {
	in := bytes.NewReader(p)
	for in.Len() > 0 {
		h, err := ws.ReadHeader(in)
		if err != nil {
			return err
		}
		at := len(p) - in.Len()
		if h.OpCode == ws.OpPing || h.OpCode == ws.OpClose {
			payload := bytes.Clone(p[at : at+int(h.Length)])
			ws.Cipher(payload, h.Mask, 0)
			reply := ws.NewPongFrame(payload)
			if h.OpCode == ws.OpClose {
				reply = ws.NewCloseFrame(payload)
				s.err = io.EOF // the server closes first
			}
			s.out = append(s.out, ws.MustCompileFrame(reply)...)
			s.wake()
		}
		in.Seek(h.Length, io.SeekCurrent)
	}
	return nil
}

// wake is called with mu held.
func (s *stub) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// acceptance answers a handshake.
func acceptance(request []byte) []byte {
	const header = "sec-websocket-key: "
	key := request[bytes.Index(bytes.ToLower(request), []byte(header))+len(header):]
	key = key[:bytes.IndexByte(key, '\r')]
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
}

// end makes Read fail, as a reset does.
func (s *stub) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake()
}

func (s *stub) Close() error {
	s.end(net.ErrClosed)
	if s.closed != nil {
		s.closed(s)
	}
	return nil
}

func (s *stub) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (s *stub) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (s *stub) SetDeadline(time.Time) error      { return nil }
func (s *stub) SetReadDeadline(time.Time) error  { return nil }
func (s *stub) SetWriteDeadline(time.Time) error { return nil }
