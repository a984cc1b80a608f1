package apigws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v4"
)

// State is where a client stands.
type State int

const (
	StateConnecting State = iota // a handshake, or OnConnect, is under way
	StateOpen                    // messages flow
	StateBackoff                 // waiting before the next attempt
	StateClosed                  // ended, for good
)

// String returns the name in lower case.
func (s State) String() string {
	switch s {
	case StateConnecting:
		return "connecting"
	case StateOpen:
		return "open"
	case StateBackoff:
		return "backoff"
	case StateClosed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// A StateChange tells OnState what happened.
type StateChange struct {
	// From and To differ, but for a rotation: Open to Open, with the next
	// Generation.
	From, To State
	// Generation is that of the connection in use, or of the last one.
	Generation int
	// Err is why: what ended the connection, or the attempt before; nil when
	// all is well.
	Err error
	// RetryIn is how long the client waits; set when To is Backoff.
	RetryIn time.Duration
}

// A Client is a connection to a WebSocket API of Amazon API Gateway that
// lasts: it is kept alive, renewed before its time is up, and replaced when it
// breaks. Make one with Dial; end it with Close. All methods may be called
// concurrently.
type Client struct {
	opts     *Options
	url      *url.URL // in its https form
	inbox    *inbox   // what Read returns
	window   *window  // with Options.Resend
	hooks    *hooks
	reports  chan *GatewayError // wait for OnGatewayError
	counters counters

	ctx    context.Context // ends when Close is called or the client fails
	cancel context.CancelFunc
	done   chan struct{}     // closed when run has ended
	rotate chan chan<- error // requests for a rotation
	graves sync.WaitGroup    // connections that are being given up

	// current is the open connection; nil when there is none to write to.
	// The run loop alone sets it, with publish.
	current atomic.Pointer[Conn]

	mu         sync.Mutex    // guards what follows; never held while waiting
	changed    chan struct{} // closed when current changes
	last       *Conn         // the last that was current
	state      State
	generation int       // of the last connection made
	lostAt     time.Time // when the last connection died; zero if none has since the current one
	lost       int64     // messages lost or refused that no Flush has told of
	lostCause  error
	err        error     // why the client has ended
	failure    error     // the same, without ErrClosed around it
	since      time.Time // when state was entered
	// lastFailure is why there is no connection; nil when there is one.
	lastFailure error
	closeErr    error     // what Close returns
	endedAt     time.Time // when err was set

	// Only the run loop uses these.
	policy  backoff.BackOff
	careful bool // resend one at a time: one of the messages is refused

	// Who makes a connection uses these: the run loop, or a rotation, for which
	// the run loop waits before it makes one itself.
	silent int  // connections in a row that answered no PING
	ponged bool // some connection did
}

// New returns a client that connects to a WebSocket API, such as
// "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod", in the background,
// and stays connected until Close. It returns at once; Ready waits for the first
// connection. A wrong url or option is an *OptionError.
func New(url string, opts *Options) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	u, err := o.parseURL(url)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts:    o,
		url:     u,
		inbox:   newInbox(),
		hooks:   newHooks(),
		done:    make(chan struct{}),
		rotate:  make(chan chan<- error),
		changed: make(chan struct{}),
		since:   time.Now(),
		policy:  o.Reconnect.Backoff(),
	}
	if c.policy == nil {
		return nil, &OptionError{"Reconnect.Backoff", "returns nil"}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if o.OnGatewayError != nil {
		c.reports = make(chan *GatewayError, maxReports)
	}
	if o.Resend > 0 {
		c.window = newWindow(o.Resend)
	}
	go c.run() // Close and failures stop it; done says that it has ended
	return c, nil
}

// Dial is New followed by Ready: it returns when the first connection is open
// and OnConnect has returned. If that fails, or ctx ends before, it closes the
// client and returns why.
//
// Failures that are worth retrying (see Retryable) are retried until ctx ends;
// a refusal ends Dial at once, with a *HandshakeError. ctx has no effect after
// Dial has returned.
func Dial(ctx context.Context, url string, opts *Options) (*Client, error) {
	c, err := New(url, opts)
	if err != nil {
		return nil, err
	}
	if err := c.Ready(ctx); err != nil {
		c.end(err)
		<-c.done
		c.hooks.wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failure != nil {
			err = c.failure
		}
		return nil, err
	}
	return c, nil
}

// Ready waits until a connection is open, and returns nil then. When ctx ends
// first, it returns the error of ctx together with the last failure, if there
// was one; when the client ends, why.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.await(ctx, nil)
	if err == nil || err != ctx.Err() {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return abandoned(ctx, c.lastFailure)
}

// Read returns the next message, in the order in which its connection brought
// it. It waits until there is one, across reconnects, until ctx ends, or until
// the client has ended and nothing is left to return. Cancelling ctx costs
// neither a message nor the connection.
//
// A message larger than Limits.Message is skipped, and a *TooLargeError
// returned in its place. That the bytes are UTF-8, as RFC 6455 wants them, is
// left to the gateway.
//
// What is not read holds the connection back: after some messages, nothing
// more is taken from the socket, and the gateway's own buffer fills.
func (c *Client) Read(ctx context.Context) ([]byte, error) {
	item, ok := c.inbox.pop(ctx, c.done)
	if ok {
		return item.data, item.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, c.Err()
}

// ReadJSON reads the next message into v. An error of encoding/json means
// that the message has been taken and was not what v holds.
func (c *Client) ReadJSON(ctx context.Context, v any) error {
	p, err := c.Read(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(p, v)
}

// Messages returns what Read returns, one after the other. The loop ends after
// the first error, which is yielded last: that of ctx, or ErrClosed. A
// *TooLargeError does not end it.
func (c *Client) Messages(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			p, err := c.Read(ctx)
			var tooLarge *TooLargeError
			if !yield(p, err) || err != nil && !errors.As(err, &tooLarge) {
				return
			}
		}
	}
}

// Write sends p as one text message, in frames of at most Limits.Frame. It
// waits for an open connection, until ctx ends, and returns when the operating
// system has taken the whole message: nil does not say that the gateway has
// it. Flush does, and Options.Resend makes up for breaks. p may be reused when
// Write has returned. Writes of one goroutine reach the gateway in their
// order, across reconnects and rotations too.
//
// A message larger than Limits.Message is a *TooLargeError, one that is not
// UTF-8 is ErrNotText; neither touches the connection. An error that wraps
// ErrNotSent: nothing the gateway could deliver has left. An error that wraps
// ErrUnconfirmed: the connection broke, and the message may have arrived. A
// message that a break cuts short cannot be delivered; it is sent whole on the
// next connection.
//
// Once a message is on its way to the socket, WriteTimeout bounds it rather
// than ctx. Cancelling never costs the connection.
//
// With Options.Resend, Write waits for room in the window first, and from then
// on the client answers for the message: a break is no error.
func (c *Client) Write(ctx context.Context, p []byte) error {
	if err := c.checkMessage(p); err != nil {
		return err
	}
	if c.window != nil {
		if err := c.window.reserve(ctx, c.ctx.Done(), len(p)); err != nil {
			return c.notSent(err)
		}
	}
	var conn *Conn
	for {
		var err error
		conn, err = c.await(ctx, conn)
		if err != nil {
			if c.window != nil {
				c.window.release(len(p))
			}
			return c.notSent(err)
		}
		verdict, err := conn.send(ctx, p, fresh)
		if verdict == taken || c.window != nil && verdict != refused {
			return nil
		}
		if verdict == unknown {
			return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
		var closed *CloseError
		if verdict == cut && errors.As(err, &closed) && closed.rejects() {
			return fmt.Errorf("%w: %w", ErrNotSent, err)
		}
	}
}

// WriteJSON writes the JSON of v as one message, as Write does.
func (c *Client) WriteJSON(ctx context.Context, v any) error {
	p, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Write(ctx, p)
}

func (c *Client) checkMessage(p []byte) error {
	if limit := c.opts.Limits.Message; len(p) > limit {
		return &TooLargeError{len(p), limit}
	}
	if !utf8.Valid(p) {
		return ErrNotText
	}
	return nil
}

// notSent is the error of a Write that came to nothing.
func (c *Client) notSent(err error) error {
	if errors.Is(err, ErrClosed) {
		err = c.reason()
	}
	return fmt.Errorf("%w: %w", ErrNotSent, err)
}

// await returns the open connection, waiting for one other than not.
func (c *Client) await(ctx context.Context, not *Conn) (*Conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.ctx.Err() != nil {
			return nil, c.reason()
		}
		if conn := c.current.Load(); conn != nil && conn != not {
			return conn, nil
		}
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if conn := c.current.Load(); conn != nil && conn != not {
			return conn, nil // it came in between
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
	}
}

// Ping sends a PING and returns how long its PONG took. It waits for an open
// connection first. A connection that breaks meanwhile is an error, not a
// reason to start over. Cancelling ctx does not cost the connection.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	conn, err := c.await(ctx, nil)
	if err != nil {
		return 0, err
	}
	return conn.ping(ctx, nil)
}

// State returns where the client stands at this moment.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Done returns a channel that is closed when the client has ended: after
// Close, or after a failure that no retry can mend. Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil as long as the client lives, ErrClosed after Close, and
// after a failure that no retry can mend an error that wraps ErrClosed and the
// failure.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.reason()
	default:
		return nil
	}
}

