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
//	/counts     sends the idleCounts so far, as JSON, and ends
//	/far/RTT    a path with a round trip of RTT, see far
//
// The others are handled as far as the scenarios need it: PINGs are answered
// by /idle and /far alone.

// runServer serves until its standard input ends, as it does when the process
// that started it has gone.
func runServer() error {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	secure := tls.NewListener(below, &tls.Config{Certificates: []tls.Certificate{certificate}})
	go accept(plain)
	go accept(secure)
	fmt.Println(plain.Addr(), secure.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
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
	out := make([]byte, 0, 128)
	for {
		h, err := ws.ReadHeader(in)
		if err != nil || h.Length > 125 {
			return
		}
		out = append(out[:0], 0x80|byte(h.OpCode), byte(h.Length))
		out = out[:2+h.Length]
		if _, err := io.ReadFull(in, out[2:]); err != nil {
			return
		}
		ws.Cipher(out[2:], h.Mask, 0)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// idleCounts are what the server has seen of idle clients.
type idleCounts struct {
	Pings int64 // answered
	Ended int64 // connections
}

var pings, ended atomic.Int64

func answerPings(conn net.Conn) {
	for {
		f, err := ws.ReadFrame(conn)
		if err != nil {
			return
		}
		if f.Header.OpCode == ws.OpPing {
			pings.Add(1)
			if ws.WriteFrame(conn, ws.NewPongFrame(ws.UnmaskFrameInPlace(f).Payload)) != nil {
				return
			}
		}
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
	for {
		f, err := ws.ReadFrame(in)
		if err != nil {
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		switch f.Header.OpCode {
		case ws.OpPing:
			answers <- answer{time.Now().Add(rtt), ws.MustCompileFrame(ws.NewPongFrame(f.Payload))}
		case ws.OpClose:
			answers <- answer{time.Now().Add(rtt), ws.MustCompileFrame(ws.NewCloseFrame(f.Payload))}
		case ws.OpText:
			if string(f.Payload) == "cut" {
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
