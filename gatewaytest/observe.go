package gatewaytest

import (
	"sync/atomic"
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

// mostObservations is how many observations wait for Config.Observe.
const mostObservations = 1024

// An observer hands observations on from a goroutine of its own. A nil observer does nothing.
type observer struct {
	f      func(Observation)
	queue  chan Observation
	missed atomic.Int64
	stop   chan struct{}
	ended  chan struct{}
}

func newObserver(f func(Observation)) *observer {
	if f == nil {
		return nil
	}
	o := &observer{
		f: f, queue: make(chan Observation, mostObservations),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go o.run()
	return o
}

func (o *observer) run() {
	defer close(o.ended)
	for {
		select {
		case ob := <-o.queue:
			o.report(ob)
		case <-o.stop:
			for {
				select {
				case ob := <-o.queue:
					o.report(ob)
				default:
					return
				}
			}
		}
	}
}

func (o *observer) report(ob Observation) {
	ob.Missed = int(o.missed.Swap(0))
	o.f(ob)
}

// add never waits.
func (o *observer) add(ob Observation) {
	if o == nil {
		return
	}
	ob.Time = time.Now()
	select {
	case o.queue <- ob:
	default:
		o.missed.Add(1)
	}
}

// close reports what is left, and returns when nothing runs any more.
func (o *observer) close() {
	if o != nil {
		close(o.stop)
		<-o.ended
	}
}
