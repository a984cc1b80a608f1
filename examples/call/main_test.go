package main

import (
	"bytes"
	"context"
	"errors"
	"sync"
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
	want := `sum: 6 <nil>
sum of nothing: no terms
-- the connection is lost before the answer --
sum: 42 <nil>
computed: 4 times
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// start runs a backend and a caller in the bubble of the test.
func start(t *testing.T) (*backend, *caller) {
	t.Helper()
	b := newBackend(gatewaytest.NewInMemory)
	t.Cleanup(b.gateway.Close)
	c, err := dial(t.Context(), b.gateway.URL, b.gateway.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return b, c
}

// Calls from many goroutines get their own answers, while connections are lost and replaced.
func TestConcurrentCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := start(t)
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				for n := range 100 {
					if got, err := c.call(t.Context(), "sum", i, n); err != nil || got != i+n {
						t.Errorf("%d + %d = %d, %v", i, n, got, err)
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		for range 5 {
			time.Sleep(5 * time.Second)
			b.dropNext()
			time.Sleep(5 * time.Second)
			if err := c.client.Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		}
		calls.Wait()
		if b.computed() <= 2000 {
			t.Errorf("%d requests: none was sent again", b.computed())
		}
		if len(c.inFlight) != 0 {
			t.Errorf("%d calls left behind", len(c.inFlight))
		}
	})
}

// An answer that goes to a connection which is no more: the request is sent again after a while.
func TestAnswerToAClosedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := start(t)
		b.gateway.Conns()[0].FreezeOut(true)
		done := make(chan error)
		go func() {
			_, err := c.call(t.Context(), "sum", 1)
			done <- err
		}()
		time.Sleep(time.Second)
		if err := c.client.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || b.computed() != 2 {
			t.Errorf("%v, computed %d times", err, b.computed())
		}
	})
}

// A call ends with its context, and with the client.
func TestCallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := start(t)
		b.gateway.Conns()[0].FreezeOut(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.call(ctx, "sum", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		done := make(chan error)
		go func() {
			_, err := c.call(t.Context(), "sum", 1)
			done <- err
		}()
		synctest.Wait()
		c.close()
		if err := <-done; err == nil {
			t.Error("no error after Close")
		}
	})
}
