package apigws

import (
	"context"
	"slices"
	"sync"
)

// A window keeps the messages of a client with Options.Resend until they are
// known to have arrived. They stand in it in the order in which they were put
// on the wire. All methods may be called concurrently.
type window struct {
	limit int
	queue chan struct{} // holds a token while somebody waits for room: first come, first served

	mu       sync.Mutex    // guards what follows
	kept     [][]byte      // not confirmed, oldest first
	used     int           // bytes in kept and reserved for what comes
	changed  chan struct{} // closed when something was confirmed; nil if nobody waits
	finished int64         // messages that left the window at its front
	rejected [][]byte      // for which the gateway closed a connection
}

func newWindow(limit int) *window {
	return &window{limit: limit, queue: make(chan struct{}, 1)}
}

// reserve makes room for n bytes, waiting for confirmations until ctx ends or
// stop is closed. A message larger than the whole window has room when the
// window is empty.
func (w *window) reserve(ctx context.Context, stop <-chan struct{}, n int) error {
	select {
	case w.queue <- struct{}{}:
		defer func() { <-w.queue }()
	case <-ctx.Done():
		return ctx.Err()
	case <-stop:
		return ErrClosed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.used > 0 && w.used+n > w.limit {
		if err := w.wait(ctx, stop); err != nil {
			return err
		}
	}
	w.used += n
	return nil
}

// release gives back what was reserved for a message that was not added.
func (w *window) release(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= n
	w.notify()
}

// add keeps a copy of p, for which room was reserved.
func (w *window) add(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, slices.Clone(p))
}

// confirm drops the n oldest messages.
func (w *window) confirm(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(n)
}

func (w *window) drop(n int) {
	for _, p := range w.kept[:n] {
		w.used -= len(p)
	}
	clear(w.kept[:n])
	w.kept = w.kept[n:]
	w.finished += int64(n)
	w.notify()
}

// reject takes the oldest message out: the gateway refused it.
func (w *window) reject() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rejected = append(w.rejected, w.kept[0])
	w.drop(1)
}

// flush waits until all that is in the window now has left it.
func (w *window) flush(ctx context.Context, stop <-chan struct{}) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	goal := w.finished + int64(len(w.kept))
	for w.finished < goal {
		if err := w.wait(ctx, stop); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for the next change; w.mu is held before and after, not while
// waiting.
func (w *window) wait(ctx context.Context, stop <-chan struct{}) error {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	changed := w.changed
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-stop:
		return ErrClosed
	}
}

func (w *window) notify() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// unconfirmed returns what was never seen to arrive: the rejected messages,
// then those that are kept.
func (w *window) unconfirmed() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Concat(w.rejected, w.kept)
	for i, p := range all {
		all[i] = slices.Clone(p) // what is kept may still be sent
	}
	return all
}

func (w *window) snapshot() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kept)
}

func (w *window) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kept)
}
