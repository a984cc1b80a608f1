package gatewaytest

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// Config says how the fake gateway behaves. A nil Config and zero values mean the defaults, which
// are the documented quotas of API Gateway and, where its behaviour is disputed, the strictest that
// was ever measured. It is copied, and must not be changed while a constructor runs. The functions
// in it may be called concurrently.
type Config struct {
	// Backend handles every event: the one Lambda function on $connect, $default and $disconnect.
	// Nil, and no Routes either: an echo, which sends each message back to where it came from.
	Backend Handler

	// Routes are the handlers by route key, in place of Backend: "$connect", "$disconnect",
	// "$default" and keys of the API's own, which RouteSelection finds in messages. All are
	// optional. A message that no route takes is answered with the error frame "Forbidden".
	Routes map[string]Handler

	// RouteSettings are what single routes have of their own, by route key: $connect, $default and
	// those in Routes.
	RouteSettings map[string]RouteSettings

	// RouteSelection is the route selection expression, such as "$request.body.action", the
	// default, or "${request.body.service}/${request.body.action}". What it gives must equal a
	// route key; else the message goes to $default, as does a message that is not JSON.
	//
	// A path consists of names and indexes: items[0].kind, ['a name'], [-1]. Where it leads to
	// nothing, the variable is the empty string, and an array becomes "[item1, item2]", as
	// documented. Text without a variable is allowed, and "\$default" is the key $default.
	RouteSelection string

	// RouteResponse sends the body of what a handler returns for a message to the client, as a
	// route response does. Without it the result is dropped, and backends answer through
	// @connections.
	RouteResponse bool

	// IntegrationTimeout is how long a handler may take: its context ends then, the client gets the
	// error frame "Endpoint request timed out", and its result is dropped. During a handshake the
	// answer is 504, an inference. Default: the documented 29 s.
	IntegrationTimeout time.Duration

	// Authorize decides on a handshake before $connect runs. 0 or 200: go on; else that is the
	// status of the answer: 401, 403. Signatures are not checked unless it does so.
	Authorize func(*http.Request) int

	// AuthorizeManagement decides likewise on a request to @connections; its refusal is 403 as a
	// rule. It may read the body, which signatures cover.
	AuthorizeManagement func(*http.Request) int

	// Authorizer decides on a handshake after Authorize, as a Lambda REQUEST authorizer of $connect
	// does, and before $connect runs.
	Authorizer *Authorizer

	// Identify completes what events say of a client, for example with the IAM caller that a
	// signature proves.
	Identify func(*http.Request, *Identity)

	// StageVariables are the variables of the stage, which events carry.
	StageVariables map[string]string

	// Subprotocols are what the gateway chooses from: the first of them that the client offers is
	// in the 101. The real gateway never chooses; as there, $connect can, with a header
	// Sec-WebSocket-Protocol, which goes before.
	Subprotocols []string

	// Stage is the path of the API. Default: "prod".
	Stage string

	// Addr is where NewServer and NewTLSServer listen. Default: "127.0.0.1:0", any free port. Where
	// it means all interfaces, as ":8080" does, the URLs of the Server have 127.0.0.1.
	Addr string

	// MaxURL is the greatest length of the URL that a client dials, query and all. Default: the
	// documented 4096 characters. The answer to a longer one is 414, an inference.
	MaxURL int

	// ConnectRate is how many new connections a second are let in, with as many at once after a
	// pause. More are answered with 429. The documented quota is 500. 0: no limit.
	ConnectRate float64

	// Idle is how long a connection may be silent in both directions. AWS documents ten minutes;
	// the default is two minutes, the strictest ever measured (a silent connection was found closed
	// after 121 s, perhaps by a proxy on the path), so that a client that survives the fake
	// survives both. Negative: for ever.
	//
	// The cut comes exactly that long after the last data message in either direction or the last
	// PING: with the close frame 1001 "Going away", as in some captures, or, see AbruptIdle,
	// without one, as in others.
	Idle time.Duration

	// Lifetime is how long a connection may live, however busy. Default: the documented two hours.
	// It ends with the close frame 1001 "Going away", as measured. Negative: for ever.
	Lifetime time.Duration

	// MaxFrame is the greatest payload of one frame from a client, MaxMessage that of one message,
	// in bytes. The defaults are the documented 32 KiB and 128 KiB. More closes the connection
	// with 1009.
	MaxFrame, MaxMessage int

	// IgnorePings makes PINGs not count as activity. By published measurements they do (a silent
	// connection cut after ten minutes, one with a PING a minute alive after 23); AWS does not
	// document it, and some claim the contrary.
	IgnorePings bool

	// SilentPings makes PINGs stay without a PONG. The real gateway was captured sending them; AWS
	// does not document it.
	SilentPings bool

	// AbruptIdle makes the idle cut come without a close frame: the client sees 1006.
	AbruptIdle bool

	// CountPongs makes PONGs count as activity, whether a PING asked for them or not. What the real
	// gateway does is not known, nor whether it ever sends PINGs; Conn.SendRaw can.
	CountPongs bool

	// ActivePings makes a PING that counts as activity move lastActiveAt in GET @connections, too.
	// What the real gateway does is not known.
	ActivePings bool

	// Closing is asked before the gateway closes a connection by itself, and returns the code and
	// the reason to close it with in place of the usual ones: some of those are inferences, see
	// Cause. 1006 closes without a close frame.
	Closing func(cause Cause, code int, reason string) (int, string)

	// Buffer is how many bytes wait to be sent to one client before Conn.Send waits and Server.Post
	// fails. The real size is not known. Default: 1 MiB.
	Buffer int

	// PushFrame is how many bytes of a message to a client go into one frame. 0: all. Whether the
	// real gateway splits a message of more than 32 KiB is not known.
	PushFrame int

	// Concurrent handles the messages of one connection side by side, as they come, so that a later
	// one can overtake an earlier one and the DISCONNECT all of them. Expect that of the real
	// gateway with Lambda, an inference. By default they are handled one after the other.
	Concurrent bool

	// MaxReceived is how many messages of each connection are kept for Conn.Received and Conn.Next,
	// the last ones. 0: all.
	MaxReceived int

	// Discard keeps no message, for tests with more messages than memory.
	Discard bool

	// Observe is called for what happens on the Server, in order, from one goroutine. It does not
	// hold up the gateway: while 65,536 observations or 64 MiB of messages wait for it, further
	// ones are lost, and the next says how many. It must not call Server.Close, which waits until
	// it has seen everything.
	Observe func(Observation)

	// Logger gets a line for each event: connections at level Info, messages and PINGs at Debug.
	// Query strings, headers and contents are never in it; the errors and panics of handlers are,
	// as they are. Nil: silent.
	Logger *slog.Logger
}

