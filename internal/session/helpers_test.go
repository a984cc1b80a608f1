package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/window"
	"github.com/apigws/apigws/internal/ws"
)

var (
	errClosed = errors.New("stream closed")
	errBroken = errors.New("stream broken")
	errEnded  = errors.New("test ended")
)

// A link is a stream in memory, seen from the session, and what its peer does. A write is taken at
// once unless permits is set, and waits neither for a read of the peer nor for the session's own.
type link struct {
	in      chan []byte   // what the session reads; closed: the stream ends, with inErr or io.EOF
	inErr   error         // set before in is closed
	permits chan error    // if not nil, each write waits for one, and fails with it if it is not nil
	partial int           // how many bytes a write takes that fails
	closed  chan struct{} // closed by Close
	deaf    bool          // Close does not end a write that waits
	late    atomic.Int32  // writes after Close
	resets  atomic.Int32  // counted before Close
	rest    []byte        // of what was taken from in: what TLS would hold
	ended   bool          // in is closed
	record  int           // a Read returns at most so many bytes; 0: there is no such bound

	blocking    bool        // SetNonblocking does not work
	nonblocking bool        // a Read takes nothing from in
	awaitErr    error       // what AwaitInput returns when something has come in
	waiting     atomic.Bool // one of them waits
	path        path        // what the kernel tells of it

	mu     sync.Mutex // guards what follows
	out    []byte     // what the session has written
	writes []int      // the size of each write
	calls  int        // of Close
}

func newLink() *link {
	return &link{in: make(chan []byte, 256), closed: make(chan struct{})}
}

func (l *link) Read(p []byte) (int, error) {
	if len(l.rest) == 0 && l.nonblocking {
		return 0, fmt.Errorf("wrapped: %w", os.ErrDeadlineExceeded)
	}
	// What has arrived is read even if the stream was closed meanwhile.
	for l.takeArrived(); len(l.rest) == 0; l.wait() {
		switch {
		case l.ended && l.inErr != nil:
			return 0, l.inErr
		case l.ended:
			return 0, io.EOF
		case l.isClosed():
			return 0, errClosed
		}
	}
	if l.record > 0 {
		p = p[:min(len(p), l.record)]
	}
	n := copy(p, l.rest)
	if l.rest = l.rest[n:]; len(l.rest) == 0 {
		l.rest = nil
	}
	return n, nil
}

// takeArrived takes what has come in.
func (l *link) takeArrived() {
	for len(l.rest) == 0 && !l.ended {
		select {
		case b, ok := <-l.in:
			l.rest, l.ended = b, !ok
		default:
			return
		}
	}
}

// wait waits until something comes in, or the stream is closed.
func (l *link) wait() {
	select {
	case b, ok := <-l.in:
		l.rest, l.ended = b, !ok
	case <-l.closed:
	}
}

func (l *link) Write(p []byte) (int, error) {
	var err error
	select {
	case <-l.closed:
		if l.late.Add(1) > 1000 {
			panic("a session writes again and again to a stream that is closed")
		}
		return 0, errClosed
	default:
	}
	if l.permits != nil {
		closed := l.closed
		if l.deaf {
			closed = nil
		}
		select {
		case err = <-l.permits:
		case <-closed:
			return 0, errClosed
		}
	}
	if err != nil {
		p = p[:min(len(p), l.partial)]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = append(l.out, p...)
	l.writes = append(l.writes, len(p))
	return len(p), err
}

func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls++; l.calls == 1 {
		close(l.closed)
	}
	return nil
}

// kernel is the Socket of a link.
type kernel struct{ *link }

func (l kernel) SetNonblocking(on bool) bool {
	works := !l.blocking && !l.isClosed()
	l.nonblocking = on && works
	return works
}

// AwaitInput takes from in, so that rest is then what the socket has.
func (l kernel) AwaitInput() error {
	if l.nonblocking {
		panic("AwaitInput while the stream is nonblocking")
	}
	l.waiting.Store(true)
	defer l.waiting.Store(false)
	if l.takeArrived(); len(l.rest) == 0 && !l.ended {
		l.wait()
	}
	return l.awaitErr
}

func (l kernel) Mark() { l.path.marks.Add(1) }

func (l kernel) Progress() Progress {
	l.path.asked.Add(1)
	l.path.mu.Lock()
	defer l.path.mu.Unlock()
	p := l.path.progress
	if l.path.ago > 0 {
		p.Last = time.Now().Add(-l.path.ago)
	}
	return p
}

// A path is what the kernel tells of that to the peer.
type path struct {
	marks atomic.Int32 // how often Mark was called
	asked atomic.Int32 // how often Progress was

	mu       sync.Mutex // guards what follows
	progress Progress
	ago      time.Duration // since progress.Last; 0: that is as it is
}

func (p *path) set(progress Progress, ago time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress, p.ago = progress, ago
}

func (l kernel) Reset() {
	if !l.isClosed() { // a reset that comes later resets nothing
		l.resets.Add(1)
	}
}

// isClosed reports whether the session has closed the stream.
func (l *link) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// A frame is one as the peer sees it.
type frame struct {
	op      ws.Opcode
	payload string
}

