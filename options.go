package apigws

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v4"

	"github.com/apigws/apigws/internal/request"
)

// Options say how to connect and how to stay connected. A nil *Options and the zero value of every
// field mean the defaults. New and Dial copy them.
type Options struct {
	// HTTPClient makes the handshakes: its Transport provides TLS settings, proxies and dialling.
	// Redirects are not followed, whatever its CheckRedirect says. Default: a client on
	// http.DefaultTransport.
	//
	// A lost connection is reset, so that nothing written on it arrives late, and its send buffer
	// is bounded; on Linux, a slow connection is told from a dead one. All this needs the
	// *net.TCPConn under it, which is found if the Transport is an *http.Transport whose
	// connections are TCP or have a NetConn method, as those of TLS do.
	HTTPClient *http.Client

	// Header is sent with every handshake.
	Header http.Header

	// Prepare, if set, is called before every handshake, rotations included, and may change the
	// URL and the headers of the request: a fresh token, a SigV4 signature, another host. The
	// request is a GET in its https form (http for ws), without the upgrade headers. Its Host is
	// empty, which means that of the URL, also after a change; one that Prepare sets is sent.
	//
	// req.Context() ends with the handshake's timeout and with the client. Prepare holds up the
	// handshake and Close until it returns, so it must heed that. An error fails the attempt,
	// which is retried unless Reconnect.Retry says otherwise; an *OptionError, and a URL or a
	// header with which New would have returned one, end the client.
	Prepare func(req *http.Request) error

	// Subprotocols are offered in the handshake. The gateway picks none unless the $connect
	// integration returns one (AWS documents this).
	Subprotocols []string

	// AllowInsecure permits ws:// to a host that is not loopback.
	AllowInsecure bool

	Limits    Limits    // the quotas to stay under
	Keepalive Keepalive // how a connection is kept from falling silent
	Reconnect Reconnect // how a client reconnects, and when it rotates

	// OnConnect runs on each new connection before any other write reaches it. A new connection has
	// a new connectionId, so what the backend keyed to the old one is set up again here. An error
	// fails the connection, and another one is made as after a failed handshake. ctx ends when the
	// connection is lost, when the client is closed, and after HandshakeTimeout. Use the *Conn
	// inside: the client's own Write waits for an open connection, which this one is not before
	// OnConnect has returned.
	//
	// At a rotation OnConnect runs while the old connection is still in use. If it subscribes to
	// something, broadcasts arrive on both connections until the old one is gone, so twice: let
	// OnRetire unsubscribe, or drop duplicates by an id of the application's.
	OnConnect func(ctx context.Context, conn *Conn) error

	// OnRetire runs on the connection that a rotation has replaced, once its successor is in use:
	// the place for the last writes on it, such as to unsubscribe. The connection is then read for
	// Reconnect.Drain. ctx ends when the connection is lost, when the client is closed, and after
	// HandshakeTimeout, the time counted in which an earlier call still runs. It does not run where
	// the gateway answers no PING: there the old connection is closed before its successor is used.
	OnRetire func(ctx context.Context, conn *Conn)

	// OnState is told of every change of state, in order and never concurrently, on a goroutine
	// that does nothing else: it may call the client. While it blocks, later changes wait and
	// nothing else does. When 1,000 wait, the last and the next become one, whose From and To may
	// be the same.
	OnState func(*Client, StateChange)

	// OnGatewayError, if set, gets the gateway's own error frames, which Read then does not return.
	// It shares its goroutine with OnState. While 64 of them wait for it, nothing more is read.
	OnGatewayError func(*Client, *GatewayError)

	// Resend, if positive, makes delivery at least once: written messages are kept until a PONG
	// proves that the gateway has them, and sent again, in order, when a connection is lost before.
	// It is how many bytes of them are kept; each message counts for at least 64. Write waits while
	// there is no room. Default 0: none are kept.
	//
	// It depends on PONGs: each connection must answer a PING within Keepalive.Timeout before it is
	// used. Two that do not, with none that ever did, end the client.
	Resend int

	// Logger gets the events of the connection. Default: warnings and errors go to slog.Default().
	// No query, header or token is ever logged. The logger's Handler is called on a goroutine of
	// its own, in order; it may call the client. While it blocks, 1,000 lines wait; further ones
	// are dropped, and the next line says how many, as lines_dropped.
	Logger *slog.Logger

	// HandshakeTimeout bounds one handshake, Prepare included, and then the OnConnect of the
	// connection. Default 30s: the gateway runs the authorizer and the $connect integration while
	// the handshake waits, and ends integrations at 29s (AWS documents this).
	HandshakeTimeout time.Duration

	// WriteTimeout bounds how long a write may make no progress: it is given to the operating
	// system in pieces of 32 KiB, and a connection that does not take a piece within WriteTimeout
	// is aborted. On Linux the time begins anew whenever the other end's kernel acknowledges
	// bytes, as on a slow uplink. When that was is known by asking from time to time, so it may
	// take up to twice WriteTimeout after the last of them. Default 10s.
	WriteTimeout time.Duration

	// CloseTimeout bounds Close: the acknowledgement of what was written, and the close handshake.
	// Default 5s.
	CloseTimeout time.Duration

	// wallClock replaces time.Now where the wall clock matters, for tests of suspended machines.
	wallClock func() time.Time
}

