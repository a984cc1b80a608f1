package apigws

import (
	"context"
	"sync"
)

// A line says which connection is in use. The run loop alone sets it.
type line struct {
	ended  <-chan struct{} // closed when the client ends
	reason func() error    // why it does

	mu      sync.Mutex    // guards what follows
	current *connection   // nil while there is none to write to
	changed chan struct{} // closed when current changes; nil while nobody waits for that
	last    *connection   // the last that was in use
}

// set makes conn the connection in use; nil makes writers wait.
func (l *line) set(conn *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = conn
	if conn != nil {
		l.last = conn
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// inUse returns the connection in use; nil if there is none.
func (l *line) inUse() *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// other returns the connection in use if there is one and it is not the given one; otherwise nil,
// and what is closed when that changes.
func (l *line) other(than *connection) (conn *connection, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil && l.current != than {
		return l.current, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return nil, l.changed
}

// lastUsed returns the connection in use, or the last that was; nil if there was none.
func (l *line) lastUsed() *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// await returns the connection in use, waiting for one other than not until ctx ends or the client
// does.
func (l *line) await(ctx context.Context, not *connection) (*connection, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case <-l.ended:
			return nil, l.reason()
		default:
		}
		conn, changed := l.other(not)
		if conn != nil {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-l.ended:
		}
	}
}
