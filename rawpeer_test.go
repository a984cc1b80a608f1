package apigws_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"sync"

	"github.com/gobwas/ws"
)

// A rawPeer is the transport to a server that answers PINGs and CLOSEs, and leaves it to the client
// to close the stream. When it attacks, it sends its flood on all connections, and takes what is
// written, or not even that.
type rawPeer struct {
	flood peerFlood

	mu        sync.Mutex // guards what follows, and the fields of conns
	changed   sync.Cond
	before    []byte // what is sent together with the next PONG, before it
	attacking bool
	stuck     bool // takes nothing
	conns     []*rawConn
}

func newRawPeer() *rawPeer {
	p := &rawPeer{}
	p.changed.L = &p.mu
	return p
}

// do runs f while nothing happens on any connection.
func (p *rawPeer) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.changed.Broadcast()
}

// attack begins the attack.
func (p *rawPeer) attack(stuck bool) {
	p.do(func() { p.attacking, p.stuck = true, stuck })
}

// RoundTrip is a handshake.
func (p *rawPeer) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn := &rawConn{peer: p, flood: append(p.flood.head, p.flood.frames...), left: 30 << 20}
	p.conns = append(p.conns, conn)
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: conn, Request: req, Header: http.Header{
		"Upgrade":              {"websocket"},
		"Connection":           {"Upgrade"},
		"Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
	}}, nil
}

type rawConn struct {
	peer   *rawPeer
	in     bytes.Buffer // what the client has written, up to a whole frame
	out    bytes.Buffer // PONGs
	flood  []byte       // what comes next of it
	left   int          // of the flood: a client that took everything would never end
	texts  []string     // messages received, each of one frame
	silent bool         // no PING is answered
	pongs  int          // how many PINGs are answered before it is silent; 0: all
	after  []byte       // sent after the next PONG; nothing is taken before the client has read it
	pings  [][]byte     // those not answered
	mutual bool         // Write waits until all that was sent has been read
	broken bool         // Write fails
	polite bool         // closes the stream after a CLOSE
	ended  bool         // the stream is at its end
	closed bool         // by the client
}

// Read waits until there is something, or the connection is closed.
func (c *rawConn) Read(b []byte) (int, error) {
	p := c.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, io.EOF
		case c.out.Len() > 0:
			n, err := c.out.Read(b)
			p.changed.Broadcast()
			return n, err
		case c.ended:
			return 0, io.EOF
		case p.attacking && c.left > 0:
			if len(c.flood) == 0 {
				c.flood = p.flood.frames
			}
			n := copy(b, c.flood)
			c.flood, c.left = c.flood[n:], c.left-n
			return n, nil
		}
		p.changed.Wait()
	}
}

// Write answers PINGs and CLOSEs.
func (c *rawConn) Write(b []byte) (int, error) {
	p := c.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	for !c.closed && (p.attacking && p.stuck || c.mutual && c.out.Len() > 0) {
		p.changed.Wait()
	}
	if c.closed || c.broken {
		return 0, io.ErrClosedPipe
	}
	if p.attacking {
		return len(b), nil
	}
	c.in.Write(b)
	for {
		rest := bytes.NewReader(c.in.Bytes())
		//lint:ignore SA1019 The frames are small.
		frame, err := ws.ReadFrame(rest)
		if err != nil {
			return len(b), nil // the rest of it is still to come
		}
		c.in.Next(c.in.Len() - rest.Len())
		frame = ws.UnmaskFrame(frame)
		switch frame.Header.OpCode {
		case ws.OpPing:
			if c.silent {
				c.pings = append(c.pings, frame.Payload)
				break
			}
			c.out.Write(p.before)
			p.before = nil
			ws.WriteFrame(&c.out, ws.NewPongFrame(frame.Payload))
			if len(c.after) > 0 {
				c.out.Write(c.after)
				c.after, c.mutual = nil, true
			}
			if c.pongs--; c.pongs == 0 {
				c.silent = true
			}
		case ws.OpClose:
			ws.WriteFrame(&c.out, ws.NewCloseFrame(frame.Payload))
			c.ended = c.polite
		case ws.OpText:
			c.texts = append(c.texts, string(frame.Payload))
		}
		p.changed.Broadcast()
	}
}

func (c *rawConn) Close() error {
	p := c.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	c.closed = true
	p.changed.Broadcast()
	return nil
}
