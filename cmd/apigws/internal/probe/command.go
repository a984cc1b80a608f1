// Package probe is the subcommand that measures a gateway: who is cut when, with which code, what
// it answers to PINGs, and whether frames of 32 KiB pass. It says what it finds and what to set.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/cmd/apigws/internal/handshake"
	"github.com/apigws/apigws/gatewaytest"
)

const long = `probe measures a gateway: which of its connections are cut when, and with which close code;
what is answered to PINGs, and whether they count as activity; whether a frame of 32 KiB passes.
From that it says what to set in apigws.Options. The report goes to standard output, progress to
standard error; --out also writes the report and a timeline as files.

A real gateway takes a quarter of an hour, which is longer than the ten minutes that AWS documents.
Ctrl-C ends it early, with a report of what was seen so far. It opens four connections to stay and a
short one, and sends at most 16 small messages and one of 32 KiB; --oversize opens another for a
frame of one byte more, which a real gateway punishes by closing that connection.

--fake measures the fake gateway of this program in place of a real one, a hundred times as fast:
nine seconds.

` + cli.ExitCodes

const example = `  apigws probe --fake
  apigws probe wss://abc123.execute-api.eu-west-1.amazonaws.com/prod --out probe-report
  apigws probe wss://... --iam --profile dev`

// A request is what the flags say.
type request struct {
	probe     probe
	handshake handshake.Flags
	fake      bool
	message   string
	dir       string
	json      bool
}

// Command returns the subcommand.
func Command() *cobra.Command {
	r := &request{}
	cmd := &cobra.Command{
		Use:               "probe URL",
		Short:             "Measure a gateway: who is cut when, and what keeps a connection open",
		Long:              long,
		Example:           example,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(cmd *cobra.Command, args []string) error {
			if !r.fake {
				return cli.OneURL(cmd, args)
			}
			return cobra.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.probe.url = args[0]
			}
			r.json = cli.JSON(cmd)
			return r.run(cmd.Context(), cmd.Flags(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	p := &r.probe
	r.handshake.Register(flags)
	flags.DurationVar(&p.watch, "for", 15*time.Minute, "how long to watch; two hours and more show the end of the lifetime")
	flags.DurationVar(&p.interval, "interval", time.Minute, "the time between PINGs, and between messages")
	flags.BoolVar(&p.oversize, "oversize", false, "also try a frame of 32 KiB and one byte (the fake is always asked)")
	flags.StringVar(&r.message, "message", `{"action":"ping"}`, "`message` to send")
	flags.StringVar(&r.dir, "out", "", "write report.md and timeline.svg into this `directory`")
	flags.BoolVar(&r.fake, "fake", false, "measure the fake gateway of this program")
	flags.IntVar(&p.scale, "scale", 100, "how many times faster than these times the fake runs")
	return cmd
}

// run measures, and prints the report. flags are told in the report, so that it can be made again.
func (q *request) run(ctx context.Context, flags *pflag.FlagSet, out, progress io.Writer) error {
	p := &q.probe
	p.message = []byte(q.message)
	if p.interval <= 0 || p.watch <= 0 || p.scale <= 0 {
		return cli.Usagef("--interval, --for and --scale must be more than 0")
	}
	var target, note string
	if q.fake {
		gw := gatewaytest.NewServer(&gatewaytest.Config{
			Idle:     2 * time.Minute / time.Duration(p.scale),
			Lifetime: 2 * time.Hour / time.Duration(p.scale),
		})
		defer gw.Close()
		p.url, p.oversize = gw.URL, true
		target = fmt.Sprintf("the fake gateway, whose idle limit is 2m, %d times as fast", p.scale)
		note = fmt.Sprintf("Times are those of the fake, multiplied by %d; so is every millisecond by which it, or a "+
			"client, was late. Round trips are as measured.", p.scale)
	} else {
		p.scale = 1
	}
	opts, err := q.handshake.Options(ctx, p.url, progress)
	if err != nil {
		return err
	}
	p.opts = *opts

	r, err := p.run(ctx, progress)
	if err != nil {
		return q.failed(ctx, err)
	}
	if !q.fake {
		target = redact(p.url)
	}
	r.target, r.note, r.day = target, note, time.Now().UTC().Format(time.DateOnly)
	r.command = command(p.url, q.fake, flags)
	if err := q.print(r, out, progress); err != nil {
		return err
	}
	if r.interrupted {
		return &cli.Error{Code: cli.Interrupted, Err: errors.New("interrupted: the report is partial")}
	}
	return nil
}

// failed returns the error for a probe that could not connect.
func (q *request) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &cli.Error{Code: cli.Interrupted, Err: errors.New("interrupted before there was anything to report")}
	}
	return q.handshake.Explain(err, q.probe.url)
}

// print prints the report, and writes its files.
func (q *request) print(r *report, out, progress io.Writer) error {
	var err error
	if q.json {
		err = json.NewEncoder(out).Encode(r.data())
	} else {
		_, err = io.WriteString(out, r.markdown())
	}
	if err != nil || q.dir == "" {
		return err
	}
	if err := os.MkdirAll(q.dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"report.md": r.markdown(), "timeline.svg": r.timeline()} {
		if err := os.WriteFile(filepath.Join(q.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(progress, "written: %s and %s\n", filepath.Join(q.dir, "report.md"), filepath.Join(q.dir, "timeline.svg"))
	return nil
}

// redact returns a URL without what may be secret: a report is there to be shown around. The URL
// has been dialled, so it can be parsed.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "..."
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// command returns how to make the report again, without secrets.
func command(rawURL string, fake bool, flags *pflag.FlagSet) string {
	words := []string{"apigws probe"}
	if !fake {
		words = append(words, redact(rawURL))
	}
	flags.Visit(func(f *pflag.Flag) {
		value := " " + f.Value.String()
		switch {
		case f.Name == "header", f.Name == "header-command":
			value = " '...'"
		case f.Name == "message":
			value = " '" + f.Value.String() + "'"
		case f.Value.Type() == "bool":
			value = ""
		}
		words = append(words, "--"+f.Name+value)
	})
	return strings.Join(words, " ")
}
