package gatewaytest

import (
	"maps"
	"slices"
	"sync"
)

// mostEnded is how many connections that have ended a Server keeps for AllConns, the last ones.
const mostEnded = 1000

// A registry holds the connections of a Server: those that live, and the last that have ended.
type registry struct {
	mu      sync.Mutex // guards all below
	closed  bool
	live    map[string]*Conn // by id, until nobody reads from them any more
	known   map[int]*Conn    // by number: those, and mostEnded that have ended
	ended   []int            // the numbers of the latter, oldest first
	newest  int              // numbers count from 1
	next    int              // the number after the last that Accept returned
	arrived signal           // or closed
}

func newRegistry() registry {
	return registry{live: map[string]*Conn{}, known: map[int]*Conn{}, next: 1}
}

// add registers a connection. It reports whether the Server was still there to take it.
func (r *registry) add(c *Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.newest++
	c.number = r.newest
	r.live[c.id] = c
	r.known[c.number] = c
	r.arrived.send()
	return true
}

// remove notes that nobody reads from a connection any more.
func (r *registry) remove(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[c.id] != c { // was never added
		return
	}
	delete(r.live, c.id)
	if r.ended = append(r.ended, c.number); len(r.ended) > mostEnded {
		delete(r.known, r.ended[0])
		r.ended = r.ended[1:]
	}
}

// close makes add fail. It returns the connections that live.
func (r *registry) close() []*Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.arrived.send()
	return slices.Collect(maps.Values(r.live))
}

// get returns the connection with an id, or nil.
func (r *registry) get(id string) *Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[id]
}

// all returns the connections that are known, oldest first.
func (r *registry) all() []*Conn {
	r.mu.Lock()
	conns := slices.Collect(maps.Values(r.known))
	r.mu.Unlock()
	slices.SortFunc(conns, func(a, b *Conn) int { return a.number - b.number })
	return conns
}

// count returns how many connections were ever added.
func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest
}

// accept returns the next connection in order of arrival. If there is none, it returns a channel
// that is closed when that has changed, and whether none will come any more.
func (r *registry) accept() (c *Conn, changed <-chan struct{}, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.next <= r.newest; r.next++ {
		if c := r.known[r.next]; c != nil {
			r.next++
			return c, nil, false
		}
	}
	return nil, r.arrived.wait(), r.closed
}

// A signal wakes all who wait for a change. The mutex that guards what changes guards the signal,
// too. The zero value is ready, and one for which nobody waits costs nothing.
type signal struct{ ch chan struct{} }

// wait returns a channel that the next send closes.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) send() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
