package apigws

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/pace"
)

// The context of a call of connect ends with the call, and nothing is kept of it.
func TestContextOfConnect(t *testing.T) {
	k := &connector{}
	ctx, done := k.newContext()
	if ctx.Err() != nil {
		t.Error("it has ended from the beginning")
	}
	done()
	if ctx.Err() == nil || k.cancel != nil {
		t.Error("it outlasts the call")
	}
	ctx, done = k.newContext()
	k.end()
	if ctx.Err() == nil {
		t.Error("it outlasts the client")
	}
	done()
	if ctx, done = k.newContext(); ctx.Err() == nil {
		t.Error("it begins after the end of the client")
	}
	done()
}

// connect ends its context.
func TestConnectEndsItsContext(t *testing.T) {
	onLaptop(t, Options{}, func(t *testing.T, l *laptop) {
		k := l.life.connector
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.cancel != nil {
			t.Error("the context of the first connection is still there")
		}
	})
}

// An attempt that the end of the client stops says so, whatever it has met. A call of Rotate may
// get this error, if the run loop looks at the attempt at that instant.
func TestAttemptOfAClientThatEnds(t *testing.T) {
	for name, prepare := range map[string]func(context.Context) error{
		"in a handshake":       func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"between two attempts": func(context.Context) error { return errors.New("not today") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := gatewaytest.NewInMemory(nil)
				defer gw.Close()
				c, err := Dial(t.Context(), gw.URL, &Options{HTTPClient: gw.Client(), HandshakeTimeout: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				opts := *c.opts
				opts.Prepare = func(req *http.Request) error { return prepare(req.Context()) }
				u, err := url.Parse(gw.URL)
				if err != nil {
					t.Fatal(err)
				}
				k := &connector{client: c, dialer: newDialer(&opts, u)}
				policy, _ := pace.New(func() backoff.BackOff { return backoff.NewConstantBackOff(time.Hour) })
				failed := make(chan error)
				go func() {
					_, err := k.connect(attempt{policy: policy, beside: true})
					failed <- err
				}()
				synctest.Wait()
				c.Close()
				k.end() // k is not the connector of c
				if err := <-failed; !errors.Is(err, ErrClosed) {
					t.Errorf("connect = %v, want ErrClosed", err)
				}
			})
		})
	}
}

// If connect begins while the client ends, its context ends.
func TestConnectMeetsTheEnd(t *testing.T) {
	for range 100 {
		k := &connector{}
		var both sync.WaitGroup
		both.Go(k.end)
		both.Go(func() {
			ctx, done := k.newContext()
			defer done()
			<-ctx.Done()
		})
		both.Wait()
	}
}
