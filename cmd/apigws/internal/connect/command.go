// Package connect is the subcommand that connects to an API: with a prompt on a terminal, or with a
// message on each line of its input.
package connect

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/cmd/apigws/internal/handshake"
)

const long = `connect opens a connection and keeps it: PINGs go out before the gateway's idle limit, the
connection is replaced before its two hours are over, and a lost one is made anew.

On a terminal it has a prompt with history; what comes in is printed above it. /help lists what can
be typed besides messages. A line that begins with a space is not kept in the history.

In a pipe, or with -x, each line of the input is a message; empty lines are skipped. Messages from
the gateway go to standard output, one a line, and events to standard error. When the input has
ended, connect waits until the gateway has acknowledged every message, prints for --wait longer what
comes in, and exits with status 0. Acknowledged means: the gateway has it. What the backend does
with it only the backend can tell.

Without --resend, a message that was under way when a connection was lost may be lost, which is
status 4. With it, such messages are sent again, and may arrive twice.

No header, no query of the URL and no credential is printed or logged. A header that others on this
machine must not see in the list of processes is read from a file: -H @FILE.

` + cli.ExitCodes

const example = `  apigws connect wss://abc123.execute-api.eu-west-1.amazonaws.com/prod
  apigws connect wss://... -x '{"action":"ping"}'
  apigws connect wss://... --iam --profile dev
  apigws connect wss://... --header-command 'echo "Authorization: Bearer $(get-token)"'
  tail -f events.jsonl | apigws connect wss://... --resend
  apigws connect wss://... --wait forever </dev/null | jq .`

// config is what the flags say.
type config struct {
	url              string
	handshake        handshake.Flags
	subprotocols     []string
	keepalive        time.Duration
	keepaliveMessage string
	rotateAfter      time.Duration
	resend           bool
	messages         []string // to send in place of the input
	wait             wait
	timeout          time.Duration
	history          string
	verbose          bool
	json             bool
	httpClient       *http.Client // of tests; nil: what the flags of the handshake say
}

// Command returns the subcommand.
func Command() *cobra.Command {
	c := &config{wait: wait(time.Second)}
	cmd := &cobra.Command{
		Use:               "connect URL",
		Short:             "Connect to an API, and stay connected",
		Long:              long,
		Example:           example,
		Args:              cli.OneURL,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.url, c.json = args[0], cli.JSON(cmd)
			return c.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	c.handshake.Register(flags)
	flags.StringArrayVar(&c.subprotocols, "subprotocol", nil, "`name` to offer; may be repeated")
	flags.DurationVar(&c.keepalive, "keepalive", 55*time.Second, "silence after which a PING is sent")
	flags.StringVar(&c.keepaliveMessage, "keepalive-message", "",
		"`message` to send, too, where PINGs do not count; it is billed as any other")
	flags.DurationVar(&c.rotateAfter, "rotate-after", 0,
		"age at which the connection is replaced (default 105m to 110m)")
	flags.BoolVar(&c.resend, "resend", false, "send again what may have been lost with a connection")
	flags.StringArrayVarP(&c.messages, "execute", "x", nil,
		"`message` to send in place of the input; may be repeated")
	flags.Var(&c.wait, "wait", "how long to print messages after the last one was acknowledged; or forever")
	flags.DurationVar(&c.timeout, "timeout", time.Minute,
		"give up after so long without a connection or an acknowledgement, in a pipe; 0: never")
	flags.StringVar(&c.history, "history", "", "`file` that keeps the history of the prompt (default: none)")
	flags.BoolVarP(&c.verbose, "verbose", "v", false, "also print the log of the library")
	return cmd
}

// wait is a duration or, negative, for ever.
type wait time.Duration

func (w *wait) Set(s string) error {
	if s == "forever" {
		*w = -1
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return errors.New("want a duration, such as 2s, or forever")
	}
	*w = wait(d)
	return nil
}

func (w *wait) String() string {
	if *w < 0 {
		return "forever"
	}
	return time.Duration(*w).String()
}

func (w *wait) Type() string { return "duration" }

// run connects: with a prompt where input and output are a terminal.
func (c *config) run(ctx context.Context, in io.Reader, out, errs io.Writer) error {
	stdin, inTerminal := terminal(in)
	_, outTerminal := terminal(out)
	_, errTerminal := terminal(errs)
	dumb := os.Getenv("TERM") == "dumb" // one that knows no control sequences, as in editors
	if !inTerminal || !outTerminal || dumb || len(c.messages) > 0 {
		p := &printer{out: out, events: errs, json: c.json, prefix: "apigws: "}
		p.outTerminal, p.eventsTerminal = outTerminal, errTerminal
		p.colours = errTerminal && coloured()
		return c.pipe(ctx, in, p)
	}

	old, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return err
	}
	defer term.Restore(int(stdin.Fd()), old)
	t := newPrompt(struct {
		io.Reader
		io.Writer
	}{in, out}, c.history)
	above := abovePrompt{out, t}
	p := &printer{out: above, events: above, json: c.json, outTerminal: true, eventsTerminal: true}
	p.prefix, p.incoming = "", "< "
	p.colours = coloured()
	if !errTerminal { // apigws connect URL 2>events
		p.events, p.eventsTerminal = errs, false
	}
	defer followSize(stdin, t)()
	defer io.WriteString(out, "\r\x1b[K") // the prompt that nobody answers any more
	return c.interactive(ctx, t, p)
}

// terminal returns the file of a stream, and whether it is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// coloured reports whether a terminal is to get colours; see https://no-color.org.
func coloured() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }
