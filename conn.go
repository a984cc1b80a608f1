package apigws

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
)

var (
	errConnUsedLate = errors.New("apigws: Conn used after its hook returned")
	errConnRetired  = errors.New("apigws: Conn of OnRetire cannot read: its messages go to Client.Read")
)

// A Conn is one connection as OnConnect and OnRetire see it. It must not be used after the hook has
// returned. Its methods may be called concurrently.
type Conn struct {
	connection *connection
	retired    bool            // it is OnRetire's
	usable     context.Context // that of the hook, but for its time limit; ends when the hook returns
	returned   atomic.Bool     // the hook has returned
}

// Client returns the client whose connection this is. Its Write, Read and Flush wait for the
// connection in use, which this one is not yet in OnConnect, and no more in OnRetire.
func (conn *Conn) Client() *Client { return conn.connection.client }

// Generation numbers the connections of a client: 1 for the first. A connection whose OnConnect
// failed has a number, too.
func (conn *Conn) Generation() int { return conn.connection.generation }

// Gap returns how long no connection was in use before this one: from the loss of the one before it
// until the handshake of this one. It is 0 for the first connection and for one made by a rotation.
func (conn *Conn) Gap() time.Duration { return conn.connection.gap }

// Subprotocol returns which of Options.Subprotocols the $connect integration has picked, and "" if
// it has picked none.
func (conn *Conn) Subprotocol() string { return conn.connection.protocol }

// Write sends p as one text message on this connection: in OnConnect before any other write, in
// OnRetire after all others. Errors are those of Client.Write. It is never sent again on another
// connection.
func (conn *Conn) Write(ctx context.Context, p []byte) error {
	if err := conn.connection.client.opts.checkMessage(p); err != nil {
		return err
	}
	if conn.returned.Load() {
		return notSent(errConnUsedLate)
	}
	outcome, err := conn.connection.session.Send(ctx, p, session.Untracked)
	switch outcome {
	case session.Sent:
		return nil
	case session.Unconfirmed:
		return errorf("%w: %w", ErrUnconfirmed, err)
	default:
		return notSent(err)
	}
}

// WriteJSON writes the JSON of v as one message, as Write does.
func (conn *Conn) WriteJSON(ctx context.Context, v any) error {
	p, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return conn.Write(ctx, p)
}

// Read returns the next message of this connection, in OnConnect. What OnConnect does not read goes
// to Client.Read. Cancelling ctx does not cost the connection.
func (conn *Conn) Read(ctx context.Context) ([]byte, error) {
	return conn.pop(ctx, (*queue.Queue).Pop)
}

// ReadMatch returns the first message of this connection, in OnConnect, for which match returns
// true: the answer to what OnConnect has sent, say. Those before it, and what OnConnect does not
// read, go to Client.Read, in order. match is called once for each message, on the goroutine of the
// caller, and must not keep it. Cancelling ctx does not cost the connection.
func (conn *Conn) ReadMatch(ctx context.Context, match func([]byte) bool) ([]byte, error) {
	return conn.pop(ctx, func(q *queue.Queue, ctx context.Context) (queue.Item, bool) {
		return q.PopMatch(ctx, match)
	})
}

func (conn *Conn) pop(ctx context.Context,
	pop func(*queue.Queue, context.Context) (queue.Item, bool)) ([]byte, error) {
	switch {
	case conn.returned.Load():
		return nil, errConnUsedLate
	case conn.retired:
		return nil, errConnRetired
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(conn.usable, cancel)()
	item, ok := pop(conn.connection.early, either)
	if ok {
		return conn.connection.client.opts.message(item)
	}
	if err := context.Cause(conn.usable); err != nil { // says more than a ctx that ended with it
		return nil, err
	}
	return nil, ctx.Err()
}

// ReadJSON reads the next message into v, as Read does.
func (conn *Conn) ReadJSON(ctx context.Context, v any) error {
	p, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(p, v)
}