// reason returns why the client ends or has ended.
func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the client. It stops taking writes, asks the gateway to confirm
// those that were made, performs the close handshake with status 1000, and
// returns when every goroutine of the client has ended. CloseTimeout bounds
// all of it but the hooks: one that runs is waited for. What has been received
// can still be read.
//
// The error wraps ErrUnconfirmed when messages were not confirmed, as none is
// by a gateway that answers no PING, and, as a last Flush, tells also of those
// that earlier breaks left unconfirmed; an application that knows better,
// because it was answered, may ignore it. With Options.Resend, Unconfirmed
// returns them. Called again, Close returns the same.
//
// Called from inside a hook, of this client or of another, it does not wait,
// for it could wait for that very hook: it only begins to close, and returns
// nil. Done tells when the client has ended.
func (c *Client) Close() error {
	c.end(ErrClosed)
	if inHook() {
		return nil
	}
	<-c.done
	c.hooks.wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeErr
}

// end makes the client end, for the given reason if it is the first.
func (c *Client) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err, c.failure = err, err
		c.endedAt = time.Now()
		if !errors.Is(err, ErrClosed) {
			c.err = fmt.Errorf("%w: %w", ErrClosed, err)
		}
	}
	c.mu.Unlock()
	c.cancel()
}

// publish makes conn the connection to write to; nil makes writers wait.
func (c *Client) publish(conn *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Store(conn)
	if conn != nil {
		c.last = conn
		c.lostAt = time.Time{}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// setState is called by the run loop, and by Dial before there is one.
func (c *Client) setState(to State, err error, retryIn time.Duration) {
	c.mu.Lock()
	change := StateChange{From: c.state, To: to, Generation: c.generation, Err: err, RetryIn: retryIn}
	if c.state != to {
		c.since = time.Now()
	}
	c.state, c.lastFailure = to, err
	c.mu.Unlock()
	if change.From == to && to != StateOpen {
		return
	}
	c.logState(change)
	if c.opts.OnState != nil {
		c.hooks.run(func() { c.opts.OnState(c, change) })
	}
}

func (c *Client) logState(change StateChange) {
	log := c.opts.Logger.With("state", change.To.String(), "generation", change.Generation)
	switch {
	case change.To == StateOpen:
		log.Info("connected", "rotated", change.From == StateOpen)
	case change.To == StateBackoff && change.From == StateOpen:
		log.Info("reconnecting", "retry_in", change.RetryIn) // why has just been logged
	case change.To == StateBackoff:
		log.Warn("not connected", "error", change.Err, "retry_in", change.RetryIn)
	case change.To == StateClosed && change.Err != nil:
		log.Error("client ended", "error", change.Err)
	default:
		log.Debug("state changed", "error", change.Err)
	}
}
