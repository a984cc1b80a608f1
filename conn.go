package apigws

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/redact"
)

// verdictDelay is how long a failed write waits for the reader to find out
// why: the close frame that explains a broken pipe is usually there already.
const verdictDelay = time.Second

// errRetired ends a connection that the client itself has no more use for.
var errRetired = errors.New("apigws: connection retired")

// errHandedOver answers the Read of a Conn whose OnConnect has returned.
var errHandedOver = errors.New("apigws: Conn used after OnConnect returned")

// A Conn is one connection as OnConnect sees it, before the client uses it.
// It must not be used after OnConnect has returned. Its methods may be called
// concurrently.
type Conn struct {
	client     *Client
	generation int
	gap        time.Duration
	opened     time.Time
	protocol   string
	secrets    redact.Secrets // of its handshake; until OnConnect has returned

	wire   *wire
	frames frameReader // of the wire; only the reader uses it

	// early takes what arrives while OnConnect runs; then all goes to the
	// client's inbox.
	early *inbox
	// to is where the reader pushes; unannounced says that it has pushed
	// something that those who wait do not know of. Only the reader uses them.
	to          *inbox
	unannounced bool
	// blocked says that the reader waits for a slow consumer, freed when it
	// last did, from opened.
	blocked atomic.Bool
	freed   atomic.Int64
	// dataAt is when a message last came or went, from opened.
	dataAt atomic.Int64

	dead     chan struct{} // closed by fail
	failOnce sync.Once
	cause    error // why; written before dead is closed

	handedOver chan struct{} // closed when OnConnect has returned
	finished   chan struct{} // closed when the reader has ended
	settled    chan struct{} // closed when it is known what was lost
	pass       chan struct{} // lets one message into a full inbox
	pingSoon   chan struct{} // holds a token when the run loop should send a PING
	sending    atomic.Bool   // the f of a spawnOne has not returned
	senders    sync.WaitGroup

	mu   sync.Mutex // guards gone
	gone bool       // nothing is spawned any more
}

// start begins the life of a connection whose handshake is done: from here on
// it must be ended by inter, which also waits for the reader.
func (c *Client) start(rwc io.ReadWriteCloser) *Conn {
	conn := &Conn{
		client:     c,
		opened:     time.Now(),
		early:      newInbox(),
		dead:       make(chan struct{}),
		handedOver: make(chan struct{}),
		finished:   make(chan struct{}),
		settled:    make(chan struct{}),
		pass:       make(chan struct{}),
		pingSoon:   make(chan struct{}, 1),
	}
	conn.to = conn.early
	conn.wire = c.newWire(rwc, conn.announce)
	conn.frames.src = conn.wire
	go conn.read()
	return conn
}

// Generation numbers the connections of a client: 1 for the first.
func (conn *Conn) Generation() int { return conn.generation }

// Gap returns how long nobody was listening before this connection: from the
// end of the one before it until this one's handshake. It is 0 for the first
// connection and for one made by a rotation.
func (conn *Conn) Gap() time.Duration { return conn.gap }

// Subprotocol returns which of Options.Subprotocols the $connect integration has
// picked, and "" when it has picked none.
func (conn *Conn) Subprotocol() string { return conn.protocol }

