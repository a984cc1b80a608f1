package apigws

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// batchLimit is the size at which a batch takes no further messages.
const batchLimit = 64 << 10

// gatherLimit is how long gather may take, gatherPause how long it is left out
// when it took longer.
const gatherLimit, gatherPause = time.Millisecond, time.Second

// errSealed refuses messages on a connection that is being left.
var errSealed = errors.New("apigws: connection takes no more messages")

// A wire is the byte stream under one connection. What the client sends is put
// into frames here, because the promises of this package depend on it: which
// message has left whole, which messages a PONG confirms, how large a frame is.
//
// Writers that come while a write is under way share the next one: the first
// of them leads the batch, waits for its turn and writes it, the others
// follow. A lone writer writes at once, on its own goroutine; one of a crowd
// lets the others run first, so that a batch holds a message of each.
//
// All methods may be called concurrently, but for Read.
type wire struct {
	rwc     io.ReadWriteCloser
	frame   int           // bytes of payload per frame, at most
	timeout time.Duration // of one write
	window  *window       // where tracked messages are kept; nil: nowhere
	sent    *atomic.Int64 // counts PINGs

	// beforeRead is called, by the reader, when all that has come in is used
	// up and it may have to wait for more.
	beforeRead func()

	start    time.Time     // what lastRead counts from
	lastRead atomic.Int64  // when bytes last came in
	reads    atomic.Int64  // how often bytes came in
	turn     chan struct{} // holds a token while somebody writes to rwc

	// Who has the turn uses these.
	abort   *time.Timer // ends a write that takes too long
	crowded int         // above 0: several writers shared one of the last two batches
	hurry   time.Time   // until then, gather does nothing

	mu       sync.Mutex // guards what follows; never held while reading or writing
	keys     maskKeys
	pending  *batch // takes frames until its leader has the turn
	err      error  // set when the stream is broken or closed: nothing goes out
	sealed   bool   // messages are refused, control frames are not
	closing  bool   // the CLOSE frame is out: what comes after it is dropped
	settled  bool   // the window is no longer this wire's
	appended int64  // tracked messages put into batches
	handed   int64  // of those, how many the socket took in a write without error
	proven   int64  // how many a PONG has confirmed
	pings    uint64 // number of the last PING
	barriers []barrier
}

// A barrier is a PING whose PONG is awaited. PONGs come in order, so one
// proves that the peer has every message that went before its PING.
type barrier struct {
	ping     uint64
	messages int64         // tracked messages before it
	sent     time.Time     // when it was put into a batch
	reads    int64         // wire.reads at that time
	done     chan struct{} // closed when its PONG has come; nil if nobody waits
}

