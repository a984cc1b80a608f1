package gatewaytest

import (
	"sync"
	"time"
)

// A Kind says what an Observation is about.
type Kind string

// The kinds of observations, with the fields that they have besides Time and ConnectionID.
const (
	Connected Kind = "connected" // a client has been let in; SourceIP, UserAgent
	Refused   Kind = "refused"   // a handshake has been refused; Status, SourceIP
	Received  Kind = "received"  // a message has come in; Data, Route
	Responded Kind = "responded" // a route response, or an echo, is on its way to the client; Data
	Pushed    Kind = "pushed"    // a message from @connections or Conn.Send is on its way; Data
	Failed    Kind = "failed"    // an error frame is on its way; Data
	Pinged    Kind = "pinged"    // a PING has come in
	Closed    Kind = "closed"    // a connection is no longer open; Code, Reason
)

// An Observation is something that has happened on a Server; see Config.Observe.
type Observation struct {
	Time         time.Time // when it happened
	Kind         Kind      // what it is about; see there for the fields that it has
	ConnectionID string    // with Refused the one that $connect was given, if it came to that
	SourceIP     string    // of the client
	UserAgent    string    // of the client
	Route        string    // the route key
	Data         []byte    // the message, which must not be changed
	Status       int       // of the HTTP answer
	Code         int       // the close code, as in Stats.Closed
	Reason       string    // of the close frame
	Missed       int       // how many before this one are lost, because Observe was too slow
}

// How much waits for Config.Observe.
const (
	mostObservations = 1 << 16
	mostObserved     = 64 << 20 // bytes of messages
)

// An observer hands observations on from a goroutine of its own. A nil observer does nothing.
type observer struct {
	f    func(Observation)
	wake chan struct{}  // has an element while there may be something to report
	wg   sync.WaitGroup // of run

	mu      sync.Mutex // guards all below
	queue   []Observation
	waiting int // in queue, and taken out of it to be reported
	bytes   int // of the messages in those
	missed  int // since the last one in queue
	closed  bool
}

func newObserver(f func(Observation)) *observer {
	if f == nil {
		return nil
	}
	o := &observer{f: f, wake: make(chan struct{}, 1)}
	o.wg.Go(o.run)
	return o
}

func (o *observer) run() {
	var spare []Observation
	for range o.wake {
		o.mu.Lock()
		all, closed := o.queue, o.closed
		o.queue = spare[:0]
		o.mu.Unlock()
		for i := range all {
			o.f(all[i])
			o.mu.Lock()
			o.waiting--
			o.bytes -= len(all[i].Data)
			o.mu.Unlock()
			all[i] = Observation{} // holds on to a message
		}
		if closed {
			return
		}
		spare = all
	}
}

// add never waits for Config.Observe.
func (o *observer) add(ob Observation) {
	if o == nil {
		return
	}
	ob.Time = time.Now()
	o.mu.Lock()
	if o.waiting >= mostObservations || o.bytes+len(ob.Data) > mostObserved {
		o.missed++
		o.mu.Unlock()
		return
	}
	ob.Missed, o.missed = o.missed, 0
	o.queue = append(o.queue, ob)
	o.waiting++
	o.bytes += len(ob.Data)
	o.mu.Unlock()
	o.signal()
}

func (o *observer) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// close reports what is left, and returns when nothing runs any more.
func (o *observer) close() {
	if o != nil {
		o.mu.Lock()
		o.closed = true
		o.mu.Unlock()
		o.signal()
		o.wg.Wait()
	}
}
