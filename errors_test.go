package apigws_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Every error says once, at the beginning, whose it is, whatever is inside of it.
func TestErrorTexts(t *testing.T) {
	sentinels := []error{apigws.ErrClosed, apigws.ErrNotSent, apigws.ErrUnconfirmed, apigws.ErrNoPong,
		apigws.ErrNotText, apigws.ErrWriteTimeout}
	others := []error{
		&apigws.OptionError{Field: "url", Problem: "is wrong"},
		&apigws.HandshakeError{StatusCode: 403},
		&apigws.HandshakeError{Err: io.EOF},
		&apigws.HandshakeError{StatusCode: 101, Err: io.EOF},
		&apigws.CloseError{Code: 1001},
		&apigws.CloseError{Code: 1011, Reason: "why"},
		&apigws.TooLargeError{Size: 2, Limit: 1},
		&apigws.GatewayError{Message: "Forbidden", RequestID: "id"},
	}
	all := append(sentinels, others...)
	for _, inner := range append(sentinels, others...) {
		all = append(all, &apigws.HandshakeError{Err: fmt.Errorf("of a hook: %w", inner)})
	}
	for _, err := range all {
		noSecret(t, err)
	}
	for err, want := range map[error]string{
		others[0]: "apigws: url is wrong",
		others[1]: "apigws: handshake refused: 403 Forbidden",
		others[2]: "apigws: handshake: EOF",
		others[3]: "apigws: handshake: status 101: EOF",
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

// So do the errors that a client makes: first the operation, then its cause.
func TestErrorTextsOfAClient(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		fail := errors.New("no token today")
		for want, opts := range map[string]*apigws.Options{
			"apigws: handshake: Prepare: no token today": {Prepare: func(*http.Request) error { return fail }},
			"apigws: OnConnect: no token today":          {OnConnect: func(context.Context, *apigws.Conn) error { return fail }},
			"apigws: OnConnect: subscribe: 131073 bytes exceed the limit of 131072": {
				OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
					return fmt.Errorf("subscribe: %w", conn.Write(ctx, make([]byte, 128<<10+1)))
				}},
			"apigws: after Prepare: url has no host": {
				Prepare: func(req *http.Request) error { req.URL.Host = ""; return nil }},
		} {
			opts.Reconnect = apigws.Reconnect{Disabled: true}
			if _, err := clienttest.TryDial(t, gw, 1e9, opts); err == nil || err.Error() != want {
				t.Errorf("%q, want %q", err, want)
			}
			opts.Reconnect = clienttest.Every(1e8)
			if _, err := clienttest.TryDial(t, gw, 1e9, opts); err == nil ||
				!strings.HasPrefix(err.Error(), "apigws: ") || strings.Count(err.Error(), "apigws") != 1 {
				t.Errorf("%q", err)
			}
		}
		c := clienttest.Dial(t, gw, nil)
		c.Close()
		if err := c.Write(t.Context(), nil); err.Error() != "apigws: message not sent: client is closed" {
			t.Errorf("Write: %q", err)
		}
	})
}

// Close tells in one text of the messages that the gateway has refused and of those that remain.
func TestErrorTextOfClose(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, &apigws.Options{Resend: 1 << 20, Reconnect: clienttest.Every(time.Second)})
		for range 2 {
			clienttest.Only(t, gw).FreezeIn(true)
			if len(c.Unconfirmed()) == 0 {
				clienttest.Write(t, c, "refused")
			}
			clienttest.Only(t, gw).Close(1009, "")
			clienttest.Sleep(5 * time.Second)
		}
		clienttest.Only(t, gw).Freeze(true)
		clienttest.Write(t, c, "remains")
		err := c.Close()
		want := "apigws: message sent, arrival unconfirmed: 1 messages: closed by the gateway: 1009; " +
			"message sent, arrival unconfirmed: 1 messages"
		if err == nil || err.Error() != want || !errors.Is(err, apigws.ErrUnconfirmed) {
			t.Errorf("%q, want %q", err, want)
		}
	})
}

// What a hook says of another client, or of its own messages, is not said of this client and of its
// messages; and a failure of a hook is worth another attempt, whatever it has met.
func TestHookErrorsStayOfTheHook(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		for _, inner := range []error{apigws.ErrClosed, apigws.ErrNotSent, apigws.ErrUnconfirmed,
			&apigws.HandshakeError{StatusCode: 404}, x509.UnknownAuthorityError{}} {
			var attempts atomic.Int32 // the last may still run when Dial has returned
			opts := &apigws.Options{Reconnect: clienttest.Every(1e9), Prepare: func(*http.Request) error {
				attempts.Add(1)
				return fmt.Errorf("fetching a token: %w", inner)
			}}
			_, err := clienttest.TryDial(t, gw, 1e10, opts)
			var failed *apigws.HandshakeError
			if attempts.Load() < 5 || !errors.As(err, &failed) {
				t.Errorf("%v: %d attempts, %v", inner, attempts.Load(), err)
			}
			for _, of := range []error{apigws.ErrClosed, apigws.ErrNotSent, apigws.ErrUnconfirmed} {
				if errors.Is(err, of) {
					t.Errorf("%q is taken for %q", err, of)
				}
			}
		}
		// What Prepare says of the options ends Dial at once.
		wrong := &apigws.OptionError{Field: "sigv4", Problem: "is wrong"}
		_, err := clienttest.TryDial(t, gw, 1e10, &apigws.Options{Prepare: func(*http.Request) error { return wrong }})
		var got *apigws.OptionError
		if !errors.As(err, &got) || got != wrong || errors.Is(err, context.DeadlineExceeded) || apigws.Retryable(err) {
			t.Errorf("an OptionError of Prepare: %v", err)
		}
	})
}
