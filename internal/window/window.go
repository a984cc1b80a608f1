// Package window keeps the messages of a client with Options.Resend until they are acknowledged.
package window

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrStopped is returned by calls that wait when their stop channel is closed.
var ErrStopped = errors.New("window: stopped")

// A Window bounds how much is sent and not acknowledged: calls that reserve room wait for
// acknowledgements. All methods may be called concurrently.
//
// A Reserve that finds no room joins waiting. Whoever gives room back reserves for those of waiting
// that fit, in order, and then wakes their calls: such a call has nothing left to do, and nothing
// can overtake it. A Flush waits until changed is closed, and looks again. Both are in settle,
// which every method calls that lets messages or reservations go.
type Window struct {
	mu      sync.Mutex // guards what follows
	log     Log
	waiting []*reservation // first come, first served
	changed chan struct{}  // closed when messages leave the log; nil when no Flush waits
}

// A reservation is a call of Reserve that waits.
type reservation struct {
	n    int
	made chan struct{} // closed when it has its room
}

// New returns an empty window with room for limit bytes.
func New(limit int) *Window { return &Window{log: Log{Limit: limit}} }

// Reserve makes room for a message of n bytes, for which Add or Release is to be called. It waits
// for room until ctx has ended or stop is closed, and returns ctx.Err() or ErrStopped then; when
// there is room at once it looks at neither. First come, first served. A message counts for at
// least 64 bytes; one that is larger than the window has room when the window is empty.
func (w *Window) Reserve(ctx context.Context, stop <-chan struct{}, n int) error {
	w.mu.Lock()
	if w.tryReserve(n) {
		w.mu.Unlock()
		return nil
	}
	r := &reservation{n, make(chan struct{})}
	w.waiting = append(w.waiting, r)
	w.mu.Unlock()

	var err error
	select {
	case <-r.made:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-stop:
		err = ErrStopped
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, r)
	if i < 0 {
		return nil // it was made meanwhile
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	w.settle() // those behind it may be smaller
	return err
}

// TryReserve makes room for a message of n bytes if there is some and no Reserve waits, and reports
// whether it did.
func (w *Window) TryReserve(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tryReserve(n)
}

func (w *Window) tryReserve(n int) bool {
	if len(w.waiting) > 0 || !w.log.Fits(n) {
		return false
	}
	w.log.Reserve(n)
	return true
}

// Release gives back what was reserved for a message of n bytes that was not added.
func (w *Window) Release(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Release(n)
	w.settle()
}

// Add keeps a copy of p, for which room was reserved.
func (w *Window) Add(p []byte) {
	p = slices.Clone(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Add(p)
}

// Acknowledge drops the n oldest messages: they have arrived. It panics if there are not as many.
func (w *Window) Acknowledge(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Acknowledge(n)
	w.settle()
}

// Reject takes the oldest message out of the window: the gateway refused it. It is kept for
// Unconfirmed; of the messages rejected, the last are kept, as many as would fit into the window,
// and always the last one. It panics if there is no message.
func (w *Window) Reject() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Reject()
	w.settle()
}

// Suspect reports whether it is known for which message the peer has closed a connection; see Log.
func (w *Window) Suspect() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Suspect()
}

// OneByOne reports whether messages are to be resent one at a time; see Log.
func (w *Window) OneByOne() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.OneByOne()
}

// Resent says that all messages have been sent again; see Log.
func (w *Window) Resent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Resent()
}

// Flush waits until all messages that are in the window now have left it. It returns ctx.Err() or
// ErrStopped if ctx has ended or stop is closed before.
func (w *Window) Flush(ctx context.Context, stop <-chan struct{}) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	goal := w.log.Left() + int64(w.log.Len())
	for err := error(nil); w.log.Left() < goal; {
		if err != nil {
			return err
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-stop:
			err = ErrStopped
		}
		w.mu.Lock()
	}
	return nil
}

// Unconfirmed returns copies of the messages that were not seen to arrive: those rejected, then
// those that are in the window.
func (w *Window) Unconfirmed() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Unconfirmed()
}

// Kept returns the messages that are in the window now, oldest first. They must not be changed.
func (w *Window) Kept() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Kept()
}

// Len returns how many messages are in the window.
func (w *Window) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Len()
}

// settle makes the waiting reservations that fit now, and wakes those who wait for something that
// has happened. w.mu is held.
func (w *Window) settle() {
	for len(w.waiting) > 0 && w.log.Fits(w.waiting[0].n) {
		r := w.waiting[0]
		w.waiting = slices.Delete(w.waiting, 0, 1)
		w.log.Reserve(r.n)
		close(r.made)
	}
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}
