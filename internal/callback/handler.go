package callback

import (
	"context"
	"log/slog"
	"sync"
)

// A Handler passes log records to another slog.Handler, in order and on a goroutine of its own, so
// that one that blocks holds nobody up. While it blocks, a bounded number of records wait. Further
// ones are dropped, and the next one after them says how many, as lines_dropped.
type Handler struct {
	next  slog.Handler
	least slog.Level
	lines *lines // shared with what WithAttrs and WithGroup return
}

// lines are the records that wait.
type lines struct {
	queue Queue
	limit int

	mu      sync.Mutex // guards what follows; held while queue is called, which does not wait
	dropped int        // since the last that was queued
}

// NewHandler returns a Handler that passes to next what is not below least. limit is how many
// records may wait.
func NewHandler(next slog.Handler, least slog.Level, limit int) *Handler {
	return &Handler{next, least, &lines{limit: limit}}
}

// Enabled reports whether level is not below the least. What next says of it is asked later, on the
// goroutine on which next runs.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

// Handle queues a record for next and returns nil.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	l := h.lines
	r = r.Clone()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		r.Add("lines_dropped", l.dropped)
	}
	queued := l.queue.TryRun(l.limit, func() {
		if h.next.Enabled(ctx, r.Level) {
			h.next.Handle(ctx, r)
		}
	})
	if queued {
		l.dropped = 0
	} else {
		l.dropped++
	}
	return nil
}

// WithAttrs returns a Handler whose records have attrs. They share the queue of those of h.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.next.WithAttrs(attrs), h.least, h.lines}
}

// WithGroup returns a Handler whose records are in a group. They share the queue of those of h.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.next.WithGroup(name), h.least, h.lines}
}

// WaitContext waits until next has had all records that are queued, or until ctx has ended. It
// returns ctx.Err() if the wait was in vain.
func (h *Handler) WaitContext(ctx context.Context) error { return h.lines.queue.WaitContext(ctx) }
