package apigws

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apigws/apigws/internal/callback"
	"github.com/apigws/apigws/internal/loop"
	"github.com/apigws/apigws/internal/pace"
	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
	"github.com/apigws/apigws/internal/window"
)

// A Client stays connected to a WebSocket API of Amazon API Gateway: it keeps its connection alive,
// replaces it before the gateway ends it, and reconnects when it is lost. Make one with New or
// Dial; end it with Close. All methods may be called concurrently.
type Client struct {
	opts     *Options
	events   *events        // calls hooks and the logger
	queue    *queue.Queue   // what Read returns
	errors   *queue.Queue   // error frames that wait for OnGatewayError
	sessions session.Config // what all sessions have in common
	losses   losses         // what Flush reports
	counters counters
	line     line   // which connection is in use
	status   status // what the client says of itself

	ctx     context.Context // ends when Close is called or the client fails
	cancel  context.CancelFunc
	life    *life          // the run loop
	done    chan struct{}  // closed when it has ended
	tearing sync.WaitGroup // rotations, and connections that are torn down
}

// New returns a client that connects to a WebSocket API, such as
// "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod", in the background and stays connected
// until Close. It returns at once; Ready waits for the first connection. A url or an option that
// cannot work is an *OptionError.
func New(url string, opts *Options) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	u, err := o.parseURL(url)
	if err != nil {
		return nil, err
	}
	policy, ok := pace.New(o.Reconnect.Backoff)
	if !ok {
		return nil, &OptionError{"Reconnect.Backoff", "returns nil"}
	}
	c := &Client{
		opts:  o,
		queue: queue.New(),
		done:  make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.line.ended, c.line.reason = c.ctx.Done(), c.status.reason
	c.status.since = time.Now()
	c.events = newEvents(c)
	c.sessions = session.Config{
		Frame:        o.Limits.Frame,
		Message:      o.Limits.Message,
		WriteTimeout: o.WriteTimeout,
		Traffic:      &c.counters.Traffic,
		TrackData:    o.Keepalive.Message != nil,
		Cause:        lossCause,
	}
	if o.Keepalive.IsReply != nil || o.OnGatewayError != nil {
		c.sessions.Intercept = c.events.intercept
	}
	if o.OnGatewayError != nil {
		c.errors = queue.New()
	}
	if o.Resend > 0 {
		c.sessions.Window = window.New(o.Resend)
	}
	c.life = &life{
		client:    c,
		connector: &connector{client: c, dialer: newDialer(o, u)},
		policy:    policy,
	}
	c.life.loop = loop.New(c.life.step) // Close and failures end it; done says that it has ended
	c.sessions.Notify = c.life.loop.Wake
	clients.Add(1)
	c.life.loop.Wake()
	return c, nil
}

// Dial is New followed by Ready: it returns when the first connection is open and OnConnect has
// returned. If the client ends before, or ctx does, Dial closes the client and returns why.
//
// Failures that are worth retrying (see Retryable) are retried until ctx ends; a refusal ends Dial
// at once, with a *HandshakeError. ctx has no effect after Dial has returned. When ctx ends, Dial
// returns at once; a hook that runs then ends in the background.
func Dial(ctx context.Context, url string, opts *Options) (*Client, error) {
	c, err := New(url, opts)
	if err != nil {
		return nil, err
	}
	err = c.Ready(ctx)
	if err == nil {
		return c, nil
	}
	c.end(err)
	select {
	case <-c.done:
		c.events.wait(ctx)
	case <-ctx.Done():
	}
	return nil, c.status.failure()
}

// Ready waits until a connection is open, and returns nil then. If ctx ends first, it returns the
// error of ctx together with the last failure, if there was one; if the client ends first, it
// returns why.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.line.await(ctx, nil)
	if err == nil || err != ctx.Err() {
		return err
	}
	return withLast(err, c.status.lastFailure())
}

// Ping sends a PING and returns how long its PONG took. It waits for an open connection first. A
// connection that is lost meanwhile is an error, not a reason to start over. Cancelling ctx ends
// the wait and does not cost the connection.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	conn, err := c.line.await(ctx, nil)
	if err != nil {
		return 0, err
	}
	return conn.ping(ctx)
}

// State returns the state of the client at this moment.
func (c *Client) State() State {
	state, _, _ := c.status.now()
	return state
}

// Done returns a channel that is closed when the client has ended: after Close, or after a
// permanent failure. Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil until the client has ended, then ErrClosed after Close, or, after a permanent
// failure, an error that wraps ErrClosed and the failure.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.status.reason()
	default:
		return nil
	}
}

// Close ends the client. It refuses further writes, asks the gateway to acknowledge those that were
// made, performs the close handshake with status 1000, and returns when every goroutine of the
// client has ended. CloseTimeout bounds all of it but the hooks: Close waits for one that runs.
// What has been received can still be read.
//
// The error wraps ErrUnconfirmed if messages were not acknowledged, as none is by a gateway that
// answers no PING. Like a last Flush, it also reports those that connections lost earlier have
// left unconfirmed; an application whose backend has answered may ignore it. With
// Options.Resend, Unconfirmed returns them. Called again, Close returns the same.
//
// Called from inside a hook, of this client or of another, Close does not wait, since it could wait
// for that very hook: it begins to close and returns nil. Done tells when the client has ended.
func (c *Client) Close() error {
	c.end(ErrClosed)
	if callback.Inside() {
		return nil
	}
	<-c.done
	c.events.wait(context.Background())
	return c.life.closing
}

// end makes the client end, for the given reason if it is the first.
func (c *Client) end(reason error) {
	c.status.end(reason)
	c.cancel()
	c.life.connector.end()
	c.life.loop.Wake()
}

// makeRoom lets received messages wait beyond the normal room of the queues until undo is called:
// the answer to a PING or a CLOSE may be behind messages that nobody reads, perhaps because who
// would read them waits for that answer. conn is the connection that has not been opened yet, or
// nil.
func (c *Client) makeRoom(conn *connection) (undo func()) {
	queues := []*queue.Queue{c.queue}
	if c.errors != nil {
		queues = append(queues, c.errors)
	}
	if conn != nil {
		queues = append(queues, conn.early)
	}
	for _, q := range queues {
		q.Widen()
	}
	return func() {
		for _, q := range queues {
			q.Narrow()
		}
	}
}

// withLast is the error of a wait that ctx ended; last is why what was waited for did not happen
// before.
func withLast(err, last error) error {
	if last == nil || errors.Is(last, err) {
		return err
	}
	return errorf("no connection: %w; the last failure: %w", err, last)
}
