package apigws

import (
	"math/rand/v2"
	"time"
)

// Limits are the quotas of the gateway and of the path to it. The zero value of a field means its
// default. Change them only if yours are known to differ: they are what the client stays under, not
// what it enforces on the gateway.
type Limits struct {
	// Idle is how long a connection may be silent before something on the path ends it. Default 2
	// minutes, the shortest time that anybody has reported (121 s; see docs/gateway.md). AWS
	// documents 10 minutes.
	Idle time.Duration

	// Lifetime is how long a connection may live. Default 2 hours, as AWS documents; it is not
	// configurable there.
	Lifetime time.Duration

	// Frame is the largest payload of one WebSocket frame, in bytes. Default 32 KiB, as AWS
	// documents: a larger frame closes the connection with 1009.
	Frame int

	// Message is the largest message in either direction, in bytes. Default 128 KiB, as AWS
	// documents.
	Message int

	// URL is the longest URL of a handshake, query included, in bytes. Default 4096, as AWS
	// documents.
	URL int

	// ConnectRate is how many new connections a second the account may open; Reconnect.Fleet
	// divides by it. Default 500, as AWS documents for an account and Region.
	ConnectRate int
}

// rotateAfter draws the age at which a connection is replaced: between 1/8 and 1/12 of its lifetime
// before the end, which for two hours is 15 to 10 minutes. It is drawn anew for each connection, so
// that clients that were started together do not rotate together.
func (l *Limits) rotateAfter() time.Duration {
	early, late := l.Lifetime/8, l.Lifetime/12
	return l.Lifetime - late - rand.N(early-late+1)
}
