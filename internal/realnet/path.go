//go:build linux && realnet

package realnet

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A path carries the packets of all lines between the TUN devices of the two ends. It knows nothing
// of connections but what a router on the way could see, so that it is the kernels of both ends
// that deal with what it does.
//
// The slow link is made here and not by tc: a queue of the client's own kernel would push back on
// its sockets (TCP small queues), as the queue of a modem or of a base station does not.
type path struct {
	lines   []*line // without a number 0
	gateway *os.File
	readers sync.WaitGroup
}

// A line is the part of the path that one client has for itself.
type line struct {
	up, down *pipe // from the client, and to it

	mu     sync.Mutex // guards what follows
	flows  map[netip.AddrPort]*flow
	number int // of the current address of the client
}

// A flow is one TCP connection, known by the client's address and port.
type flow struct {
	client, gateway netip.AddrPort
	clientNext      uint32 // sequence numbers: what the client sends next, as far as has been seen
	gatewayNext     uint32 // what the gateway sends next
	clientWants     uint32 // what the client acknowledged
	gatewayWants    uint32 // what the gateway acknowledged
	cut             bool   // the path has forgotten it, as a NAT may: its packets are dropped
}

func newPath(gateway *os.File, clients []*os.File) *path {
	p := &path{gateway: gateway}
	for _, f := range clients {
		p.lines = append(p.lines, &line{
			up:     newPipe(gateway),
			down:   newPipe(f),
			flows:  map[netip.AddrPort]*flow{},
			number: 2,
		})
	}
	for i, f := range clients {
		p.readers.Go(func() {
			receive(f, func(packet []byte) { p.lines[i].fromClient(packet) })
		})
	}
	p.readers.Go(func() {
		receive(gateway, func(packet []byte) {
			if s, ok := parse(packet); ok {
				if i := lineOf(s.dst.Addr()); i >= 1 && i <= len(p.lines) {
					p.line(i).fromGateway(packet)
				}
			}
		})
	})
	return p
}

// line returns a line by its number, from 1.
func (p *path) line(i int) *line { return p.lines[i-1] }

// close stops the path, whose devices it closes.
func (p *path) close() {
	p.gateway.Close()
	for _, l := range p.lines {
		l.down.out.Close()
	}
	p.readers.Wait()
	for _, l := range p.lines {
		l.up.close()
		l.down.close()
	}
}

// receive passes on each packet of a device until the device is closed.
func receive(f *os.File, pass func([]byte)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		pass(buf[:n])
	}
}

// fromClient takes a packet of the client.
func (l *line) fromClient(p []byte) {
	s, ok := parse(p)
	if !ok {
		return
	}
	l.mu.Lock()
	f := l.flows[s.src]
	if f == nil || s.flags&flagSYN != 0 {
		f = &flow{client: s.src, gateway: s.dst}
		l.flows[s.src] = f
	}
	f.clientNext = later(f.clientNext, s.next(), s.flags&flagSYN != 0)
	if s.flags&flagACK != 0 {
		f.clientWants = s.ack
	}
	cut := f.cut
	l.mu.Unlock()
	if !cut {
		l.up.send(p)
	}
}

// fromGateway takes a packet of the gateway.
func (l *line) fromGateway(p []byte) {
	s, ok := parse(p)
	if !ok {
		return
	}
	l.mu.Lock()
	f := l.flows[s.dst]
	cut := f != nil && f.cut
	if f != nil {
		f.gatewayNext = later(f.gatewayNext, s.next(), s.flags&flagSYN != 0)
		if s.flags&flagACK != 0 {
			f.gatewayWants = s.ack
		}
	}
	l.mu.Unlock()
	if !cut {
		l.down.send(p)
	}
}

// later returns the greater sequence number; first says that a has no meaning.
func later(a, b uint32, first bool) uint32 {
	if first || int32(b-a) > 0 {
		return b
	}
	return a
}

// resetFlows forges a RST of every connection on the line, to the ends that are chosen. A kernel
// believes only one with the very number that it expects next (RFC 5961), which is what it
// acknowledged, or more if that is under way.
func (l *line) resetFlows(toClient, toGateway bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		if toClient {
			l.down.inject(reset(f.gateway, f.client, f.clientWants))
			l.down.inject(reset(f.gateway, f.client, f.gatewayNext))
		}
		if toGateway {
			l.up.inject(reset(f.client, f.gateway, f.gatewayWants))
			l.up.inject(reset(f.client, f.gateway, f.clientNext))
		}
	}
}