// A batch is a run of frames that leave in one write.
type batch struct {
	buf     []byte
	tracked int64         // tracked messages in it
	done    chan struct{} // closed when it has been written; nil as long as nobody follows
	n       int           // bytes that the socket took
	err     error
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// tracking says what a message is to the accounts of a wire.
type tracking int

const (
	untracked tracking = iota // of the connection: keepalive, what OnConnect writes
	fresh                     // of the application
	again                     // of the application, already in the window
)

// verdict says what became of a message.
type verdict int

const (
	taken   verdict = iota // by the socket, all of it
	refused                // before it was put into a batch
	cut                    // before its last byte: the peer cannot deliver it
	unknown                // all of it left, but the write failed
)

func (c *Client) newWire(rwc io.ReadWriteCloser, beforeRead func()) *wire {
	return &wire{
		rwc:     rwc,
		frame:   c.opts.Limits.Frame,
		timeout: c.opts.WriteTimeout,
		window:  c.window,
		sent:    &c.counters.pings,

		beforeRead: beforeRead,

		start: time.Now(),
		turn:  make(chan struct{}, 1),
	}
}

// message sends p as one text message. ctx counts only as long as p waits for
// a batch with room. A fresh message is kept in the window, if there is one, in
// the order in which it leaves.
func (w *wire) message(ctx context.Context, p []byte, as tracking) (verdict, error) {
	w.mu.Lock()
	for w.err == nil && !w.sealed && w.pending != nil && len(w.pending.buf) >= batchLimit {
		full := w.pending.follow()
		w.mu.Unlock()
		select {
		case <-full:
		case <-ctx.Done():
			return refused, ctx.Err()
		}
		w.mu.Lock()
	}
	err := w.err
	switch {
	case err != nil:
	case w.sealed:
		err = errSealed
	case w.closing:
		err = net.ErrClosed
	}
	if err != nil {
		w.mu.Unlock()
		return refused, err
	}
	b, leads := w.join()
	b.buf = appendMessage(b.buf, p, w.frame, &w.keys)
	end := len(b.buf)
	if as != untracked {
		b.tracked++
		w.appended++
	}
	if w.window != nil && as == fresh {
		w.window.add(p)
	}
	if w.window != nil && as != untracked && len(w.barriers) == 0 {
		w.appendPing(b) // the next one follows its PONG, see pong
	}
	w.mu.Unlock()
	return w.finish(b, leads, end)
}

// ping sends a PING. done, when not nil, is closed when the PONG has come. After
// a CLOSE it is errSealed: nothing may follow one, and the connection is well.
func (w *wire) ping(done chan struct{}) error {
	w.mu.Lock()
	if w.err != nil || w.closing {
		err := w.err
		w.mu.Unlock()
		if err == nil {
			err = errSealed
		}
		return err
	}
	b, leads := w.join()
	w.appendPing(b)
	w.barriers[len(w.barriers)-1].done = done
	end := len(b.buf)
	w.mu.Unlock()
	_, err := w.finish(b, leads, end)
	return err
}

// appendPing appends a PING to b and notes what its PONG will prove; w.mu is
// held.
func (w *wire) appendPing(b *batch) {
	w.pings++
	w.sent.Add(1)
	var payload [20]byte
	b.buf = appendFrame(b.buf, opPing|finBit, strconv.AppendUint(payload[:0], w.pings, 10), w.keys.next())
	w.barriers = append(w.barriers, barrier{
		ping:     w.pings,
		messages: w.appended,
		sent:     time.Now(),
		reads:    w.reads.Load(),
	})
}

// pong notes the PONG with the given payload: it answers its PING and, as
// RFC 6455 allows, all PINGs before it. It returns the round trip of its PING,
// and whether tracked messages are left that no PING on its way will prove.
func (w *wire) pong(payload []byte) (rtt time.Duration, more, ok bool) {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || len(w.barriers) == 0 || number < w.barriers[0].ping || number > w.pings {
		return 0, false, false
	}
	n := int(number-w.barriers[0].ping) + 1 // their numbers are consecutive
	last := w.barriers[n-1]
	for _, b := range w.barriers[:n] {
		if b.done != nil {
			close(b.done)
		}
	}
	w.barriers = append(w.barriers[:0], w.barriers[n:]...)
	w.proveUpTo(last.messages)
	return time.Since(last.sent), len(w.barriers) == 0 && w.appended > w.proven, true
}

// proveUpTo notes that the first n tracked messages have arrived; w.mu is
// held.
func (w *wire) proveUpTo(n int64) {
	if w.window != nil && !w.settled {
		w.window.confirm(int(n - w.proven))
	}
	w.proven = n
}

// unanswered returns when the oldest PING was sent after which nothing at all
// came in; when there is none, it returns with silent false when the oldest
// PING was sent whose PONG is awaited.
func (w *wire) unanswered() (sent time.Time, silent, ok bool) {
	reads := w.reads.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.barriers) == 0 {
		return time.Time{}, false, false
	}
	for _, b := range w.barriers {
		if b.reads == reads {
			return b.sent, true, true
		}
	}
	return w.barriers[0].sent, false, true
}

// lastPing returns when the last PING was sent, if its PONG is still awaited.
func (w *wire) lastPing() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.barriers) == 0 {
		return time.Time{}
	}
	return w.barriers[len(w.barriers)-1].sent
}

// unproven returns how many tracked messages no PONG has confirmed.
func (w *wire) unproven() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.appended - w.proven
}

// close sends a CLOSE frame; nothing is sent after it. If there is anything to
// prove, a PING goes before it: its PONG comes before the answer, and also if
// the peer answers no CLOSE.
func (w *wire) close(code int) error {
	w.mu.Lock()
	if w.err != nil || w.closing {
		w.mu.Unlock()
		return net.ErrClosed
	}
	w.closing = true
	b, leads := w.join()
	if w.appended > w.proven {
		w.appendPing(b)
	}
	var payload []byte
	if code != 1005 {
		payload = binary.BigEndian.AppendUint16(nil, uint16(code))
	}
	b.buf = appendFrame(b.buf, opClose|finBit, payload, w.keys.next())
	end := len(b.buf)
	w.mu.Unlock()
	_, err := w.finish(b, leads, end)
	return err
}

