package apigws

import (
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// Stats is a snapshot of a client. Counters count from New on and never go back.
type Stats struct {
	State      State         // what the client does now
	Since      time.Time     // when State was entered
	Generation int           // of the connection in use, or of the last one that was; 0 before the first
	Opened     time.Time     // when the connection in use was made; zero if there is none
	RTT        time.Duration // between the last PONG and its PING; 0 before the first

	Connects      int64 // handshakes that led to a connection
	Refused       int64 // handshakes refused by the gateway or $connect, with a status other than 101
	ConnectErrors int64 // handshakes without a valid answer, or with a failing Prepare or OnConnect
	Rotations     int64 // connections replaced while they were open

	// Connections lost, by cause.
	LostClosed  int64 // with a close frame of the gateway
	LostTimeout int64 // without a PONG, or with a write that timed out
	LostNetwork int64 // by any other failure

	Pings             int64 // PINGs sent
	Pongs             int64 // PONGs received that answered one
	KeepaliveMessages int64 // sent for Keepalive.Message

	MessagesSent     int64 // including those sent again, and those for Keepalive.Message
	BytesSent        int64 // their payload
	MessagesReceived int64 // including those kept from Read
	BytesReceived    int64 // their payload
	MessagesResent   int64 // after the loss of a connection, with Options.Resend

	// Unconfirmed counts the messages whose Write returned nil and whose connection was then lost
	// before a PONG acknowledged them: they may have arrived or not. With Options.Resend only those
	// that the gateway refused.
	Unconfirmed int64

	// Dropped counts the messages that were received and dropped, because nobody reads: the last
	// one of a connection that was lost while 4 MiB waited for Read, and those of a connection
	// whose OnConnect failed while 64 messages or 256 KiB did.
	Dropped int64

	Unread   int // messages received that wait for Read
	Unproven int // messages written that no PONG has acknowledged
}

// counters are the part of Stats that is counted as it happens.
type counters struct {
	session.Traffic                      // what sessions carry
	connects, refused, connectErrors     atomic.Int64
	rotations                            atomic.Int64
	lostClosed, lostTimeout, lostNetwork atomic.Int64
	keepaliveMessages, messagesResent    atomic.Int64
}

// Stats returns a snapshot. It may be called at any time, also after Close.
func (c *Client) Stats() Stats {
	n := &c.counters
	s := Stats{
		RTT:               time.Duration(n.RTT.Load()),
		Connects:          n.connects.Load(),
		Refused:           n.refused.Load(),
		ConnectErrors:     n.connectErrors.Load(),
		Rotations:         n.rotations.Load(),
		LostClosed:        n.lostClosed.Load(),
		LostTimeout:       n.lostTimeout.Load(),
		LostNetwork:       n.lostNetwork.Load(),
		Pings:             n.Pings.Load(),
		Pongs:             n.Pongs.Load(),
		KeepaliveMessages: n.keepaliveMessages.Load(),
		MessagesSent:      n.MessagesSent.Load(),
		BytesSent:         n.BytesSent.Load(),
		MessagesReceived:  n.MessagesReceived.Load(),
		BytesReceived:     n.BytesReceived.Load(),
		MessagesResent:    n.messagesResent.Load(),
		Unconfirmed:       c.losses.all(),
		Dropped:           n.Dropped.Load(),
		Unread:            c.queue.Len(),
	}
	s.State, s.Since, s.Generation = c.status.now()
	if conn := c.line.inUse(); conn != nil {
		s.Opened = conn.session.Opened()
		s.Unproven = int(conn.session.Unacknowledged())
	}
	if w := c.sessions.Window; w != nil {
		s.Unproven = w.Len()
	}
	return s
}
