package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// The server knows four paths:
//
//	/sink       reads and forgets
//	/flood/N    sends messages of N bytes as fast as they are taken
//	/echo       sends every message back; a message "cut" resets the connection
//	/idle       answers PINGs
//
// It works on raw frames, so that the clients are the bottleneck.

func runServer() error {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	secure := tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{certificate}})
	go accept(tcp)
	go accept(secure)
	fmt.Println(tcp.Addr(), secure.Addr())
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent ends
	return err
}

func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	var path string
	up := ws.Upgrader{OnRequest: func(uri []byte) error {
		path = string(uri)
		return nil
	}}
	if _, err := up.Upgrade(conn); err != nil {
		return
	}
	switch {
	case path == "/sink":
		io.CopyBuffer(io.Discard, struct{ io.Reader }{conn}, make([]byte, 256<<10))
	case path == "/echo":
		echo(conn)
	case path == "/idle":
		answerPings(conn)
	case strings.HasPrefix(path, "/flood/"):
		n, err := strconv.Atoi(strings.TrimPrefix(path, "/flood/"))
		if err == nil {
			flood(conn, n)
		}
	}
}

func flood(conn net.Conn, n int) {
	frame := ws.MustCompileFrame(ws.NewTextFrame(bytes.Repeat([]byte("x"), n)))
	block := bytes.Repeat(frame, max(1, 128<<10/len(frame)))
	for {
		if _, err := conn.Write(block); err != nil {
			return
		}
	}
}

func echo(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 16<<10)
	var out []byte
	for {
		h, err := ws.ReadHeader(in)
		if err != nil {
			return
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		ws.Cipher(payload, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing:
			out = append(out[:0], ws.MustCompileFrame(ws.NewPongFrame(payload))...)
		case ws.OpClose:
			out = append(out[:0], ws.MustCompileFrame(ws.NewCloseFrame(payload))...)
		default:
			if string(payload) == "cut" {
				if tcp, ok := conn.(*net.TCPConn); ok {
					tcp.SetLinger(0)
				}
				return
			}
			out = append(out[:0], 0x81, byte(len(payload))) // all are below 126 bytes
			out = append(out, payload...)
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func answerPings(conn net.Conn) {
	for {
		f, err := ws.ReadFrame(conn)
		if err != nil {
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		switch f.Header.OpCode {
		case ws.OpPing:
			if ws.WriteFrame(conn, ws.NewPongFrame(f.Payload)) != nil {
				return
			}
		case ws.OpClose:
			ws.WriteFrame(conn, ws.NewCloseFrame(f.Payload))
			return
		}
	}
}

// newCertificate makes one that no client verifies: what is measured is the
// cost of records, not of trust.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// A server is the other process.
type server struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	tcp, tls string
}

func startServer() (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-server")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, stdin: stdin}
	if _, err := fmt.Fscan(stdout, &s.tcp, &s.tls); err != nil {
		s.stop()
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

func (s *server) url(transport string) string {
	if transport == "TLS" {
		return "wss://" + s.tls
	}
	return "ws://" + s.tcp
}

func (s *server) stop() {
	s.stdin.Close()
	s.cmd.Wait()
}
