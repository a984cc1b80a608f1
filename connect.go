package apigws

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/apigws/apigws/internal/handshake"
	"github.com/apigws/apigws/internal/pace"
	"github.com/apigws/apigws/internal/redact"
)

// A connector makes connections. The run loop uses it, or the rotation for which the run loop waits
// before it uses it again: never two at once. Only end may be called at any time.
type connector struct {
	client *Client
	dialer *dialer
	made   int  // connections
	silent int  // connections that answered no PING
	ponged bool // some connection did

	mu     sync.Mutex         // guards what follows
	ended  bool               // end was called
	cancel context.CancelFunc // ends the call of connect that is under way; nil if none is
}

// An attempt says how connect goes about it.
type attempt struct {
	policy *pace.Pacer
	wait   time.Duration // before the first handshake
	cause  error         // of that wait
	beside bool          // an open connection: the state stays as it is
	once   chan struct{} // closed when nothing is to be tried again; nil: never
}

// connect makes a connection, trying again as long as that is worth it and the client lasts.
func (k *connector) connect(a attempt) (*connection, error) {
	ctx, done := k.newContext()
	defer done()
	events := k.client.events
	unauthorized := false
	err, wait := a.cause, a.wait
	for {
		if wait > 0 {
			if !a.beside {
				events.state(StateBackoff, err, wait)
			}
			if !pace.Sleep(ctx, wait, a.once) {
				if ctx.Err() != nil {
					err = k.client.status.reason()
				}
				return nil, err
			}
		}
		if !a.beside {
			events.state(StateConnecting, err, 0)
		}
		conn, failure := k.connectOnce(ctx)
		if failure == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, k.client.status.reason()
		}
		err = failure
		if !k.worthRetrying(err, &unauthorized) {
			return nil, err
		}
		var ok bool
		if wait, ok = a.policy.Next(); !ok {
			return nil, err
		}
		if a.beside {
			events.log.Warn("rotation failed", "error", err, "retry_in", wait)
		}
	}
}

// newContext returns the context of one call of connect. It ends with the client, or when connect
// calls done. It is not a child of the client's context, which would keep its map of children, 250
// bytes, as long as the client lives: most clients need no other child of it.
func (k *connector) newContext() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		cancel()
	}
	k.cancel = cancel
	return ctx, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.cancel()
		k.cancel = nil
	}
}

// end cancels the call of connect that is under way, and every later one. It is part of Client.end.
func (k *connector) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	if k.cancel != nil {
		k.cancel()
	}
}

// connectOnce makes one connection and lets OnConnect have it.
func (k *connector) connectOnce(ctx context.Context) (*connection, error) {
	c := k.client
	dialled, secrets, err := k.dialer.dial(ctx)
	if err != nil {
		var refused *HandshakeError
		if errors.As(err, &refused) && refused.Err == nil {
			c.counters.refused.Add(1)
		} else {
			c.counters.connectErrors.Add(1)
		}
		return nil, err
	}
	c.counters.connects.Add(1)
	k.made++
	conn := newConnection(c, dialled, k.made)
	if err = k.prepare(ctx, conn, secrets); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.counters.connectErrors.Add(1)
		conn.session.Abort(err)
		conn.tearDown()
		return nil, err
	}
	return conn, nil
}

// prepare does what comes before anything else on a new connection. Errors of OnConnect show no
// secret of the handshake.
func (k *connector) prepare(ctx context.Context, conn *connection, secrets *redact.Secrets) error {
	if k.client.opts.OnConnect != nil {
		if err := conn.call(ctx, &Conn{connection: conn}, k.client.opts.OnConnect); err != nil {
			err = newHookError("OnConnect", err, secrets)
			if cause := conn.session.Cause(); cause != nil && !errors.Is(err, cause) {
				err = errorf("%w: %w", err, cause) // which has ended its ctx
			}
			return err
		}
	}
	if k.client.sessions.Window != nil {
		if err := k.requirePongs(ctx, conn); err != nil {
			return err
		}
	}
	return conn.session.Cause()
}

// requirePongs makes sure that a connection answers PINGs, on which Resend depends. One that does
// not may be dead; two, and none that ever did, are a gateway that answers none.
func (k *connector) requirePongs(ctx context.Context, conn *connection) error {
	err := conn.provePings(ctx)
	switch {
	case err == nil:
		k.ponged = true
	case errors.Is(err, ErrNoPong):
		k.silent++
		if !k.ponged && k.silent > 1 {
			return &permanentError{errorf("Options.Resend needs a gateway that answers PINGs: %w", err)}
		}
	}
	return err
}

// worthRetrying decides whether another attempt follows one that failed. unauthorized remembers
// whether the last one met a 401 or 403.
func (k *connector) worthRetrying(err error, unauthorized *bool) bool {
	r := &k.client.opts.Reconnect
	if r.Disabled {
		return false
	}
	if r.Retry != nil {
		return k.client.events.worthRetrying(err)
	}
	var refused *HandshakeError
	first := !*unauthorized
	*unauthorized = errors.As(err, &refused) &&
		(refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden)
	return Retryable(err) || *unauthorized && first
}

// A permanentError is not worth retrying.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// Retryable reports whether another attempt may succeed after err. It does after network errors,
// every close code, failures of Prepare and OnConnect, and the refusals 408, 429 and 5xx. It does
// not after other refusals, wrong options (also when Prepare returns an *OptionError), a
// certificate that does not verify, an answer that is not TLS where TLS was dialled, and the errors
// of a client that has ended.
//
// Retryable is the default of Reconnect.Retry, with one more attempt after the first 401 or 403,
// since the token may have expired. A machine that roams meets certificates that do not verify in
// networks that want a login first; its Retry may return true for them.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, ErrClosed) {
		return false
	}
	var (
		hook      *hookError
		option    *OptionError
		permanent *permanentError
		refused   *HandshakeError
	)
	switch {
	case errors.As(err, &hook):
		return !hook.permanent
	case errors.As(err, &option), errors.As(err, &permanent):
		return false
	case errors.As(err, &refused) && refused.StatusCode == 0:
		return !handshake.Untrusted(refused.Err)
	case refused != nil:
		switch code := refused.StatusCode; code {
		case http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		default:
			return code >= 500
		}
	}
	return true
}