// frames returns what the session has written so far. A frame that is not complete is left out.
func (l *link) frames() []frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []frame
	for p := l.out; len(p) >= 2; {
		n, head := int(p[1]&0x7f), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(p[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(p[2:])), 10
		}
		if len(p) < head+4+n {
			break
		}
		key, payload := p[head:head+4], slices.Clone(p[head+4:head+4+n])
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		all = append(all, frame{ws.Opcode(p[0] & 0xf), string(payload)})
		p = p[head+4+n:]
	}
	return all
}

// wrote returns the payloads of the frames of one kind.
func (l *link) wrote(op ws.Opcode) []string {
	var all []string
	for _, f := range l.frames() {
		if f.op == op {
			all = append(all, f.payload)
		}
	}
	return all
}

// bring lets the session read frames, which come in one packet.
func (l *link) bring(frames ...[]byte) { l.in <- slices.Concat(frames...) }

// The frames of a peer.

func peerFrame(op ws.Opcode, payload []byte) []byte {
	b := []byte{0x80 | byte(op)}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func text(s string) []byte      { return peerFrame(ws.Text, []byte(s)) }
func pingFrame(s string) []byte { return peerFrame(ws.Ping, []byte(s)) }
func pongOf(n int) []byte       { return peerFrame(ws.Pong, strconv.AppendInt(nil, int64(n), 10)) }

func closeFrame(code int, reason string) []byte {
	return peerFrame(ws.Close, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// breach is a frame that RFC 6455 does not allow: its reserved bits are set.
var breach = []byte{0xf1, 0}

// config returns a Config as a client without a window has it.
func config() *Config {
	return &Config{
		Frame:        32 << 10,
		Message:      128 << 10,
		WriteTimeout: 10 * time.Second,
		Traffic:      new(Traffic),
		Notify:       func() {},
		Cause:        func(err error) error { return err },
	}
}

// withWindow returns a Config as a client with a window has it.
func withWindow() *Config {
	cfg := config()
	cfg.Window = window.New(1 << 20)
	return cfg
}

// A rig is a session, with what is at its ends.
type rig struct {
	*Session
	t     *testing.T
	link  *link
	queue *queue.Queue
}

// begin starts a session. When the test ends, so does the session.
func begin(t *testing.T, cfg *Config, change ...func(*link)) *rig {
	l := newLink()
	for _, f := range change {
		f(l)
	}
	r := &rig{t: t, link: l, queue: queue.New()}
	r.Session = New(cfg, l, kernel{l}, r.queue)
	t.Cleanup(func() {
		if l.permits != nil && l.deaf {
			close(l.permits)
		}
		r.Abort(errEnded)
		r.Wait()
	})
	return r
}

// stuck makes each write wait for a permit.
func stuck(l *link) { l.permits = make(chan error) }

// inBubble runs a test whose time is that of a bubble.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// send sends a message that nothing holds up.
func (r *rig) send(s string, kind Kind) {
	r.t.Helper()
	if outcome, err := r.Send(context.Background(), []byte(s), kind); outcome != Sent || err != nil {
		r.t.Fatalf("Send(%q) = %v, %v", s, outcome, err)
	}
}

// keep makes room in the window for s, and sends it.
func (r *rig) keep(s string) {
	r.t.Helper()
	r.cfg.Window.TryReserve(len(s))
	r.send(s, Fresh)
}

// A result is what Send has returned.
type result struct {
	outcome Outcome
	err     error
}

// sending sends a message on a goroutine of its own, and returns when that waits or has ended.
func (r *rig) sending(s string, kind Kind) <-chan result {
	c := make(chan result, 1)
	go func() {
		outcome, err := r.Send(context.Background(), []byte(s), kind)
		c <- result{outcome, err}
	}()
	synctest.Wait()
	return c
}

// pop returns the messages that have come, without waiting for more.
func (r *rig) pop() []string {
	var all []string
	ended, end := context.WithCancel(context.Background())
	end()
	for {
		synctest.Wait()
		it, ok := r.queue.Pop(ended)
		if !ok {
			return all
		}
		if it.Skipped() {
			all = append(all, "skipped")
			continue
		}
		all = append(all, string(it.Data))
	}
}

// must fails the test unless what comes out of c at once is want.
func must[T comparable](t *testing.T, c <-chan T, want T) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-c:
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	default:
		t.Errorf("still waits; want %v", want)
	}
}

// waits fails the test if anything comes out of c.
func waits[T any](t *testing.T, c <-chan T) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-c:
		t.Errorf("got %v; want it to wait", got)
	default:
	}
}

// done runs f on a goroutine of its own, and returns a channel that brings what f returns.
func done[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	synctest.Wait()
	return c
}

// equal fails the test unless got is want.
func equal[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b T) bool { return any(a) == any(b) }) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// died fails the test unless the session has ended, because of cause.
func (r *rig) died(cause error) {
	r.t.Helper()
	synctest.Wait()
	if !r.IsDead() {
		r.t.Fatalf("the session lives on, want %v", cause)
	}
	if got := r.Cause(); got != cause {
		r.t.Errorf("cause %v, want %v", got, cause)
	}
}

// lives fails the test if the session has ended.
func (r *rig) lives() {
	r.t.Helper()
	synctest.Wait()
	if r.IsDead() {
		r.t.Fatalf("the session has ended: %v", r.Cause())
	}
}

func big(n int) string { return string(bytes.Repeat([]byte("x"), n)) }
