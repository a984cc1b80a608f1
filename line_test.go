package apigws

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/loop"
	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
	"github.com/apigws/apigws/internal/window"
)

// yield lets goroutines run that can.
func yield() {
	for range 10_000 {
		runtime.Gosched()
	}
}

// Who waits for a connection gets the next one that is in use: neither the one that it has had, nor
// none at all.
func TestLineGivesTheNext(t *testing.T) {
	l := &line{ended: make(chan struct{})}
	first, next := &connection{}, &connection{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	type result struct {
		conn *connection
		err  error
	}
	got := make(chan result, 1)
	go func() {
		conn, err := l.await(ctx, first)
		got <- result{conn, err}
	}()
	for _, conn := range []*connection{nil, first, nil, first, nil} {
		l.set(conn)
		yield()
	}
	if l.lastUsed() != first {
		t.Error("the last in use is forgotten")
	}
	if len(got) > 0 {
		t.Fatalf("await has returned %v", <-got)
	}
	l.set(next)
	if r := <-got; r.conn != next || r.err != nil {
		t.Errorf("await has returned %v, want %p", r, next)
	}
	if l.lastUsed() != next {
		t.Error("the last in use is another one")
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

// Who finds that the client ends finds out why.
func TestReasonComesBeforeTheEnd(t *testing.T) {
	c := &Client{life: &life{connector: &connector{}, loop: loop.New(func() bool { return false })}}
	c.ctx, c.cancel = context.WithCancel(t.Context())
	c.status.mu.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.end(ErrClosed)
	}()
	yield()
	if c.ctx.Err() != nil {
		t.Error("the client ends, and does not know why")
	}
	k := c.life.connector
	k.mu.Lock()
	ended := k.ended
	k.mu.Unlock()
	if ended {
		t.Error("connect ends, and does not know why")
	}
	c.status.mu.Unlock()
	<-done
	if c.ctx.Err() == nil {
		t.Error("the client does not end")
	}
}

// What a connection has lost is noted before it counts as settled: a Flush that waits for that must
// find it.
func TestLossIsNotedFirst(t *testing.T) {
	c := &Client{queue: queue.New()}
	c.sessions = session.Config{
		Frame:        10,
		WriteTimeout: time.Minute,
		Traffic:      &c.counters.Traffic,
		Notify:       func() {},
		Cause:        lossCause,
	}
	local, remote := net.Pipe()
	go io.Copy(io.Discard, remote)
	conn := &connection{client: c, early: queue.New()}
	conn.session = session.New(&c.sessions, local, nil, conn.early)
	if _, err := conn.session.Send(t.Context(), []byte("x"), session.Fresh); err != nil {
		t.Fatal(err)
	}
	conn.session.Abort(errRetired)
	conn.session.Wait()
	c.losses.mu.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn.settle()
	}()
	yield()
	select {
	case <-conn.whenSettled():
		t.Error("it is settled, and its loss is not noted")
	default:
	}
	c.losses.mu.Unlock()
	<-done
	if err := c.losses.take(); !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, errRetired) {
		t.Errorf("the losses are %v", err)
	}
}

// A call that waits for acknowledgements ends when the client does, and says why: at once, whatever
// it waits with.
func TestWaitEndsWithTheClient(t *testing.T) {
	c := &Client{opts: &Options{}, queue: queue.New()}
	c.opts.Keepalive.Timeout = time.Minute
	c.status.end(ErrClosed)
	calls := 0
	err := c.whileReading(t.Context(), func(context.Context) error {
		if calls++; calls > 1 {
			return nil
		}
		return window.ErrStopped
	})
	if err != ErrClosed || calls != 1 {
		t.Errorf("%d calls, then %v, want ErrClosed after the first", calls, err)
	}
}

// It ends with its own context, too.
func TestWaitEndsWithItsContext(t *testing.T) {
	c := &Client{opts: &Options{}, queue: queue.New()}
	c.opts.Keepalive.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := c.whileReading(ctx, func(limited context.Context) error {
		if calls++; calls > 1 {
			return nil
		}
		cancel()
		return limited.Err()
	})
	if err != context.Canceled || calls != 1 {
		t.Errorf("%d calls, then %v, want the end of ctx after the first", calls, err)
	}
}

// The line remembers the connection that was in use, for the Flush after its loss.
func TestLineRemembersTheLast(t *testing.T) {
	l := &line{}
	if l.lastUsed() != nil {
		t.Error("a connection was in use before the first")
	}
	conn := &connection{}
	l.set(conn)
	l.set(nil)
	if l.lastUsed() != conn {
		t.Error("the last connection is forgotten")
	}
}

// The end of a wait is told together with the last failure, unless that says the same.
func TestWithLast(t *testing.T) {
	end, refused := context.Canceled, &HandshakeError{StatusCode: 404}
	if err := withLast(end, nil); err != end {
		t.Errorf("without a failure: %v", err)
	}
	if err := withLast(end, errorf("OnConnect: %w", end)); err != end {
		t.Errorf("with the same: %v", err)
	}
	if err := withLast(end, refused); !errors.Is(err, end) || !errors.Is(err, refused) {
		t.Errorf("with another: %v", err)
	}
}

// Who is late does not get the connection, although there is one.
func TestLineGivesNothingAfterTheEnd(t *testing.T) {
	ended := make(chan struct{})
	l := &line{ended: ended, reason: func() error { return ErrClosed }}
	l.set(&connection{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if conn, err := l.await(ctx, nil); err != context.Canceled {
		t.Errorf("await = %v, %v, want the end of its context", conn, err)
	}
	close(ended)
	if conn, err := l.await(t.Context(), nil); err != ErrClosed {
		t.Errorf("await = %v, %v, want ErrClosed", conn, err)
	}
}

// The channel is closed, whichever comes first.
func TestWhenSettledDuringSettle(t *testing.T) {
	for range 100 {
		c := &Client{opts: &Options{}, queue: queue.New()}
		c.sessions = session.Config{Traffic: &c.counters.Traffic, Notify: func() {}, Cause: lossCause}
		local, remote := net.Pipe()
		var reading sync.WaitGroup
		reading.Go(func() { io.Copy(io.Discard, remote) })
		conn := &connection{client: c, early: queue.New()}
		conn.session = session.New(&c.sessions, local, nil, conn.early)
		conn.session.Abort(errRetired)
		var both sync.WaitGroup
		both.Go(conn.settle)
		both.Go(func() { <-conn.whenSettled() })
		both.Wait()
		<-conn.whenSettled()
		conn.session.Wait()
		reading.Wait()
	}
}
