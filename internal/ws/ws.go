// Package ws reads and writes the frames of RFC 6455 as a client does: it reads unmasked frames
// and writes masked ones, without extensions. It needs an io.Reader and byte slices, and knows of
// no connection, goroutine or clock. The handshake is not its business.
//
// Framing is written here rather than taken from a library for two reasons. What the client
// promises about a message (it left whole; a PONG acknowledges it; no frame is larger than the
// gateway allows) depends on where each frame begins and ends in what the socket took. And the
// memory of an idle client is mostly the buffers of its connection: coder/websocket, which makes
// the handshake, holds two of 4 KiB and takes three locks for each message. The module bench
// measures the difference.
package ws

// An Opcode says what a frame is (RFC 6455, section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines. All others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether op is the opcode of a control frame.
func (op Opcode) Control() bool { return op >= Close }

// The bits of a frame's first two bytes that are no part of a number.
const finBit, reservedBits, maskBit = 0x80, 0x70, 0x80

// maxControl is the longest payload of a control frame.
const maxControl = 125

// An Error is a breach of RFC 6455 by the peer.
type Error struct {
	// Code is the close code that answers the breach: 1002 (protocol error), or 1007 (invalid
	// payload) for text that is not UTF-8.
	Code int
	// Problem says what the peer did, in a few words.
	Problem string
}

// Error says that the peer broke the protocol, and how.
func (e *Error) Error() string { return "breach of RFC 6455: " + e.Problem }

// The close codes of RFC 6455, section 7.4.1, that this package deals with.
const (
	protocolError  = 1002
	noStatus       = 1005 // stands for a close frame without a code
	invalidPayload = 1007
)

func breach(problem string) *Error    { return &Error{protocolError, problem} }
func malformed(problem string) *Error { return &Error{invalidPayload, problem} }
