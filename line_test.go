package apigws

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/window"
)

// yield lets goroutines run that can.
func yield() {
	for range 10_000 {
		runtime.Gosched()
	}
}

// A connection that comes into use between the look of await and its wait is not missed.
func TestLineIsLookedAtTwice(t *testing.T) {
	l := &line{changed: make(chan struct{}), ended: make(chan struct{})}
	conn := &connection{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	l.mu.Lock()
	got := make(chan *connection)
	go func() {
		conn, _ := l.await(ctx, nil)
		got <- conn
	}()
	yield() // it has looked, and waits for the lock
	l.current.Store(conn)
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	if <-got != conn {
		t.Error("await has missed the connection")
	}
}

// A message that is refused is noted as a loss before it leaves the window: a Flush that waits for
// the window must find it.
func TestRefusalIsNotedFirst(t *testing.T) {
	w := window.New(100)
	if !w.TryReserve(1) {
		t.Fatal("no room")
	}
	w.Add([]byte("x"))
	c := &Client{}
	c.sessions.Window = w
	l := &life{client: c}
	c.losses.mu.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.reject(&CloseError{Code: 1009})
	}()
	yield()
	if w.Len() == 0 {
		t.Error("the message has left the window, and its loss is not noted")
	}
	c.losses.mu.Unlock()
	<-done
	if w.Len() != 0 || c.losses.all() != 1 {
		t.Errorf("%d messages are in the window, %d losses", w.Len(), c.losses.all())
	}
}
