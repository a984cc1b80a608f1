// Package session is one open WebSocket connection: shared writes, a goroutine that reads, PINGs
// and what their PONGs acknowledge, and the close handshake. It knows nothing of how connections
// are made or replaced.
package session

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/window"
)

var (
	// ErrSealed is returned by a Send on a session that takes no more messages of its kind. The
	// session is well.
	ErrSealed = errors.New("connection takes no more messages")
	// ErrWriteTimeout is the cause of a session whose stream did not take a write in time.
	ErrWriteTimeout = errors.New("apigws: write timed out")
	// ErrCloseTimeout is the cause of a session whose CLOSE was not answered in time.
	ErrCloseTimeout = errors.New("apigws: close handshake timed out")

	errGoexit = errors.New("apigws: a hook ended the goroutine that reads the connection")
)

// causeWait is how long a failed write waits for the reader to find out why: a CLOSE frame that
// explains a broken pipe has usually arrived already.
const causeWait = time.Second

// A Config holds what the sessions of one client have in common.
type Config struct {
	Frame, Message int // payload bytes: of a frame sent, of a message received, at most
	WriteTimeout   time.Duration
	Window         *window.Window // keeps Fresh messages until they are acknowledged; may be nil
	Traffic        *Traffic       // what is counted

	// TrackData makes the session note Health.Data.
	TrackData bool
	// Intercept, if set, keeps a message from the queue by returning true. It runs on the
	// goroutine that reads; where it has to wait, it must use Session.Hold.
	Intercept func(*Session, []byte) bool
	// Notify is called when the session has ended, and, without a Window, when the first message
	// was written that no PING follows: the next tick is then due earlier than Health last said. It
	// must not wait, nor call the session: a lock may be held.
	Notify func()
	// Cause makes the cause of a session from what ended its reading: a *CloseFrame, a *ws.Error,
	// or an error of the stream.
	Cause func(error) error
}

// Traffic counts what all sessions of a client carry.
type Traffic struct {
	RTT                             atomic.Int64 // between the last PONG and its PING, in nanoseconds
	Pings, Pongs                    atomic.Int64
	MessagesSent, BytesSent         atomic.Int64
	MessagesReceived, BytesReceived atomic.Int64
	Dropped                         atomic.Int64 // received, and dropped because nobody reads
}

// A CloseFrame is the CLOSE with which the peer ended a session.
type CloseFrame struct {
	Code   int // 1005 when the frame had none
	Reason string
}

// Error implements error; it does not repeat what the peer wrote.
func (f *CloseFrame) Error() string { return "closed by the peer" }

// Kind says what a message is to the accounts of a session.
type Kind int

const (
	Untracked Kind = iota // of the connection: keepalive, what OnConnect writes
	Fresh                 // of the application
	Again                 // of the application, already in the window
)

// Outcome says what became of a message.
type Outcome int

const (
	Sent        Outcome = iota // the socket took all of it
	NotSent                    // it was never put into a batch
	Truncated                  // its last byte has not left: the peer cannot deliver it
	Unconfirmed                // all of it may have left, but the write failed
)

// A Socket is the kernel's side of a stream.
type Socket interface {
	// Reset closes the socket and drops what the kernel still holds.
	Reset()
	// Mark makes Progress speak of the bytes that were written before.
	Mark()
	// Progress returns how far the bytes have come.
	Progress() Progress
	// SetNonblocking(true) makes a Read of the stream return only what the stream itself holds:
	// where it would read the socket, it fails with os.ErrDeadlineExceeded. SetNonblocking(false)
	// undoes that. It returns false, and changes nothing, if the stream cannot do so or is closed.
	// Only the goroutine that reads may call it.
	SetNonblocking(on bool) bool
	// AwaitInput waits until bytes have come in on the socket, the peer has ended the connection,
	// or it is closed here; it may return early. It reads nothing. Only the goroutine that reads
	// may call it, and not while SetNonblocking(true) is in force. An error is one that the kernel
	// reports only once: the next Read will not return it.
	AwaitInput() error
}

// A Progress is what the kernel of a peer has acknowledged of the bytes that were written to it, as
// far as the system tells: instants are zero if it does not. It is known by looking from time to
// time, so the instants are the latest possible.
type Progress struct {
	Last    time.Time // when any bytes were last acknowledged that had not been before
	Marked  time.Time // the same, until those before the mark were; zero if none were since Mark
	Pending bool      // not all bytes before the mark are acknowledged
}

// noSocket is used when the socket is not known.
type noSocket struct{}

func (noSocket) Reset()                   {}
func (noSocket) Mark()                    {}
func (noSocket) Progress() Progress       { return Progress{} }
func (noSocket) SetNonblocking(bool) bool { return false }
func (noSocket) AwaitInput() error        { return nil }

// A Session is one open connection. All methods may be called concurrently.
type Session struct {
	cfg    *Config
	stream io.ReadWriteCloser
	socket Socket // of the stream
	opened time.Time

	out sender
	in  receiver // used by the goroutine that reads only, except for finished

	// Instants count from opened.
	heard   atomic.Int64 // when bytes last came in
	reads   atomic.Int64 // how often bytes came in
	data    atomic.Int64 // when a message last came or went
	freed   atomic.Int64 // when the reader last went on after Hold; below 0 while it waits
	pinging atomic.Bool  // a write of Tick has not returned

	dead    chan struct{}  // closed when the session has ended
	reading sync.WaitGroup // done when nothing is read any more

	endOnce   sync.Once
	cause     error       // why the session has ended; written before dead is closed
	frame     *CloseFrame // the peer's CLOSE, if that is why
	closeOnce sync.Once

	tasks tasks // the goroutines of the session
}

