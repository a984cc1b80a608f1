package main

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v after:\n%s", err, out.String())
	}
	want := `event 1: one
-- the connection is lost, and the gateway admits no other --
-- the gateway admits connections again --
event 2: two
event 3: three
event 4: four
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// Six hours of events, one each second, with connections that are lost and rotations in which both
// connections are subscribed: each event arrives once, in order.
func TestEachEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(gatewaytest.NewInMemory)
		defer b.gateway.Close()
		r, err := dial(t.Context(), b.gateway.URL, b.gateway.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer r.client.Close()

		const n = 6 * 60 * 60
		go func() {
			for i := range n {
				time.Sleep(time.Second)
				b.publish(fmt.Sprint(i))
				if i%10_000 == 5_000 {
					b.gateway.Conns()[0].Drop()
				}
			}
		}()
		for i := range int64(n) {
			if e, err := r.next(t.Context()); err != nil || e.Seq != i+1 {
				t.Fatalf("got %+v, %v, want event %d", e, err, i+1)
			}
		}
		s := r.client.Stats()
		if s.Rotations == 0 || s.LostNetwork == 0 || s.MessagesReceived <= n {
			t.Errorf("%d rotations, %d connections lost, %d messages for %d events: want more of each",
				s.Rotations, s.LostNetwork, s.MessagesReceived, n)
		}
	})
}

// During a rotation what is published arrives on both connections.
func TestRotationRepeatsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(gatewaytest.NewInMemory)
		defer b.gateway.Close()
		r, err := dial(t.Context(), b.gateway.URL, b.gateway.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer r.client.Close()
		if err := r.client.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range int64(10) {
			b.publish("twice")
			if e, err := r.next(t.Context()); err != nil || e.Seq != i+1 {
				t.Fatalf("got %+v, %v, want event %d", e, err, i+1)
			}
		}
		synctest.Wait()
		if got := r.client.Stats().MessagesReceived; got != 20 {
			t.Errorf("%d messages, want 20", got)
		}
	})
}

// What is not an event is left out.
func TestNotAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(gatewaytest.NewInMemory)
		defer b.gateway.Close()
		r, err := dial(t.Context(), b.gateway.URL, b.gateway.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer r.client.Close()
		synctest.Wait()
		for _, msg := range []string{"no JSON", `{"message": "Forbidden"}`} {
			if err := b.gateway.Conns()[0].Send([]byte(msg)); err != nil {
				t.Fatal(err)
			}
		}
		b.publish("one")
		if e, err := r.next(t.Context()); err != nil || e.Seq != 1 {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	s := newRecent(2)
	for _, step := range []struct {
		id  string
		new bool
	}{{"a", true}, {"b", true}, {"a", false}, {"c", true}, {"b", false}, {"a", true}, {"c", false}, {"b", true}} {
		if got := s.add(step.id); got != step.new {
			t.Fatalf("add(%q) = %t", step.id, got)
		}
		if len(s.ids) > 2 {
			t.Fatalf("%d ids", len(s.ids))
		}
	}
}