// withDefaults returns a copy in which every field says what is meant.
func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
		d.Routes = maps.Clone(c.Routes)
		if d.Discard {
			if d.MaxReceived != 0 {
				panic("gatewaytest: Config has both Discard and MaxReceived")
			}
			d.MaxReceived = -1
		}
	}
	orDefault(&d.Stage, "prod")
	orDefault(&d.Addr, "127.0.0.1:0")
	orDefault(&d.Idle, 2*time.Minute)
	orDefault(&d.Lifetime, 2*time.Hour)
	orDefault(&d.MaxFrame, 32<<10)
	orDefault(&d.MaxMessage, 128<<10)
	orDefault(&d.MaxURL, 4096)
	orDefault(&d.Buffer, 1<<20)
	orDefault(&d.RouteSelection, "$request.body.action")
	orDefault(&d.IntegrationTimeout, 29*time.Second)
	orDefault(&d.Logger, slog.New(slog.DiscardHandler))
	d.check()
	return d
}

var (
	stageSyntax = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)        // as AWS has it
	tokenSyntax = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // of RFC 9110
)

// check panics if a field makes no sense. Negative durations are allowed where they mean for ever.
func (c *Config) check() {
	refuse := func(field string, value any) {
		panic(fmt.Sprintf("gatewaytest: Config.%s: %v makes no sense", field, value))
	}
	for field, value := range map[string]int{
		"MaxURL": c.MaxURL, "MaxFrame": c.MaxFrame, "MaxMessage": c.MaxMessage, "Buffer": c.Buffer, "PushFrame": c.PushFrame,
	} {
		if value < 0 {
			refuse(field, value)
		}
	}
	switch {
	case !stageSyntax.MatchString(c.Stage):
		refuse("Stage", strconv.Quote(c.Stage))
	case c.IntegrationTimeout < 0:
		refuse("IntegrationTimeout", c.IntegrationTimeout)
	case c.ConnectRate < 0 || math.IsNaN(c.ConnectRate):
		refuse("ConnectRate", c.ConnectRate)
	case c.MaxReceived < 0 && !c.Discard:
		refuse("MaxReceived", c.MaxReceived)
	}
	for _, p := range c.Subprotocols {
		if !tokenSyntax.MatchString(p) {
			refuse("Subprotocols", strconv.Quote(p))
		}
	}
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
