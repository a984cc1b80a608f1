package apigws

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/pace"
)

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
					_, err := k.connect(c.ctx, attempt{policy: policy, beside: true})
					failed <- err
				}()
				synctest.Wait()
				c.Close()
				if err := <-failed; !errors.Is(err, ErrClosed) {
					t.Errorf("connect = %v, want ErrClosed", err)
				}
			})
		})
	}
}