// New starts a session on a stream whose handshake is done. Messages that come in go to the queue
// to. socket, which may be nil, is that of the stream. The session has to be ended, by Abort, by
// Shut or by its peer, and then waited for with Wait.
func New(cfg *Config, stream io.ReadWriteCloser, socket Socket, to *queue.Queue) *Session {
	if socket == nil {
		socket = noSocket{}
	}
	s := &Session{
		cfg:    cfg,
		stream: stream,
		socket: socket,
		opened: time.Now(),
		dead:   make(chan struct{}),
	}
	s.out = sender{session: s, turn: make(chan struct{}, 1)}
	s.in = receiver{s: s, to: to, quiet: true}
	s.reading.Add(1)
	s.in.frames.Init(&s.in, cfg.Message)
	s.in.frames.Alloc = alloc
	s.tasks.start(s.in.run)
	return s
}

// Opened returns when the session began.
func (s *Session) Opened() time.Time { return s.opened }

// Dead returns a channel that is closed when the session has ended.
func (s *Session) Dead() <-chan struct{} { return s.dead }

// IsDead reports whether the session has ended.
func (s *Session) IsDead() bool {
	select {
	case <-s.dead:
		return true
	default:
		return false
	}
}

// Cause returns why the session has ended; nil as long as it has not.
func (s *Session) Cause() error {
	if s.IsDead() {
		return s.cause
	}
	return nil
}

// Abort ends the session without a close handshake. What its kernel still holds is dropped, so that
// it does not arrive after what a later connection carries. Only the first cause counts. After a
// finished close handshake, Abort leaves the stream alone: a reset could overtake our CLOSE.
func (s *Session) Abort(cause error) {
	s.end(cause, nil)
	if !s.in.finished.Load() {
		s.closeStream(true)
	}
}

// end notes that the session has ended, and why. The reader, a writer and the keepalive may all
// call it; only the first call counts.
func (s *Session) end(cause error, frame *CloseFrame) {
	s.endOnce.Do(func() {
		s.out.breakOff(cause)
		s.cause, s.frame = cause, frame
		close(s.dead)
		s.cfg.Notify()
	})
}

// closeStream closes the stream, once.
func (s *Session) closeStream(drop bool) {
	s.closeOnce.Do(func() {
		if drop {
			s.socket.Reset()
		}
		s.stream.Close()
	})
}

// Settle waits until a session that has ended neither reads nor writes, and returns how many
// tracked messages the socket took without their being acknowledged.
func (s *Session) Settle() (lost int64) {
	s.reading.Wait()
	return s.out.settle()
}

// Wait waits until every goroutine of a session that has ended is gone.
func (s *Session) Wait() { s.tasks.wait() }

// Send sends p as one text message, in frames. ctx ends only the wait for a batch with room. A
// write that fails ends the session; ErrSealed and the error of ctx do not.
func (s *Session) Send(ctx context.Context, p []byte, kind Kind) (Outcome, error) {
	outcome, err := s.out.message(ctx, p, kind)
	if err == nil {
		if s.cfg.TrackData {
			s.data.Store(int64(time.Since(s.opened)))
		}
		s.cfg.Traffic.MessagesSent.Add(1)
		s.cfg.Traffic.BytesSent.Add(int64(len(p)))
		return Sent, nil
	}
	if outcome == NotSent && (err == ErrSealed || err == ctx.Err()) {
		return outcome, err
	}
	return outcome, s.writeFailed(err)
}

// late is called when a write has taken a part of WriteTimeout, and when it has made no progress
// for WriteTimeout. Then it ends the session, unless the peer's kernel has acknowledged bytes
// meanwhile: there will be room for the write, and it gets a WriteTimeout from that moment.
func (s *Session) late() {
	last := s.socket.Progress().Last // perhaps zero, which is long ago
	if s.out.overdue(s.cfg.WriteTimeout, time.Since(last)) {
		s.Abort(ErrWriteTimeout)
	}
}

// writeFailed ends the session after a write has failed with err, and returns the cause: the
// reader's, if it finds one within causeWait.
func (s *Session) writeFailed(err error) error {
	select {
	case <-s.dead:
	case <-time.After(causeWait):
		s.Abort(s.cfg.Cause(err))
	}
	return s.cause
}

// Seal refuses Fresh and Again messages from now on.
func (s *Session) Seal() { s.out.seal() }

// Unacknowledged returns how many tracked messages were written that no PONG has acknowledged.
func (s *Session) Unacknowledged() int64 {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.accounts.unacknowledged()
}

// tasks are the goroutines of a session.
type tasks struct {
	mu      sync.Mutex // guards ended
	ended   bool       // none is started any more
	running sync.WaitGroup
}

// start runs f, which may wait for the stream, on a goroutine of its own. It does nothing once wait
// was called.
func (t *tasks) start(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.running.Go(f)
	}
}

// replace runs f on a new goroutine, in place of the calling one, which must end then. It works
// after wait was called, too: the caller still runs, so wait waits for f as well.
func (t *tasks) replace(f func()) { t.running.Go(f) }

// wait waits until all goroutines have ended.
func (t *tasks) wait() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.running.Wait()
}
