package gateway

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/cmd/apigws/internal/inspect"
	"github.com/apigws/apigws/gatewaytest"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)

var observations = []gatewaytest.Observation{
	{Time: noon, Kind: gatewaytest.Connected, ConnectionID: "c1", SourceIP: "127.0.0.1", UserAgent: "me"},
	{Time: noon, Kind: gatewaytest.Received, ConnectionID: "c1", Route: "chat", Data: []byte("hel\nlo")},
	{Time: noon, Kind: gatewaytest.Refused, Status: 403, Missed: 7},
	{Time: noon, Kind: gatewaytest.Closed, ConnectionID: "c1", Code: 1001, Reason: "Going away"},
}

// The inspector hears of everything, and of what it does not hear of.
func TestObserve(t *testing.T) {
	r := &reporter{recorder: inspect.NewRecorder()}
	all := append(observations[:2:2], gatewaytest.Observation{Kind: gatewaytest.Pinged, ConnectionID: "c1"},
		gatewaytest.Observation{Kind: gatewaytest.Pushed, ConnectionID: "c1", Data: []byte("p")},
		gatewaytest.Observation{Kind: gatewaytest.Responded, ConnectionID: "c1", Data: []byte("r")},
		gatewaytest.Observation{Kind: gatewaytest.Failed, ConnectionID: "c1", Data: []byte("f")})
	for _, o := range append(all, observations[2:]...) {
		r.observe(o)
	}
	if !r.lost.Load() {
		t.Error("nothing is to be reconciled after a loss")
	}
	c, lines, _ := r.recorder.Connection("c1", 0)
	if c.IP != "127.0.0.1" || c.UserAgent != "me" || c.In != 1 || c.Out != 3 || c.Pings != 1 || c.Code != 1001 || len(lines) != 4 {
		t.Errorf("%+v, %d lines", c, len(lines))
	}
	events, _ := r.recorder.Events(0, 100)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, string(e.Kind))
	}
	if got := strings.Join(kinds, " "); got != "connect message ping push push failed note refused close" {
		t.Errorf("events: %s", got)
	}
}

// Connections whose events were lost are in the list all the same, and leave it when they have
// ended.
func TestReconcile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := gatewaytest.NewInMemory(nil)
		defer gateway.Close()
		r := &reporter{recorder: inspect.NewRecorder()}
		conns := func() []inspect.Conn {
			r.reconcile(gateway)
			conns, _ := r.recorder.Connections(0)
			return conns
		}
		c := dialInMemory(t, gateway)
		if got := conns(); len(got) != 0 {
			t.Errorf("without a loss: %+v", got)
		}
		r.lost.Store(true)
		if got := conns(); len(got) != 1 || !got[0].Open || got[0].ID != gateway.Conns()[0].ID() {
			t.Errorf("open: %+v", got)
		}
		// The client does not answer: the connection is being closed for a second.
		gateway.Conns()[0].Close(4001, "bye")
		r.lost.Store(true)
		if got := conns(); !got[0].Open || !r.lost.Load() {
			t.Errorf("being closed: %+v", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := conns(); got[0].Open || got[0].Code != 4001 || got[0].Reason != "bye" || r.lost.Load() {
			t.Errorf("closed: %+v", got)
		}
		c.Close()
	})
}

// A route that fails at each message is reported once a second.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := &buffer{}
		r := &reporter{err: text, quiet: map[string]time.Time{}, hidden: map[string]int{}}
		for range 5 {
			r.failed("route a", errors.New("no"))
		}
		r.failed("route b", errors.New("no"))
		time.Sleep(time.Second)
		r.failed("route a", errors.New("no"))
		time.Sleep(time.Second)
		r.failed("route a", errors.New("no"))
		want := "route a: no\nroute b: no\nroute a: no (and 4 failures before this one)\nroute a: no\n"
		if text.String() != want {
			t.Errorf("got\n%swant\n%s", text, want)
		}
	})
}