// Keepalive says how a connection is kept from falling silent.
//
// A PING is due one Interval after the last frame received, and, while something written is not
// acknowledged, one Timeout after it was written. So a dead path is noticed within Interval +
// Timeout in silence and within 2 Timeouts while sending, and what a lost connection may have lost
// was written in about the last Timeout, or longer on a slow uplink.
//
// The defaults rely on a gateway that answers PINGs and counts them as activity. AWS documents
// neither for API Gateway (see docs/gateway.md), so measure yours with the command "apigws probe".
// Message is the documented way: data.
//
// An Interval or a Timeout below a millisecond counts as one.
type Keepalive struct {
	// Interval is the silence after which a PING is sent. Default 55s: two fit into the strictest
	// idle limit, with time to miss one. It must be below Limits.Idle. Where a process has a
	// thousand clients or more, a PING leaves up to a fiftieth of Interval earlier, on a full
	// second (of short Intervals: a tenth, a hundredth, ... of one), so that all clients wake the
	// process once a second.
	Interval time.Duration

	// Timeout is how long the PONG, or any other frame, may take. The connection counts as dead if
	// nothing comes in for so long after a PING has left. Time in which the client receives nothing
	// because nobody reads does not count. On Linux the time begins anew whenever the other end's
	// kernel acknowledges bytes that were written before the PING: on a slow uplink it waits behind
	// them. Default 10s.
	Timeout time.Duration

	// Message, if set, is also sent: right after connecting, and then whenever Interval has passed
	// without data in either direction. A busy connection sends none: messages are billed. Default:
	// none.
	Message []byte

	// IsReply recognises the answers to Message, which Read then does not return. It is called on
	// the goroutine that reads the connection, never twice at once, and must neither block nor keep
	// the message.
	IsReply func([]byte) bool

	// Disabled turns PINGs and messages off. A dead path is then noticed only by a failing write.
	Disabled bool
}

// Reconnect says how a client reconnects after the loss of a connection, and when it replaces one
// before the gateway ends it.
type Reconnect struct {
	// Backoff makes a policy of waiting between attempts: one for the client, and one for each
	// rotation. The default is exponential from 0.5s to 30s with full jitter and never gives up.
	// When a policy returns backoff.Stop, the client ends with the last error; mind that
	// backoff/v4's own exponential policy does so after 15 minutes unless its MaxElapsedTime is 0.
	// A wait of less than 10ms is allowed once, then the client waits at least that long.
	Backoff func() backoff.BackOff

	// Stable is how long a connection, with the rotations that have replaced it, must have been
	// open before the backoff starts over. Default 10s.
	Stable time.Duration

	// Retry says whether a failure is worth another attempt; if not, the client ends with that
	// failure. Never called twice at once. Default: Retryable, with one more try, and a fresh
	// Prepare, after the first 401 or 403.
	Retry func(error) bool

	// RotateAfter is the age at which a connection is replaced: the next one is made before the old
	// one is closed. Default: 10 to 15 minutes before Limits.Lifetime, drawn anew for each
	// connection. Negative: never.
	//
	// Writes wait meanwhile for the PONG that proves that the gateway has all earlier ones: one
	// round trip. On a gateway that answers no PING they wait for Keepalive.Timeout and a close
	// handshake, and what the old connection has carried stays unconfirmed.
	RotateAfter time.Duration

	// Drain is how long the old connection is still read after a rotation. Default 10s. What is
	// broadcast to both connections meanwhile arrives twice; see Options.OnRetire.
	Drain time.Duration

	// Fleet is how many clients may lose their connections at once, this one included; at most a
	// billion. The first attempt after the loss of a connection that had been open for Stable is
	// spread over Fleet/Limits.ConnectRate seconds. The first connection of a client is not spread.
	// Default 0: the backoff's own jitter.
	Fleet int

	// Disabled makes the client end with its connection: it tries once to connect, and does not
	// rotate by age.
	Disabled bool
}

