package clienttest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/apigws/apigws"
)

// A Journal keeps what OnState was told.
type Journal struct {
	mu      sync.Mutex // guards what follows
	changes []apigws.StateChange
}

// Note is an OnState.
func (j *Journal) Note(_ *apigws.Client, s apigws.StateChange) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changes = append(j.changes, s)
}

// All returns the changes so far.
func (j *Journal) All() []apigws.StateChange {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.changes)
}

// Waits returns the times that the client announced to wait, in order.
func (j *Journal) Waits() []time.Duration {
	var ds []time.Duration
	for _, s := range j.All() {
		if s.To == apigws.StateBackoff {
			ds = append(ds, s.RetryIn)
		}
	}
	return ds
}

// Gaps keeps how long no connection was in use before each one.
type Gaps struct {
	mu  sync.Mutex // guards what follows
	all []time.Duration
}

// OnConnect notes the gap.
func (g *Gaps) OnConnect(_ context.Context, conn *apigws.Conn) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, conn.Gap())
	return nil
}

// All returns the gaps so far.
func (g *Gaps) All() []time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.all)
}
