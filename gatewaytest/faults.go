package gatewaytest

import "time"

// Faults are what goes wrong on a connection. The zero value is a sound connection.
// Server.SetFaults gives them to the connections accepted from then on, Conn.SetFaults to one that
// is open. Further faults are calls: Conn.Drop, Conn.Freeze, Conn.SendRaw, Server.Refuse,
// Server.Hold.
//
// Bytes are those of WebSocket frames: headers count, the handshake does not, and with TLS it is
// the plain text. They are counted from the moment the faults are set, that is from the end of the
// handshake for those of the Server.
type Faults struct {
	// CutIn resets the connection once that many bytes have come in from the client. What they
	// complete is still received; what the client wrote beyond them succeeded, and is lost, as on a
	// real network. 0: never.
	CutIn int64

	// CutOut resets the connection once that many bytes have gone out to the client, which can read
	// those and no more. 0: never.
	CutOut int64

	// RateIn and RateOut are the speed of the line in bytes a second. A client that writes faster
	// than RateIn finds its buffers full. 0: no limit.
	RateIn, RateOut int

	// Latency delays every frame that the gateway sends, without changing their order or how many
	// can be under way.
	Latency time.Duration

	// PushDelay delays messages only: PONGs, the close frame and whatever else the gateway sends
	// overtake them, and a message that is overtaken by the close frame is lost.
	PushDelay time.Duration

	// PushCopies is how many times a message is sent again after the first. -1: it is not sent at
	// all.
	PushCopies int
}