// minKeepalive is the shortest Keepalive.Interval and Timeout. The client looks at its clocks once
// in each: shorter ones would keep a processor busy.
const minKeepalive = time.Millisecond

// withDefaults returns a checked copy of o, its defaults filled in.
func (o *Options) withDefaults() (*Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.Header = opts.Header.Clone()
	opts.Subprotocols = append([]string(nil), opts.Subprotocols...)
	opts.Keepalive.Message = append([]byte(nil), opts.Keepalive.Message...)
	if opts.HTTPClient == nil {
		opts.HTTPClient = &http.Client{}
	}
	if opts.wallClock == nil {
		opts.wallClock = time.Now
	}

	l, k, r := &opts.Limits, &opts.Keepalive, &opts.Reconnect
	err := setDefaults([]number[time.Duration]{
		{"HandshakeTimeout", &opts.HandshakeTimeout, 30 * time.Second},
		{"WriteTimeout", &opts.WriteTimeout, 10 * time.Second},
		{"CloseTimeout", &opts.CloseTimeout, 5 * time.Second},
		{"Limits.Idle", &l.Idle, 2 * time.Minute},
		{"Limits.Lifetime", &l.Lifetime, 2 * time.Hour},
		{"Keepalive.Interval", &k.Interval, 55 * time.Second},
		{"Keepalive.Timeout", &k.Timeout, 10 * time.Second},
		{"Reconnect.Stable", &r.Stable, 10 * time.Second},
		{"Reconnect.Drain", &r.Drain, 10 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	err = setDefaults([]number[int]{
		{"Limits.Frame", &l.Frame, 32 << 10},
		{"Limits.Message", &l.Message, 128 << 10},
		{"Limits.URL", &l.URL, 4096},
		{"Limits.ConnectRate", &l.ConnectRate, 500},
		{"Reconnect.Fleet", &r.Fleet, 0},
		{"Resend", &opts.Resend, 0},
	})
	if err != nil {
		return nil, err
	}
	k.Interval, k.Timeout = max(k.Interval, minKeepalive), max(k.Timeout, minKeepalive)
	if err := opts.check(); err != nil {
		return nil, err
	}
	return &opts, nil
}

// A number is an option that must not be negative. 0 stands for its default.
type number[T int | time.Duration] struct {
	field     string
	value     *T
	byDefault T
}

// setDefaults checks options and fills in their defaults.
func setDefaults[T int | time.Duration](numbers []number[T]) error {
	for _, n := range numbers {
		if *n.value < 0 {
			return &OptionError{n.field, "must not be negative"}
		}
		if *n.value == 0 {
			*n.value = n.byDefault
		}
	}
	return nil
}

// check checks options whose defaults are filled in.
func (o *Options) check() error {
	l, k, r := &o.Limits, &o.Keepalive, &o.Reconnect
	switch {
	case r.Fleet > 1e9:
		return &OptionError{"Reconnect.Fleet", "is larger than a billion"}
	case !k.Disabled && k.Interval >= l.Idle:
		return &OptionError{"Keepalive.Interval",
			fmt.Sprintf("is %v, which is not below Limits.Idle, %v", k.Interval, l.Idle)}
	case r.RotateAfter >= l.Lifetime:
		return &OptionError{"Reconnect.RotateAfter",
			fmt.Sprintf("is %v, which is not below Limits.Lifetime, %v", r.RotateAfter, l.Lifetime)}
	case len(k.Message) > l.Message:
		return &OptionError{"Keepalive.Message", "is larger than Limits.Message"}
	case !utf8.Valid(k.Message):
		return &OptionError{"Keepalive.Message", "is not valid UTF-8"}
	}
	if err := request.CheckSubprotocols(o.Subprotocols); err != nil {
		return &OptionError{"Subprotocols", err.Error()}
	}
	return checkHeader(o.Header)
}

func checkHeader(header http.Header) error {
	if err := request.CheckHeader(header); err != nil {
		return &OptionError{"Header", err.Error()}
	}
	return nil
}

// parseURL checks the URL to dial and returns it in its https form: the form that Prepare sees and
// SigV4 signs. Its errors name no query.
func (o *Options) parseURL(raw string) (*url.URL, error) {
	u, err := request.URL(raw)
	switch {
	case err != nil:
		return nil, &OptionError{"url", err.Error()}
	case u.Scheme != "https" && !o.AllowInsecure && !request.IsLoopback(u.Hostname()):
		return nil, &OptionError{"url", "is not wss:// and its host is not loopback; Options.AllowInsecure would permit it"}
	case request.Len(u) > o.Limits.URL:
		return nil, errorf("%w: %w", &OptionError{"url", "is too long"}, &TooLargeError{request.Len(u), o.Limits.URL})
	}
	return u, nil
}
