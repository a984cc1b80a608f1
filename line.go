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
	changed chan struct{} // closed when current changes
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
	close(l.changed)
	l.changed = make(chan struct{})
}

// inUse returns the connection in use, nil if there is none, and what is closed when that changes.
func (l *line) inUse() (conn *connection, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current, l.changed
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
		conn, changed := l.inUse()
		if conn != nil && conn != not {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-l.ended:
		}
	}
}
