// Package gateway is the subcommand that serves a WebSocket API on this machine, for clients and
// backends in any language: gatewaytest as a program, with the routes of a SAM or CloudFormation
// template.
package gateway

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const long = `gateway serves an API Gateway WebSocket API on this machine, with the limits and the close codes of
the real one, for clients and backends in any language. It runs until Ctrl-C.

Routes come from a SAM or CloudFormation template, or from flags, or both; a flag goes before the
template. Without any, every message is echoed. What of the template is not understood is named on
standard error. A change of the template is taken up without dropping connections.

Lambda functions are called over the Lambda Invoke API, as "sam local start-lambda" and AWS's runtime
interface emulator serve it. Backends push with @connections below the URL that is printed.`

const example = `  apigws gateway                                        # an echo
  apigws gateway --demo chat                            # a room for everybody
  apigws gateway --template template.yaml --lambda http://127.0.0.1:3001 --inspect 127.0.0.1:4040
  apigws gateway --route '$connect=mock' --route '$default=http://127.0.0.1:9000/events'
  apigws gateway --route '$default=lambda:echo' --lambda echo=http://127.0.0.1:9001 --route-response '$default'`

// Options are the flags.
type options struct {
	routing
	template templateOptions
	faults   faults

	addr     string
	tls      bool
	caFile   string
	idle     time.Duration
	lifetime time.Duration

	connectRate float64
	maxFrame    int
	maxMessage  int
	buffer      int

	inspect     string
	inspectHost []string
	verbose     bool
}

// A routing is what the flags say of routes.
type routing struct {
	demo         string
	chat         chat     // behind demo
	routes       []string // KEY=TARGET
	responses    []string // route keys
	selection    string
	lambda       []string // URL or NAME=URL
	authorizer   string
	identity     []string
	apiKeys      []string
	stage        string
	variables    []string // NAME=VALUE
	timeout      time.Duration
	concurrent   bool
	subprotocols []string
}

type templateOptions struct {
	file       string
	api        string
	parameters []string // NAME=VALUE
}

// Faults are what goes wrong on every connection.
type faults struct {
	latency     time.Duration
	pushDelay   time.Duration
	rate        int
	copies      int
	abruptIdle  bool
	ignorePings bool
	silentPings bool
}

// Command returns the subcommand.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:     "gateway",
		Short:   "Serve a WebSocket API on this machine, for backends in any language",
		Long:    long,
		Example: example,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd, &o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	f.BoolVar(&o.tls, "tls", false, "serve wss and https, under a certificate made for this run")
	f.StringVar(&o.caFile, "ca-file", "", "`file` to write that certificate to, for clients to trust (default: a temporary one)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print each event")
	f.StringVar(&o.inspect, "inspect", "", "serve the inspector on this `address`, such as 127.0.0.1:4040")
	f.StringSliceVar(&o.inspectHost, "inspect-host", nil,
		"a `name` by which the inspector may be asked for; needed where its address is not loopback")
	o.template.flags(f)
	o.routing.flags(f)
	f.DurationVar(&o.idle, "idle", 2*time.Minute,
		"how long a connection may be silent; AWS documents 10m, and 2m was measured; negative: for ever")
	f.DurationVar(&o.lifetime, "lifetime", 2*time.Hour, "how long a connection may last; negative: for ever")
	f.Float64Var(&o.connectRate, "connect-rate", 0, "most new connections a second; AWS has 500 (default: no limit)")
	f.IntVar(&o.maxFrame, "max-frame", 32<<10, "most `bytes` in a frame from a client")
	f.IntVar(&o.maxMessage, "max-message", 128<<10, "most `bytes` in a message")
	f.IntVar(&o.buffer, "buffer", 1<<20, "how many `bytes` may wait for one client")
	o.faults.flags(f)
	return cmd
}

func (o *templateOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.file, "template", "", "`file` with a SAM or CloudFormation template, YAML or JSON")
	f.StringVar(&o.api, "api", "", "logical `id` of the API, where the template has several")
	f.StringArrayVar(&o.parameters, "parameter", nil, "`NAME=VALUE` of a parameter of the template")
}

func (o *routing) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.lambda, "lambda", nil,
		"`URL` of the Lambda Invoke API, or NAME=URL of an emulator that serves one function")
	f.StringArrayVar(&o.routes, "route", nil, "`KEY=TARGET`; targets: lambda:NAME, http://..., echo, mock")
	f.StringArrayVar(&o.responses, "route-response", nil, "`key` of a route whose result is sent to the client")
	f.StringVar(&o.selection, "route-selection", "", "the route selection `expression` (default $request.body.action)")
	f.StringVar(&o.authorizer, "authorizer", "", "`TARGET` that authorizes $connect: lambda:NAME, or none")
	f.StringArrayVar(&o.identity, "identity-source", nil,
		"what a handshake must have before the authorizer is asked, such as route.request.header.Authorization")
	f.StringArrayVar(&o.apiKeys, "api-key", nil, "an API `key` that a handshake must have")
	f.StringVar(&o.stage, "stage", "", "`name` of the stage (default: that of the template, else prod)")
	f.StringArrayVar(&o.variables, "stage-variable", nil, "`NAME=VALUE`")
	f.DurationVar(&o.timeout, "integration-timeout", 29*time.Second, "how long an integration may take")
	f.BoolVar(&o.concurrent, "concurrent", false, "handle the messages of one connection side by side")
	f.StringArrayVar(&o.subprotocols, "subprotocol", nil, "a `name` to choose where the client offers it")
	f.StringVar(&o.demo, "demo", "", "a backend to play with: chat")
}

func (o *faults) flags(f *pflag.FlagSet) {
	f.DurationVar(&o.latency, "latency", 0, "delay every frame to clients")
	f.DurationVar(&o.pushDelay, "push-delay", 0, "delay messages to clients, but not PONGs and close frames")
	f.IntVar(&o.copies, "push-copies", 0, "send each message that many times again; -1: not at all")
	f.IntVar(&o.rate, "rate", 0, "`bytes` a second on each connection, in either direction (default: no limit)")
	f.BoolVar(&o.abruptIdle, "abrupt-idle", false, "cut silent connections without a close frame")
	f.BoolVar(&o.ignorePings, "ignore-pings", false, "PINGs do not count as activity")
	f.BoolVar(&o.silentPings, "silent-pings", false, "PINGs get no PONG")
}
