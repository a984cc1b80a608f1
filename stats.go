package apigws

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of a client. Counters count from Dial on and never go
// back.
type Stats struct {
	State      State
	Since      time.Time     // when State was entered
	Generation int           // of the current or last connection
	Opened     time.Time     // when the current connection was opened; zero when there is none
	RTT        time.Duration // between the last PONG and its PING; 0 before the first

	Connects      int64 // handshakes that led to a connection
	Refused       int64 // handshakes refused by the gateway or $connect, with a status other than 101
	ConnectErrors int64 // handshakes without a valid answer, or with a failing Prepare or OnConnect
	Rotations     int64 // connections renewed while the old one was open

	// Connections that broke, by cause.
	LostClosed  int64 // with a close frame of the gateway
	LostTimeout int64 // without a PONG, or with a write that timed out
	LostNetwork int64 // by any other failure

	Pings             int64 // PINGs sent
	Pongs             int64 // PONGs received that answered one
	KeepaliveMessages int64 // sent for Keepalive.Message

	MessagesSent     int64 // those sent again, and for Keepalive.Message, included
	BytesSent        int64 // their payload
	MessagesReceived int64 // those kept from Read included
	BytesReceived    int64 // their payload
	MessagesResent   int64 // after a break, with Options.Resend

	// Unconfirmed counts the messages whose Write returned nil and whose
	// connection then broke before a PONG confirmed them: they may be lost.
	// With Options.Resend only those that the gateway refused.
	Unconfirmed int64

	Unread   int // messages received that wait for Read
	Unproven int // messages written that wait for a PONG
}

// counters are the part of Stats that is counted as it happens.
type counters struct {
	rtt                                     atomic.Int64
	connects, refused, connectErrors        atomic.Int64
	rotations                               atomic.Int64
	lostClosed, lostTimeout, lostNetwork    atomic.Int64
	pings, pongs, keepaliveMessages         atomic.Int64
	messagesSent, bytesSent, messagesResent atomic.Int64
	messagesReceived, bytesReceived         atomic.Int64
	unconfirmed                             atomic.Int64
}

func (n *counters) sent(bytes int) {
	n.messagesSent.Add(1)
	n.bytesSent.Add(int64(bytes))
}

func (n *counters) received(bytes int64) {
	n.messagesReceived.Add(1)
	n.bytesReceived.Add(bytes)
}

func (n *counters) pong(rtt time.Duration) {
	n.pongs.Add(1)
	n.rtt.Store(int64(rtt))
}

// Stats returns a snapshot. It may be called at any time, also after Close.
func (c *Client) Stats() Stats {
	n := &c.counters
	s := Stats{
		RTT:               time.Duration(n.rtt.Load()),
		Connects:          n.connects.Load(),
		Refused:           n.refused.Load(),
		ConnectErrors:     n.connectErrors.Load(),
		Rotations:         n.rotations.Load(),
		LostClosed:        n.lostClosed.Load(),
		LostTimeout:       n.lostTimeout.Load(),
		LostNetwork:       n.lostNetwork.Load(),
		Pings:             n.pings.Load(),
		Pongs:             n.pongs.Load(),
		KeepaliveMessages: n.keepaliveMessages.Load(),
		MessagesSent:      n.messagesSent.Load(),
		BytesSent:         n.bytesSent.Load(),
		MessagesReceived:  n.messagesReceived.Load(),
		BytesReceived:     n.bytesReceived.Load(),
		MessagesResent:    n.messagesResent.Load(),
		Unconfirmed:       n.unconfirmed.Load(),
		Unread:            c.inbox.len(),
	}
	c.mu.Lock()
	s.State, s.Since, s.Generation = c.state, c.since, c.generation
	c.mu.Unlock()
	if conn := c.current.Load(); conn != nil {
		s.Opened = conn.opened
		s.Unproven = int(conn.wire.unproven())
	}
	if c.window != nil {
		s.Unproven = c.window.len()
	}
	return s
}