// seal refuses messages from now on.
func (w *wire) seal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = true
}

// settle waits for the write under way, if any, and returns how many tracked
// messages the socket took and no PONG confirmed. The wire must have been
// closed, so that no write follows.
func (w *wire) settle() int64 {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled = true
	return max(0, w.handed-w.proven)
}

// answer sends the PONG to a PING. That it fails is not told to the reader who calls it:
// what has arrived is to be read to its end even if a PONG found the path
// broken. Other writes meet the error.
func (w *wire) answer(ping []byte) {
	w.mu.Lock()
	if w.err != nil || w.closing { // RFC 6455, section 5.5.1: nothing follows a CLOSE
		w.mu.Unlock()
		return
	}
	b, leads := w.join()
	b.buf = appendFrame(b.buf, opPong|finBit, ping, w.keys.next())
	end := len(b.buf)
	w.mu.Unlock()
	w.finish(b, leads, end)
}

// Read notes that the peer is alive.
func (w *wire) Read(p []byte) (int, error) {
	w.beforeRead()
	n, err := w.rwc.Read(p)
	if n > 0 {
		w.lastRead.Store(int64(time.Since(w.start)))
		w.reads.Add(1)
	}
	return n, err
}

// Close ends the stream at once.
func (w *wire) Close() error {
	w.breakOff(net.ErrClosed)
	return nil
}

// breakOff closes the stream, so that a write under way returns, and lets err
// be the reason, unless there is one.
func (w *wire) breakOff(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.rwc.Close()
}

// failure returns why nothing goes out any more, and nil as long as it does.
func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// join returns the batch to append to, and whether the caller leads it; w.mu
// is held.
func (w *wire) join() (b *batch, leads bool) {
	if w.pending != nil {
		w.pending.follow()
		return w.pending, false
	}
	w.pending = batches.Get().(*batch)
	return w.pending, true
}

// follow returns a channel that is closed when b has been written; the wire's
// mu is held.
func (b *batch) follow() <-chan struct{} {
	if b.done == nil {
		b.done = make(chan struct{})
	}
	return b.done
}

// finish writes b, or waits until its leader has, and says what became of the
// bytes before end.
func (w *wire) finish(b *batch, leads bool, end int) (verdict, error) {
	if leads {
		w.write(b)
	} else {
		<-b.done
	}
	n, err := b.n, b.err
	if leads {
		recycle(b)
	}
	switch {
	case err == nil:
		return taken, nil
	case n < end:
		return cut, err
	default:
		return unknown, err
	}
}

// recycle gives the buffer of a written batch to the next one, unless it is so
// large that keeping it would be a waste.
func recycle(b *batch) {
	if cap(b.buf) > 4*batchLimit {
		return
	}
	if b.done != nil { // followers still read its n and err
		b = &batch{buf: b.buf}
	}
	*b = batch{buf: b.buf[:0]}
	batches.Put(b)
}

// gather lets those who shared a batch a moment ago, and have only just been woken,
// join the next one. That costs a lone writer nothing. But where others want
// the processors too, it can be long until the caller runs again: then it is
// left out for a while, and batches are what comes during a write.
func (w *wire) gather() {
	if w.crowded == 0 {
		return
	}
	start := time.Now()
	if start.Before(w.hurry) {
		return
	}
	runtime.Gosched()
	if now := time.Now(); now.Sub(start) > gatherLimit {
		w.hurry = now.Add(gatherPause)
	}
}

// write sends b when its turn has come.
func (w *wire) write(b *batch) {
	w.turn <- struct{}{}
	w.gather()
	w.mu.Lock()
	if b.done != nil {
		w.crowded = 2 // the scheduler may let nobody in once
	} else if w.crowded > 0 {
		w.crowded--
	}
	w.pending = nil // from here on, b is the leader's
	err := w.err
	w.mu.Unlock()

	if err == nil {
		if w.abort == nil {
			w.abort = time.AfterFunc(w.timeout, func() { w.breakOff(ErrWriteTimeout) })
		} else {
			w.abort.Reset(w.timeout)
		}
		b.n, err = w.rwc.Write(b.buf)
		w.abort.Stop()
	}

	w.mu.Lock()
	if err == nil {
		w.handed += b.tracked
	} else if w.err == nil {
		w.err = err
	}
	if err != nil {
		b.err = w.err // why it was broken off rather than that it was
	}
	w.mu.Unlock()
	<-w.turn
	if b.done != nil {
		close(b.done)
	}
}