// Write sends p as one text message on this connection, before any other
// write reaches it. Errors are those of Client.Write; it is never sent again
// on another connection.
func (conn *Conn) Write(ctx context.Context, p []byte) error {
	if err := conn.client.checkMessage(p); err != nil {
		return err
	}
	if conn.isHandedOver() {
		return fmt.Errorf("%w: %w", ErrNotSent, errHandedOver)
	}
	verdict, err := conn.send(ctx, p, untracked)
	switch verdict {
	case taken:
		return nil
	case unknown:
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	default:
		return fmt.Errorf("%w: %w", ErrNotSent, err)
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

// Read returns the next message of this connection. What OnConnect does not
// read goes to Client.Read. Cancelling ctx does not cost the connection.
func (conn *Conn) Read(ctx context.Context) ([]byte, error) {
	if conn.isHandedOver() {
		return nil, errHandedOver
	}
	item, ok := conn.early.pop(ctx, conn.dead)
	switch {
	case ok:
		return item.data, item.err
	case conn.isDead(): // which also ends the context of OnConnect
		return nil, conn.cause
	default:
		return nil, ctx.Err()
	}
}

// ReadJSON reads the next message into v, as Read does.
func (conn *Conn) ReadJSON(ctx context.Context, v any) error {
	p, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(p, v)
}

func (conn *Conn) isHandedOver() bool {
	select {
	case <-conn.handedOver:
		return true
	default:
		return false
	}
}

// handOver lets messages flow to the client's inbox.
func (conn *Conn) handOver() {
	close(conn.handedOver)
	conn.early.moveTo(conn.client.inbox)
}

// send puts one message on the wire. A failed write fails the connection.
func (conn *Conn) send(ctx context.Context, p []byte, as tracking) (verdict, error) {
	verdict, err := conn.wire.message(ctx, p, as)
	if verdict == taken {
		if conn.client.opts.Keepalive.Message != nil {
			conn.dataAt.Store(int64(time.Since(conn.opened)))
		}
		conn.client.counters.sent(len(p))
		return taken, nil
	}
	if err == errSealed || err == ctx.Err() {
		return verdict, err // the connection is well
	}
	return verdict, conn.writeFailed(err)
}

// writeFailed fails the connection, with the reader's reason if it has one,
// and returns the reason.
func (conn *Conn) writeFailed(err error) error {
	if errors.Is(err, ErrWriteTimeout) {
		conn.fail(err)
		return conn.cause
	}
	wait := time.NewTimer(verdictDelay)
	defer wait.Stop()
	select {
	case <-conn.dead:
	case <-wait.C:
	}
	conn.fail(fmt.Errorf("apigws: write failed: %w", err))
	return conn.cause
}

// fail says that the connection is dead, and why. Only the first call counts:
// reader, writer and keepalive may all find out.
func (conn *Conn) fail(cause error) {
	conn.failOnce.Do(func() {
		conn.cause = cause
		close(conn.dead)
	})
}

func (conn *Conn) isDead() bool {
	select {
	case <-conn.dead:
		return true
	default:
		return false
	}
}

// spawn runs f, which may wait for the network, on a goroutine of its own. inter
// waits for it. When the connection is already gone it does nothing.
func (conn *Conn) spawn(f func()) {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if !conn.gone {
		conn.senders.Go(f)
	}
}

// waitSenders returns when all that was spawned has ended.
func (conn *Conn) waitSenders() {
	conn.mu.Lock()
	conn.gone = true
	conn.mu.Unlock()
	conn.senders.Wait()
}

// spawnOne does as spawn, unless the last f of a spawnOne still runs: while
// the path is stuck there is no use in more.
func (conn *Conn) spawnOne(f func()) (started bool) {
	if conn.sending.Swap(true) {
		return false
	}
	conn.spawn(func() {
		defer conn.sending.Store(false)
		f()
	})
	return true
}

// ping sends a PING and waits for its PONG. With conn.pass as pass, it lets
// messages into a full inbox meanwhile: the PONG may be behind them.
func (conn *Conn) ping(ctx context.Context, pass chan<- struct{}) (time.Duration, error) {
	start := time.Now()
	done := make(chan struct{})
	conn.spawn(func() { conn.sendPing(done) }) // ctx ends the wait for a stuck path, too
	for {
		select {
		case <-done:
			return time.Since(start), nil
		case pass <- struct{}{}:
		case <-conn.dead:
			return 0, conn.cause
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// sendPing sends a PING; done, when not nil, is closed when its PONG has come. A
// failure ends the connection.
func (conn *Conn) sendPing(done chan struct{}) {
	if err := conn.wire.ping(done); err != nil && err != errSealed {
		conn.writeFailed(err)
	}
}

// ponged is called by the reader for every PONG.
func (conn *Conn) ponged(payload []byte) {
	rtt, more, ok := conn.wire.pong(payload)
	if !ok {
		return
	}
	conn.client.counters.pong(rtt)
	if more && conn.wire.window != nil {
		wake(conn.pingSoon)
	}
}

// read is the reader: it passes on what the connection brings until it ends,
// and then says why.
func (conn *Conn) read() {
	defer close(conn.finished)
	err := conn.readMessages()
	if broken := conn.wire.failure(); errors.Is(broken, ErrWriteTimeout) {
		conn.fail(broken) // which has closed the stream under the reader
	}
	conn.fail(closeReason(err))
}

// announce lets those who wait for messages know of those pushed since it was
// last called.
func (conn *Conn) announce() {
	if conn.unannounced {
		conn.unannounced = false
		conn.to.announce()
	}
}

func (conn *Conn) readMessages() error {
	defer conn.frames.release()
	defer conn.announce()
	c := conn.client
	for {
		item, err := conn.readMessage()
		if err != nil {
			return err
		}
		c.counters.received(item.size)
		if c.opts.Keepalive.Message != nil {
			conn.dataAt.Store(int64(time.Since(conn.opened)))
		}
		if item.err == nil && conn.intercept(item.data) {
			continue
		}
		if conn.to.tryPush(item) {
			conn.unannounced = true
			continue
		}
		conn.hold(func() { conn.to = conn.to.push(item, conn.pass, conn.dead) })
	}
}

// hold lets the reader wait for a slow consumer: the peer is not to blame for
// what it does not see meanwhile.
func (conn *Conn) hold(wait func()) {
	conn.blocked.Store(true)
	wait()
	conn.freed.Store(int64(time.Since(conn.opened)))
	conn.blocked.Store(false)
}

// intercept keeps from Read what is not for it, and reports whether it did.
func (conn *Conn) intercept(p []byte) bool {
	opts := conn.client.opts
	if opts.Keepalive.IsReply != nil {
		var reply bool
		runHook(func() { reply = opts.Keepalive.IsReply(p) })
		if reply {
			return true
		}
	}
	if opts.OnGatewayError == nil {
		return false
	}
	e := parseGatewayError(p)
	if e == nil {
		return false
	}
	conn.report(e)
	return true
}

// maxReports bounds how many error frames wait for OnGatewayError. When they do,
// the reader waits too, as for a full inbox.
const maxReports = 64

// report lets OnGatewayError have e, after those before it.
func (conn *Conn) report(e *GatewayError) {
	c := conn.client
	tell := func() { c.opts.OnGatewayError(c, <-c.reports) }
	select {
	case c.reports <- e:
	default:
		conn.announce()
		conn.hold(func() {
			select {
			case c.reports <- e:
			case <-conn.pass:
				tell = func() { c.opts.OnGatewayError(c, e) }
			case <-conn.dead:
				tell = func() { c.opts.OnGatewayError(c, e) }
			}
		})
	}
	c.hooks.run(tell)
}

// readMessage reads the next message to its end, and deals with the control
// frames on the way. One that is too large is read to its end too, and dropped.
func (conn *Conn) readMessage() (inbound, error) {
	var (
		limit = int64(conn.client.opts.Limits.Message)
		data  []byte
		size  int64
		begun bool
	)
	for {
		h, err := conn.frames.header()
		if err != nil {
			return inbound{}, conn.breach(err)
		}
		if h.control() {
			if err := conn.readControl(h); err != nil {
				return inbound{}, err
			}
			continue
		}
		if begun != (h.opcode == opContinuation) {
			return inbound{}, conn.breach(protocolError("a message begins within another, or nowhere"))
		}
		begun = true
		if size += h.length; size < 0 {
			return inbound{}, conn.breach(protocolError("a message has no end"))
		}
		if size > limit {
			data = nil
			err = conn.frames.skip(h.length)
		} else {
			n := len(data)
			if n == 0 {
				data = make([]byte, h.length)
			} else {
				data = append(data, make([]byte, h.length)...)
			}
			err = conn.frames.read(data[n:])
		}
		if err != nil {
			return inbound{}, err
		}
		if !h.fin {
			continue
		}
		if size > limit {
			return inbound{size: size, err: &TooLargeError{int(size), int(limit)}}, nil
		}
		return inbound{size: size, data: data}, nil
	}
}

// readControl reads a control frame and does what it asks for. The error is
// the end of the connection.
func (conn *Conn) readControl(h frameHeader) error {
	p := make([]byte, h.length)
	if err := conn.frames.read(p); err != nil {
		return err
	}
	conn.announce() // an answer may have to wait for the path
	switch h.opcode {
	case opPing:
		conn.wire.answer(p)
	case opPong:
		conn.ponged(p)
	case opClose:
		closed, err := parseClose(p)
		if err != nil {
			return conn.breach(err)
		}
		conn.sendClose(closed.Code) // no answer if it is one itself
		return closed
	}
	return nil
}

// breach closes the connection with 1002 if err is a breach of the protocol,
// and returns err.
func (conn *Conn) breach(err error) error {
	var breach protocolError
	if errors.As(err, &breach) {
		conn.sendClose(1002)
	}
	return err
}

// sendClose sends a CLOSE frame. Behind a write that is stuck it does not wait
// long: why the connection ends must not be lost over it.
func (conn *Conn) sendClose(code int) {
	sent := make(chan struct{})
	conn.spawn(func() {
		defer close(sent)
		conn.wire.close(code) // when it fails, the connection is ending anyway
	})
	late := time.NewTimer(verdictDelay)
	defer late.Stop()
	select {
	case <-sent:
	case <-late.C:
	}
}

// parseClose takes the payload of a CLOSE frame apart.
func parseClose(p []byte) (*CloseError, error) {
	switch {
	case len(p) == 0:
		return &CloseError{Code: 1005}, nil
	case len(p) == 1:
		return nil, protocolError("half a close code")
	}
	closed := &CloseError{
		Code:   int(binary.BigEndian.Uint16(p)),
		Reason: string(p[2:]),
	}
	// RFC 6455, section 7.4, and the registry that it founds.
	switch code := closed.Code; {
	case code < 1000, code > 1014 && code < 3000, code > 4999,
		code == 1004, code == 1005, code == 1006:
		return nil, protocolError(fmt.Sprintf("close code %d", code))
	}
	return closed, nil
}

// closeReason turns the reader's error into what users test for.
func closeReason(err error) error {
	if closed, ok := err.(*CloseError); ok {
		return closed
	}
	return fmt.Errorf("apigws: connection lost without a close frame: %w", err)
}
