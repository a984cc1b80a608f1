package apigws

import (
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/keepalive"
)

// How a connection is kept alive, and how it is found out that it is dead:
//
//   - The run loop (life.serve in reconnect.go) calls tick of its connection's keeper, which is in
//     this file, whenever a tick is due or a message was written that no PING follows. It aborts a
//     connection that is dead, and makes another.
//   - internal/keepalive decides: its documentation has all the rules. It is a calculation, without
//     clocks, goroutines or connections, and its tests are tables.
//   - internal/session knows what the peer has sent and answered (Session.Health in ping.go, and
//     accounts.go), and sends PINGs and keepalive messages without holding up the run loop
//     (Session.Tick in ping.go).
//   - Keepalive in options.go is what the application sets.

// clients counts those of this process. Many of them save wake-ups: see keepalive.Many.
var clients atomic.Int64

// A keeper keeps one connection alive and finds out when it is dead. Only the run loop uses it.
type keeper struct {
	conn  *connection
	rules keepalive.Keeper
	due   time.Time // of the next tick; the run loop sets it
}

func newKeeper(conn *connection) *keeper {
	opts := conn.client.opts
	now := time.Now()
	rules := keepalive.New(keepalive.Config{
		Interval: opts.Keepalive.Interval,
		Timeout:  opts.Keepalive.Timeout,
		Message:  len(opts.Keepalive.Message) > 0,
		Disabled: opts.Keepalive.Disabled,
		Resend:   conn.client.sessions.Window != nil,
	}, now, opts.wallClock())
	return &keeper{conn: conn, rules: rules, due: now}
}

// tick does what is due and returns how long until the next tick. An error says that the connection
// is dead.
func (k *keeper) tick() (next time.Duration, err error) {
	c := k.conn.client
	decision := k.rules.Tick(keepalive.Moment{
		Now:     time.Now(),
		Wall:    c.opts.wallClock(),
		Due:     k.due,
		Health:  k.conn.session.Health(),
		Clients: clients.Load(),
	})
	if decision.Dead {
		return 0, errorf("%w within %v", ErrNoPong, c.opts.Keepalive.Timeout)
	}
	var message []byte
	if decision.Message {
		message = c.opts.Keepalive.Message
	}
	if decision.Ping || decision.Message {
		sent := func() { c.counters.keepaliveMessages.Add(1) }
		k.conn.session.Tick(message, decision.Ping, sent) // the first is never refused
	}
	return decision.Next, nil
}

// age is how old the connection is, the time of a suspended machine included.
func (k *keeper) age() time.Duration { return time.Since(k.conn.session.Opened()) + k.rules.Asleep() }
