package apigws

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/handshake"
	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/redact"
	"github.com/apigws/apigws/internal/session"
	"github.com/apigws/apigws/internal/socket"
)

var (
	// errRetired ends a connection that the client itself has no more use for.
	errRetired = errors.New("apigws: connection retired")
	// errHookGoexit is the error of a hook that returns none.
	errHookGoexit = errors.New("apigws: the hook has called runtime.Goexit")
)

// A connection is one connection of a client, from its handshake until it is torn down.
type connection struct {
	client     *Client
	session    *session.Session
	generation int
	gap        time.Duration
	protocol   string

	early *queue.Queue // takes what comes in before the connection is opened

	mu      sync.Mutex    // guards settled
	settled chan struct{} // see whenSettled; nil until it is needed, which saves an idle client memory
}

// newConnection begins the life of a connection whose handshake is done. It must be torn down.
func newConnection(c *Client, dialled *handshake.Conn, generation int) *connection {
	conn := &connection{
		client:     c,
		generation: generation,
		gap:        c.status.gap(),
		protocol:   dialled.Subprotocol,
		early:      queue.New(),
	}
	var kernel session.Socket
	if tcp := dialled.Socket; tcp != nil {
		socket.BoundSendBuffer(tcp)
		kernel = socket.Of(tcp)
		if dialled.TLS13 {
			kernel = socket.OfTLS13(tcp)
		}
	}
	conn.session = session.New(&c.sessions, redact.Stream(dialled.Stream), kernel, conn.early)
	return conn
}

// open lets what comes in go to Client.Read.
func (conn *connection) open() {
	conn.early.MoveTo(conn.client.queue)
}

// call calls a hook, with a context that ends with ctx, with the connection, and after
// HandshakeTimeout. Its cause says why, unless it is the time.
func (conn *connection) call(ctx context.Context, facade *Conn, hook func(context.Context, *Conn) error) (err error) {
	usable, end := context.WithCancelCause(ctx)
	facade.usable = usable
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-conn.session.Dead():
			end(conn.session.Cause())
		case <-usable.Done():
		}
	})
	limited, cancel := context.WithTimeout(usable, conn.client.opts.HandshakeTimeout)
	defer cancel()
	if callback.Do(func() { err = hook(limited, facade) }) != nil {
		err = errHookGoexit
	}
	facade.returned.Store(true)
	end(errConnUsedLate)
	watching.Wait()
	return err
}

// ping sends a PING and waits for its PONG.
func (conn *connection) ping(ctx context.Context) (time.Duration, error) {
	defer conn.client.makeRoom(conn)()
	return conn.session.Ping(ctx)
}

// provePings sends a PING and waits for its PONG, for at most Keepalive.Timeout: all messages
// before it are acknowledged then.
func (conn *connection) provePings(ctx context.Context) error {
	timeout := conn.client.opts.Keepalive.Timeout
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := conn.ping(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return errorf("%w within %v", ErrNoPong, timeout)
	}
	return err
}

// shut performs the close handshake; see session.Session.Shut.
func (conn *connection) shut(timeout time.Duration) (answered bool) {
	defer conn.client.makeRoom(conn)()
	return conn.session.Shut(timeout)
}

// tearDown waits, on a goroutine of its own, until a connection that has ended is settled and
// nothing runs on it any more.
func (conn *connection) tearDown() {
	conn.client.tearing.Go(func() {
		conn.settle()
		conn.session.Wait()
	})
}

// settle closes the accounts of a connection that has ended: what was not acknowledged is lost, or
// in the window for the next connection.
func (conn *connection) settle() {
	c := conn.client
	lost := conn.session.Settle()
	conn.releaseEarly()
	if lost > 0 && c.sessions.Window == nil {
		c.losses.add(lost, conn.session.Cause())
	}
	close(conn.whenSettled())
}

// whenSettled returns the channel that settle closes when it is known what was lost.
func (conn *connection) whenSettled() chan struct{} {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.settled == nil {
		conn.settled = make(chan struct{})
	}
	return conn.settled
}

// releaseEarly gives to Read what came on a connection that was never opened, unless nobody reads:
// each attempt to connect could bring a queue full of it. On one that was opened nothing is early.
func (conn *connection) releaseEarly() {
	c := conn.client
	if c.queue.Full() && c.ctx.Err() == nil {
		if n := conn.early.Len(); n > 0 {
			c.counters.Dropped.Add(int64(n))
			c.events.log.Warn("messages dropped", "generation", conn.generation, "messages", n)
		}
		return
	}
	conn.early.MoveTo(c.queue)
}

// lossCause makes the cause of a connection that is lost from what has ended its session.
func lossCause(err error) error {
	if closed, ok := err.(*session.CloseFrame); ok {
		return &CloseError{Code: closed.Code, Reason: closed.Reason}
	}
	return errorf("connection lost without a close frame: %w", err)
}
