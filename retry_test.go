package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A refusal that no retry can mend ends Dial at once.
func TestDialRefused(t *testing.T) {
	for _, status := range []int{302, 400, 404, 410, 414, 426} {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			gw.Refuse(status, -1)
			start := time.Now()
			_, err := clienttest.TryDial(t, gw, time.Hour, nil)
			var refused *apigws.HandshakeError
			if !errors.As(err, &refused) || refused.StatusCode != status {
				t.Errorf("Dial refused with %d: %v", status, err)
			}
			if got := gw.Stats().Refused[status]; got != 1 || time.Since(start) != 0 {
				t.Errorf("%d: %d attempts in %v, want one", status, got, time.Since(start))
			}
		})
	}
}

// Nor does a client live on that is refused like that when it reconnects.
func TestReconnectRefused(t *testing.T) {
	for _, status := range []int{400, 404, 426} {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			var j clienttest.Journal
			c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)})
			gw.Refuse(status, -1)
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Second)
			clienttest.InState(t, c, apigws.StateClosed)
			<-c.Done()
			var refused *apigws.HandshakeError
			if err := c.Err(); !errors.Is(err, apigws.ErrClosed) || !errors.As(err, &refused) || refused.StatusCode != status {
				t.Errorf("Err = %v, want ErrClosed and %d", err, status)
			}
			changes := j.All()
			if last := changes[len(changes)-1]; last.To != apigws.StateClosed || !errors.As(last.Err, &refused) {
				t.Errorf("the last change is %+v", last)
			}
			if got := gw.Stats().Refused[status]; got != 1 {
				t.Errorf("%d attempts, want one", got)
			}
			allSayWhy(t, c, refused)
		})
	}
}

// allSayWhy checks that every call of a client that has ended wraps ErrClosed,
// and the failure that ended it if there was one.
func allSayWhy(t *testing.T, c *apigws.Client, cause error) {
	t.Helper()
	ctx := t.Context()
	_, readErr := c.Read(ctx)
	_, pingErr := c.Ping(ctx)
	var v any
	for call, err := range map[string]error{
		"Read": readErr, "ReadJSON": c.ReadJSON(ctx, &v), "Ping": pingErr, "Rotate": c.Rotate(ctx),
		"Write": c.Write(ctx, []byte("x")), "WriteJSON": c.WriteJSON(ctx, 1), "Err": c.Err(),
	} {
		if !errors.Is(err, apigws.ErrClosed) || cause != nil && !errors.Is(err, cause) {
			t.Errorf("%s after the end: %v, want ErrClosed and %v", call, err, cause)
		}
		if isWrite := call == "Write" || call == "WriteJSON"; isWrite != errors.Is(err, apigws.ErrNotSent) {
			t.Errorf("%s after the end: %v", call, err)
		}
	}
	for _, err := range c.Messages(ctx) {
		if !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Messages after the end: %v", err)
		}
	}
}

