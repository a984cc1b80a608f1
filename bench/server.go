package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// The server of all scenarios. It works on raw frames, so that the clients are
// what is measured. Its paths:
//
//	/sink       reads and forgets
//	/flood/N    sends text messages of N bytes as fast as they are taken
//	/echo       sends each frame back; those below 126 bytes only
//	/idle       answers PINGs
//	/scale      answers PING and CLOSE, and ends when /cut is asked for
//	/cut        resets the connections of /scale, and ends
//	/counts     sends the idleCounts so far, as JSON, and ends
//	/far/RTT    a path with a round trip of RTT, see far
//
// The others are handled as far as the scenarios need it: PINGs are answered
// by /idle and /far alone.

// runServer serves until its standard input ends, as it does when the process
// that started it has gone.
func runServer() error {
	plain, secure, err := listen()
	if err != nil {
		return err
	}
	go accept(plain)
	go accept(secure)
	fmt.Println(plain.Addr(), secure.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func listen() (plain, secure net.Listener, err error) {
	certificate, err := newCertificate()
	if err != nil {
		return nil, nil, err
	}
	if plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, nil, err
	}
	secure, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		plain.Close()
		return nil, nil, err
	}
	return plain, secure, nil
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
	var path, arg string
	upgrader := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			path, arg, _ = strings.Cut(strings.TrimPrefix(string(uri), "/"), "/")
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if path == "far" {
				time.Sleep(parseRTT(arg))
			}
			return nil, nil
		},
	}
	if _, err := upgrader.Upgrade(conn); err != nil {
		return
	}
	switch path {
	case "sink":
		io.CopyBuffer(io.Discard, struct{ io.Reader }{conn}, make([]byte, 256<<10))
	case "flood":
		flood(conn, arg)
	case "echo":
		echo(conn)
	case "idle":
		// Ten thousand clients that end must leave no ports in TIME_WAIT.
		reset(conn)
		answerPings(conn)
		ended.Add(1)
	case "scale":
		scaled.serve(conn)
	case "cut":
		scaled.cut()
	case "counts":
		data, err := json.Marshal(idleCounts{Pings: pings.Load(), Ended: ended.Load()})
		if err == nil {
			ws.WriteFrame(conn, ws.NewTextFrame(data))
		}
	case "far":
		far(conn, parseRTT(arg))
	}
}

// reset makes the closing of conn a TCP reset.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

func flood(conn net.Conn, size string) {
	n, err := strconv.Atoi(size)
	if err != nil {
		return
	}
	frame := ws.MustCompileFrame(ws.NewTextFrame(bytes.Repeat([]byte("x"), n)))
	block := bytes.Repeat(frame, max(1, 128<<10/len(frame)))
	for {
		if _, err := conn.Write(block); err != nil {
			return
		}
	}
}

func echo(conn net.Conn) {
	in := bufio.NewReader(conn)
	buf := make([]byte, 2+smallFrame)
	for {
		op, p, err := readFrame(in, buf[2:])
		if err != nil {
			return
		}
		buf[0], buf[1] = 0x80|byte(op), byte(len(p))
		if _, err := conn.Write(buf[:2+len(p)]); err != nil {
			return
		}
	}
}

// smallFrame is the most that a frame carries whose header has two bytes.
const smallFrame = 125

// readFrame reads a frame into buf, which has room for a small one, and unmasks
// it.
func readFrame(r io.Reader, buf []byte) (op ws.OpCode, p []byte, err error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return 0, nil, err
	}
	if h.Length > int64(len(buf)) {
		return 0, nil, fmt.Errorf("a frame of %d bytes, expected at most %d", h.Length, len(buf))
	}
	p = buf[:h.Length]
	if _, err := io.ReadFull(r, p); err != nil {
		return 0, nil, err
	}
	if h.Masked {
		ws.Cipher(p, h.Mask, 0)
	}
	return h.OpCode, p, nil
}

// idleCounts are what the server has seen of idle clients.
type idleCounts struct {
	Pings int64 // answered
	Ended int64 // connections
}

var pings, ended atomic.Int64

func answerPings(conn net.Conn) {
	buf := make([]byte, smallFrame)
	for {
		op, p, err := readFrame(conn, buf)
		if err != nil {
			return
		}
		if op == ws.OpPing {
			pings.Add(1)
			if ws.WriteFrame(conn, ws.NewPongFrame(p)) != nil {
				return
			}
		}
	}
}

// scaled are the connections of /scale.
var scaled cuttable

type cuttable struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

func (c *cuttable) serve(conn net.Conn) {
	c.mu.Lock()
	if c.conns == nil {
		c.conns = make(map[net.Conn]bool)
	}
	c.conns[conn] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
	}()
	buf := make([]byte, smallFrame)
	for {
		op, p, err := readFrame(conn, buf)
		if err != nil {
			return
		}
		switch op {
		case ws.OpPing:
			ws.WriteFrame(conn, ws.NewPongFrame(p))
		case ws.OpClose:
			ws.WriteFrame(conn, ws.NewCloseFrame(p))
			return
		}
	}
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		reset(conn)
		conn.Close()
	}
}

// far is a server that answers each frame one round trip after it has come, as
// the handshake was answered: so far away, but for TCP's own handshake. It
// greets whoever connects. The message "cut" resets the connection at once;
// other messages get no answer.
func far(conn net.Conn, rtt time.Duration) {
	if ws.WriteFrame(conn, ws.NewTextFrame([]byte("hello"))) != nil {
		return
	}
	type answer struct {
		due   time.Time
		frame []byte
	}
	answers := make(chan answer, 64)
	defer close(answers)
	go func() {
		for a := range answers {
			time.Sleep(time.Until(a.due))
			conn.Write(a.frame) // when it fails, so does the reading
		}
	}()
	in := bufio.NewReader(conn)
	buf := make([]byte, smallFrame)
	for {
		op, p, err := readFrame(in, buf)
		if err != nil {
			return
		}
		due := time.Now().Add(rtt)
		switch op {
		case ws.OpPing:
			answers <- answer{due, ws.MustCompileFrame(ws.NewPongFrame(p))}
		case ws.OpClose:
			answers <- answer{due, ws.MustCompileFrame(ws.NewCloseFrame(p))}
		case ws.OpText:
			if bytes.Equal(p, cut) {
				reset(conn)
				return
			}
		}
	}
}

// parseRTT reads the argument of /far; what cannot be read is no delay.
func parseRTT(arg string) time.Duration {
	d, _ := time.ParseDuration(arg)
	return d
}

// newCertificate makes one that no client verifies: what is measured is the
// cost of records, not of trust.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(longest)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
