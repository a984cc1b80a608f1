package realnet

import (
	"time"

	"github.com/apigws/apigws"
)

// An outcome is what a client was told of a message, or of all messages so far.
type outcome string

const (
	sent        outcome = "sent"        // Write returned nil
	notSent     outcome = "notSent"     // ErrNotSent
	unconfirmed outcome = "unconfirmed" // ErrUnconfirmed
	confirmed   outcome = "confirmed"   // Flush or Close returned nil
	undecided   outcome = "undecided"   // Flush ended with its context
	unexpected  outcome = "unexpected"  // an error that none of them may return
)

// A history is what one client saw. It travels from the client's process to the test as JSON.
type history struct {
	Resend  bool
	Writes  []write
	Flushes []flush // Close is the last
	Reads   []push
	States  []state
	Kept    []int // the messages that Unconfirmed returned at the end
	Stats   apigws.Stats

	// What the process held before the client was made and after it was closed.
	GoroutinesBefore, GoroutinesAfter   int
	DescriptorsBefore, DescriptorsAfter int
	Stacks                              string // of the goroutines, if there are more
}

// A write is one call of Write. Message n is the nth.
type write struct {
	N          int
	Start, End time.Time
	Outcome    outcome
	Err        string
}

// A flush is one call of Flush, or the one of Close.
type flush struct {
	Start, End time.Time
	Outcome    outcome
	Err        string
}

// A push is a message of the gateway: the nth on its connection.
type push struct {
	Conn, N int
	At      time.Time // when Read returned it
}

// A state is a change of state.
type state struct {
	At       time.Time
	From, To apigws.State
	Err      string
}

// An arrival is a message that the gateway has received.
type arrival struct {
	N    int
	Conn int // the client's connections are numbered in the order of their handshakes
	At   time.Time
}