// A 401 or 403 gets one more try with a fresh Prepare: the token may have been
// stale. Twice running, it is final.
func TestUnauthorized(t *testing.T) {
	// What the gateway answers, in order; then it lets everybody in.
	tests := []struct {
		name     string
		answers  []int
		attempts int
		ends     int // status with which the client ends; 0: it does not
	}{
		{"once", []int{403}, 2, 0},
		{"once 401", []int{401}, 2, 0},
		{"twice", []int{403, 403, 403}, 2, 403},
		{"one after the other", []int{401, 403, 403}, 2, 403},
		{"not running", []int{403, 503, 403, 429, 401}, 6, 0},
		{"late", []int{500, 500, 403, 401}, 4, 401},
	}
	for _, test := range tests {
		for _, during := range []string{"Dial", "reconnect"} {
			t.Run(test.name+" in "+during, func(t *testing.T) {
				prepared, attempts := 0, 0
				authorize := func(r *http.Request) int {
					if got, want := r.URL.Query().Get("try"), fmt.Sprint(prepared); got != want {
						t.Errorf("the handshake has token %s, want the fresh one %s", got, want)
					}
					attempts++
					if attempts > len(test.answers) {
						return 200
					}
					return test.answers[attempts-1]
				}
				clienttest.Bubble(t, &gatewaytest.Config{Authorize: authorize}, func(t *testing.T, gw *gatewaytest.Server) {
					if during == "reconnect" {
						attempts = len(test.answers) // let in the first time
					}
					opts := &apigws.Options{Reconnect: clienttest.Every(time.Second), Prepare: func(req *http.Request) error {
						prepared++
						q := req.URL.Query()
						q.Set("try", fmt.Sprint(prepared))
						req.URL.RawQuery = q.Encode()
						return nil
					}}
					c, err := clienttest.TryDial(t, gw, time.Hour, opts)
					if during == "reconnect" {
						attempts, prepared = 0, 0
						clienttest.Only(t, gw).Drop()
						clienttest.Sleep(time.Minute)
						err = c.Err()
					}
					var refused *apigws.HandshakeError
					if test.ends == 0 && err != nil {
						t.Errorf("ended: %v", err)
					}
					if test.ends != 0 && (!errors.As(err, &refused) || refused.StatusCode != test.ends) {
						t.Errorf("ended with %v, want %d", err, test.ends)
					}
					if attempts != test.attempts || prepared != test.attempts {
						t.Errorf("%d attempts, %d calls of Prepare, want %d", attempts, prepared, test.attempts)
					}
				})
			})
		}
	}
}

// A connection in between makes a 403 the first again.
func TestUnauthorizedAfterConnection(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(403, 1)
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second)})
		for range 3 {
			gw.Refuse(403, 1)
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(10 * time.Second)
			clienttest.InState(t, c, apigws.StateOpen)
		}
		clienttest.Accepted(t, gw, 4)
	})
}

// Retry decides alone when it is set.
func TestCustomRetry(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var asked []error
		opts := &apigws.Options{Reconnect: clienttest.Every(time.Second)}
		opts.Reconnect.Retry = func(err error) bool {
			asked = append(asked, err)
			var closed *apigws.CloseError
			return !errors.As(err, &closed) || closed.Code != 4001
		}
		gw.Refuse(404, 2) // which Retryable would not retry
		c := clienttest.Dial(t, gw, opts)
		if len(asked) != 2 {
			t.Errorf("Retry was asked %d times, want twice", len(asked))
		}
		gw.Refuse(403, 5)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Only(t, gw).Close(4001, "go away")
		synctest.Wait()
		clienttest.InState(t, c, apigws.StateClosed)
		var closed *apigws.CloseError
		if err := c.Err(); !errors.As(err, &closed) || closed.Code != 4001 {
			t.Fatalf("Err = %v", err)
		}
		allSayWhy(t, c, closed)
		clienttest.Accepted(t, gw, 2)
	})
}

func TestRetryable(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                                        false,
		apigws.ErrClosed:                           false,
		&apigws.OptionError{Field: "url"}:          false,
		&net.OpError{Err: syscall.EPIPE}:           true,
		context.DeadlineExceeded:                   true, // a handshake that took too long
		apigws.ErrNoPong:                           true,
		apigws.ErrWriteTimeout:                     true,
		&apigws.HandshakeError{Err: net.ErrClosed}: true,
	} {
		if got := apigws.Retryable(err); got != want {
			t.Errorf("Retryable(%v) = %v", err, got)
		}
	}
	for status := 200; status < 600; status++ {
		want := status == 408 || status == 429 || status >= 500
		err := fmt.Errorf("wrapped: %w", &apigws.HandshakeError{StatusCode: status})
		if got := apigws.Retryable(err); got != want {
			t.Errorf("Retryable(%v) = %v", err, got)
		}
	}
	for code := 1000; code < 5000; code++ {
		if !apigws.Retryable(&apigws.CloseError{Code: code}) {
			t.Errorf("close code %d is not worth a retry", code)
		}
	}
}
