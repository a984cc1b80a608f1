package connect

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
)

// resendWindow is how many bytes --resend keeps: sixteen of the largest messages and more than a
// thousand of ordinary ones, so that acknowledgements hardly ever hold up the input.
const resendWindow = 2 << 20

// A session is a client whose events are printed.
type session struct {
	*apigws.Client
	printer       *printer
	gatewayErrors atomic.Int64 // error frames seen
	lostAt        time.Time    // for OnState alone; zero: no connection was lost since the last
}

// newSession returns a session that connects in the background.
func (c *config) newSession(ctx context.Context, p *printer) (*session, error) {
	opts, err := c.handshake.Options(ctx, c.url, p.events)
	if err != nil {
		return nil, err
	}
	if c.httpClient != nil {
		opts.HTTPClient = c.httpClient
	}
	opts.Subprotocols = c.subprotocols
	opts.Keepalive.Interval = c.keepalive
	opts.Keepalive.Message = []byte(c.keepaliveMessage)
	opts.Reconnect.RotateAfter = c.rotateAfter
	if c.resend {
		opts.Resend = resendWindow
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	if c.verbose {
		opts.Logger = slog.New(slog.NewTextHandler(logWriter{p}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s := &session{printer: p}
	opts.OnState = func(_ *apigws.Client, change apigws.StateChange) { s.onState(change) }
	opts.OnGatewayError = func(_ *apigws.Client, e *apigws.GatewayError) {
		s.gatewayErrors.Add(1)
		p.gatewayError(e)
	}
	p.state(apigws.StateChange{To: apigws.StateConnecting}, 0)
	if s.Client, err = apigws.New(c.url, opts); err != nil {
		return nil, c.handshake.Explain(err, c.url)
	}
	return s, nil
}

func (s *session) onState(change apigws.StateChange) {
	if change.From == apigws.StateOpen && change.To != apigws.StateOpen {
		s.lostAt = time.Now()
	}
	var away time.Duration
	if change.To == apigws.StateOpen && !s.lostAt.IsZero() {
		away, s.lostAt = time.Since(s.lostAt), time.Time{}
	}
	s.printer.state(change, away)
}

// printMessages prints what comes in until the client has ended or the output is gone, which is the
// error.
func (s *session) printMessages() error {
	for msg, err := range s.Messages(context.Background()) {
		var tooLarge *apigws.TooLargeError
		switch {
		case errors.As(err, &tooLarge) && !errors.Is(err, apigws.ErrClosed):
			s.printer.note(warning, "a message of %d bytes was skipped: API Gateway's limit is %d", tooLarge.Size, tooLarge.Limit)
		case err != nil:
			return nil
		default:
			if err := s.printer.message(msg); err != nil {
				return err
			}
		}
	}
	return nil
}

// unacknowledged returns the error for messages that the gateway may not have.
func (c *config) unacknowledged(reason string) error {
	e := &cli.Error{Code: cli.Unacknowledged, Err: errors.New("the gateway did not acknowledge every message: " + reason)}
	if !c.resend {
		e.Hint = "--resend sends again what may have been lost with a connection."
	}
	return e
}

// gatewayErrorHints say what the error frames of the gateway mean. Docs/gateway.md has the sources.
var gatewayErrorHints = map[string]string{
	"Forbidden":                  "no route takes the message, and there is no $default",
	"Internal server error":      "the integration of the route failed: its log says why",
	"Endpoint request timed out": "the integration of the route took longer than it may, at most 29 s",
	"Invalid request body":       "the message does not fit the model of the route",
}
