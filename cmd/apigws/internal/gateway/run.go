package gateway

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/cmd/apigws/internal/inspect"
	"github.com/apigws/apigws/cmd/apigws/internal/template"
	"github.com/apigws/apigws/gatewaytest"
)

// run serves until the context of the command ends.
func run(cmd *cobra.Command, o *options) error {
	report := &reporter{
		verbose: o.verbose, json: cli.JSON(cmd), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(),
		quiet: map[string]time.Time{}, hidden: map[string]int{},
	}
	if o.inspect != "" {
		report.recorder = inspect.NewRecorder()
	}
	s, err := start(o, report)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.print(cmd.OutOrStdout(), report.json); err != nil {
		return err
	}
	s.watch(cmd.Context())
	return nil // interrupting it is how it ends
}

// A served is a gateway that runs.
type served struct {
	options   *options
	report    *reporter
	gateway   *gatewaytest.Server
	inspector *inspect.Inspector // nil: none
	template  *source            // nil: none
	caDir     string             // to remove; "": none
	where     ready
}

// ready is what the command prints once clients can connect.
type ready struct {
	URL           string `json:"url"`
	ManagementURL string `json:"managementUrl"`
	Inspector     string `json:"inspector,omitempty"`
	CAFile        string `json:"caFile,omitempty"`
}

func start(o *options, report *reporter) (*served, error) {
	s := &served{options: o, report: report}
	if o.template.file != "" {
		s.template = &source{file: o.template.file}
	}
	cfg, err := s.config()
	if err != nil {
		return nil, usage(err)
	}
	o.limits(cfg)
	if report.verbose || report.recorder != nil {
		cfg.Observe = report.observe
	}
	serve := gatewaytest.NewServer
	if o.tls {
		serve = gatewaytest.NewTLSServer
	}
	if err := withoutPanic(func() { s.gateway = serve(cfg) }); err != nil {
		if strings.HasPrefix(err.Error(), "listen ") {
			return nil, err
		}
		return nil, usage(err)
	}
	s.where = ready{URL: s.gateway.URL, ManagementURL: s.gateway.ManagementURL}
	if err := s.complete(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func usage(err error) error {
	return &cli.Error{Code: cli.Usage, Err: err, Hint: "See: apigws gateway --help"}
}

// config reads the template, if there is one, and returns what is to be served.
func (s *served) config() (*gatewaytest.Config, error) {
	o := s.options
	if s.template == nil {
		return o.deployment(nil, s.report)
	}
	api, notes, err := s.template.read(o)
	for _, n := range notes {
		s.report.warn("%s: %s", o.template.file, n)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.template.file, err)
	}
	return o.deployment(api, s.report)
}

// limits puts in what does not change while the gateway runs.
func (o *options) limits(cfg *gatewaytest.Config) {
	cfg.Addr = o.addr
	cfg.Idle, cfg.Lifetime = o.idle, o.lifetime
	cfg.ConnectRate = o.connectRate
	cfg.MaxFrame, cfg.MaxMessage, cfg.Buffer = o.maxFrame, o.maxMessage, o.buffer
	cfg.AbruptIdle = o.faults.abruptIdle
	cfg.IgnorePings, cfg.SilentPings = o.faults.ignorePings, o.faults.silentPings
	cfg.Discard = true // it may run for long
}

// complete does what needs a gateway that runs.
func (s *served) complete() error {
	s.options.chat.gateway.Store(s.gateway)
	f := s.options.faults
	s.gateway.SetFaults(gatewaytest.Faults{
		Latency: f.latency, PushDelay: f.pushDelay, PushCopies: f.copies, RateIn: f.rate, RateOut: f.rate,
	})
	if s.options.tls {
		if err := s.writeCA(); err != nil {
			return err
		}
	}
	if s.report.recorder != nil {
		i, err := inspect.Start(s.gateway, s.report.recorder, inspect.Options{
			Addr: s.options.inspect, AllowHosts: s.options.inspectHost,
		})
		if err != nil {
			return err
		}
		s.inspector, s.where.Inspector = i, i.URL
	}
	return nil
}

// writeCA writes the certificate of the gateway to a file, for clients to trust.
func (s *served) writeCA() error {
	file := s.options.caFile
	if file == "" {
		dir, err := os.MkdirTemp("", "apigws-")
		if err != nil {
			return err
		}
		s.caDir, file = dir, filepath.Join(dir, "ca.pem")
	}
	s.where.CAFile = file
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.gateway.Certificate().Raw})
	return os.WriteFile(file, block, 0o644)
}

func (s *served) close() {
	if s.inspector != nil {
		s.inspector.Close()
	}
	s.gateway.Close()
	if s.caDir != "" {
		os.RemoveAll(s.caDir)
	}
}

// print says where everything is.
func (s *served) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s.where)
	}
	text := fmt.Sprintf("WebSocket URL  %s\n@connections   %s/@connections/{connectionId}\n",
		s.where.URL, s.where.ManagementURL)
	if s.where.Inspector != "" {
		text += fmt.Sprintf("inspector      %s\n", s.where.Inspector)
	}
	if s.where.CAFile != "" {
		text += fmt.Sprintf("CA file        %s\n", s.where.CAFile)
	}
	_, err := io.WriteString(w, text)
	return err
}

// watchInterval is how often the template is looked at for a change.
const watchInterval = 250 * time.Millisecond

// watch takes up changes of the template until ctx ends.
func (s *served) watch(ctx context.Context) {
	ticks := time.NewTicker(watchInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if s.template != nil && s.template.changed() {
				s.redeploy()
			}
			s.report.reconcile(s.gateway)
		case <-ctx.Done():
			return
		}
	}
}

// redeploy puts the template as it is now in place of what is served; if that cannot be, nothing
// changes.
func (s *served) redeploy() {
	cfg, err := s.config()
	if err == nil {
		err = withoutPanic(func() { s.gateway.Deploy(cfg) })
	}
	if err != nil {
		s.report.warn("%v; what was served before goes on", err)
		return
	}
	if cfg.Stage != "" && cfg.Stage != s.stage() {
		s.report.warn("%s: the stage %s is served until the next start", s.options.template.file, s.stage())
	}
	s.report.warn("%s: deployed again, connections stay", s.options.template.file)
}

// stage is that of the running gateway.
func (s *served) stage() string { return path.Base(s.gateway.URL) }

// A source is the file of a template.
type source struct {
	file string
	seen os.FileInfo // when it was read last; nil: there was none
}

// changed reports whether the file is another than the one that was read.
func (f *source) changed() bool {
	now, err := os.Stat(f.file)
	if err != nil {
		return false // editors that replace a file take it away for a moment
	}
	return f.seen == nil || !now.ModTime().Equal(f.seen.ModTime()) || now.Size() != f.seen.Size() || !os.SameFile(now, f.seen)
}

// read reads the API.
func (f *source) read(o *options) (*template.API, []string, error) {
	f.seen, _ = os.Stat(f.file) // before it is read, so that no change is missed
	data, err := os.ReadFile(f.file)
	if err != nil {
		return nil, nil, errors.Unwrap(err) // the caller names the file
	}
	parameters, err := pairs("--parameter", o.template.parameters)
	if err != nil {
		return nil, nil, err
	}
	return template.Parse(data, template.Options{
		API: o.template.api, Stage: o.stage, Parameters: parameters, NoAuth: o.authorizer != "",
	})
}