// cutFlows makes the path drop the packets of the present connections, and of no later ones, as a
// NAT does that has forgotten them, until mendFlows.
func (l *line) cutFlows() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		f.cut = true
	}
}

func (l *line) mendFlows() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		f.cut = false
	}
}

// Conditions are what happens to the packets of one direction of a line. The zero value is a
// perfect line.
type conditions struct {
	drop      bool          // all of them: a black hole
	hold      bool          // they wait until the line is set to other conditions
	loss      float64       // the share that is lost
	duplicate float64       // the share that comes twice
	delay     time.Duration // each waits that long,
	jitter    time.Duration // and up to that much more, so that they overtake each other
	largest   int           // in bytes; larger ones are dropped, silently. 0: no limit
	rate      int           // of a slow link, in bits a second. 0: no limit
	queue     time.Duration // how much waits before the slow link; the rest is dropped
}

// A pipe is one direction of a line.
type pipe struct {
	out  *os.File
	wake chan struct{}
	done chan struct{}

	mu     sync.Mutex // guards what follows
	cond   conditions
	queue  []parcel  // sorted by time
	held   [][]byte  // as long as cond.hold
	free   time.Time // when the slow link has sent all that it was given
	closed bool
}

// A parcel is a packet on its way.
type parcel struct {
	at     time.Time // when it arrives
	packet []byte
}

func newPipe(out *os.File) *pipe {
	p := &pipe{out: out, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go p.deliver()
	return p
}

// set changes the conditions. What is already on its way is not affected, but for a hold, which
// ends.
func (p *pipe) set(c conditions) {
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.cond = c
	p.mu.Unlock()
	for _, packet := range held {
		p.send(packet)
	}
}

// send sends a packet, which the caller may overwrite afterwards.
func (p *pipe) send(packet []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.cond
	switch {
	case c.drop, c.largest > 0 && len(packet) > c.largest, c.loss > 0 && rand.Float64() < c.loss:
		return
	case c.hold:
		p.held = append(p.held, append([]byte(nil), packet...))
		return
	}
	now := time.Now()
	at := now
	if c.rate > 0 {
		start := now
		if p.free.After(start) {
			start = p.free
		}
		if start.Sub(now) > c.queue {
			return
		}
		p.free = start.Add(time.Duration(len(packet)) * 8 * time.Second / time.Duration(c.rate))
		at = p.free
	}
	at = at.Add(c.delay)
	switch {
	case c.jitter > 0:
		at = at.Add(rand.N(c.jitter))
	case len(p.queue) > 0 && at.Before(p.queue[len(p.queue)-1].at):
		at = p.queue[len(p.queue)-1].at // a shorter delay than a moment ago reorders nothing
	}
	if len(p.queue) == 0 && !at.After(now) {
		p.out.Write(packet) // an error means that the device is gone
		if c.duplicate > 0 && rand.Float64() < c.duplicate {
			p.out.Write(packet)
		}
		return
	}
	p.add(parcel{at, append([]byte(nil), packet...)})
	if c.duplicate > 0 && rand.Float64() < c.duplicate {
		p.add(parcel{at.Add(c.jitter), append([]byte(nil), packet...)})
	}
}

// inject delivers a packet at once, whatever the conditions.
func (p *pipe) inject(packet []byte) { p.out.Write(packet) }

// add puts a parcel into the queue; p.mu is held.
func (p *pipe) add(x parcel) {
	i := len(p.queue)
	for i > 0 && p.queue[i-1].at.After(x.at) {
		i--
	}
	p.queue = append(p.queue, parcel{})
	copy(p.queue[i+1:], p.queue[i:])
	p.queue[i] = x
	if i == 0 {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// deliver writes the parcels to the device when their time has come, until close.
func (p *pipe) deliver() {
	defer close(p.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		now := time.Now()
		n := 0
		for n < len(p.queue) && !p.queue[n].at.After(now) {
			p.out.Write(p.queue[n].packet)
			n++
		}
		p.queue = append(p.queue[:0], p.queue[n:]...)
		wait := time.Hour
		if len(p.queue) > 0 {
			wait = p.queue[0].at.Sub(now)
		}
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		}
	}
}

// close ends the delivery; what is on its way is lost.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	<-p.done
}
