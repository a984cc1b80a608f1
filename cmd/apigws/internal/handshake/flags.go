// Package handshake has the flags of the subcommands that connect: where to, with which headers,
// signed or not. And it says what to do when that fails.
package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
)

// Flags are what a handshake is made with. No text that leaves this package holds a header or the
// query of the URL.
type Flags struct {
	Headers       []string // "Name: value", or "@file" with one of those on each line
	HeaderCommand string
	IAM           bool
	Profile       string
	Region        string
	CA            string
	AllowInsecure bool
}

// Register adds the flags to a subcommand.
func (f *Flags) Register(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.Headers, "header", "H", nil,
		"`\"Name: value\"` for the handshake, or @FILE with one on each line; may be repeated")
	flags.StringVar(&f.HeaderCommand, "header-command", "",
		"shell `command` that prints \"Name: value\" lines; it runs before each handshake")
	flags.BoolVar(&f.IAM, "iam", false, "sign each handshake with AWS credentials")
	flags.StringVar(&f.Profile, "profile", "", "AWS `profile` whose credentials and Region sign; implies --iam")
	flags.StringVar(&f.Region, "region", "", "AWS `Region` to sign for, when the host does not name it; implies --iam")
	flags.StringVar(&f.CA, "ca", "", "`file` with certificates (PEM) to trust, in addition to the system's")
	flags.BoolVar(&f.AllowInsecure, "allow-insecure", false, "permit ws:// to a host that is not loopback")
}

// Signed reports whether the flags ask for an IAM signature.
func (f *Flags) Signed() bool { return f.IAM || f.Profile != "" || f.Region != "" }

// Options returns the part of the options of a client that the flags stand for. rawURL is what the
// client will dial. The standard error of the header command goes to stderr.
func (f *Flags) Options(ctx context.Context, rawURL string, stderr io.Writer) (*apigws.Options, error) {
	if err := checkURL(rawURL, f.AllowInsecure); err != nil {
		return nil, err
	}
	header, err := f.header()
	if err != nil {
		return nil, err
	}
	opts := &apigws.Options{Header: header, AllowInsecure: f.AllowInsecure}
	if f.CA != "" {
		if opts.HTTPClient, err = trusting(f.CA); err != nil {
			return nil, err
		}
	}

	var steps []func(*http.Request) error
	if f.HeaderCommand != "" {
		command := &headerCommand{text: f.HeaderCommand, stderr: stderr}
		steps = append(steps, command.prepare)
	}
	if f.Signed() {
		sign, err := signer(ctx, rawURL, f.Profile, f.Region)
		if err != nil {
			return nil, err
		}
		steps = append(steps, sign)
	}
	if steps != nil {
		opts.Prepare = func(req *http.Request) error {
			for _, step := range steps {
				if err := step(req); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return opts, nil
}

// header returns the headers of the flags --header.
func (f *Flags) header() (http.Header, error) {
	header := make(http.Header)
	for _, given := range f.Headers {
		file, isFile := strings.CutPrefix(given, "@")
		if !isFile {
			if !addHeader(header, given) {
				return nil, cli.Usagef(`-H: want "Name: value"`)
			}
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, cli.Usagef("-H: %w", err)
		}
		if line, ok := addHeaders(header, string(text)); !ok {
			return nil, cli.Usagef(`-H: line %d of %s is not "Name: value"`, line, file)
		}
	}
	return header, nil
}

// addHeader adds the header of a line, and reports whether the line is one.
func addHeader(header http.Header, line string) bool {
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return false
	}
	header.Add(name, strings.TrimSpace(value))
	return true
}

// addHeaders adds the headers of a text, one on each line. When a line is not a header, its number
// is returned with false.
func addHeaders(header http.Header, text string) (int, bool) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.TrimSpace(line) != "" && !addHeader(header, line) {
			return number, false
		}
	}
	return 0, true
}

// trusting returns an HTTP client that trusts the certificates in a file, too.
func trusting(file string) (*http.Client, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, cli.Usagef("--ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, cli.Usagef("--ca: %s has no certificate in PEM form", file)
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("http.DefaultTransport is not an *http.Transport")
	}
	transport := base.Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return &http.Client{Transport: transport}, nil
}

// optionText names an option of the library as the flag that stands for it.
func optionText(e *apigws.OptionError) string {
	names := map[string]string{
		"url":                  "the URL",
		"Header":               "-H",
		"Subprotocols":         "--subprotocol",
		"Keepalive.Interval":   "--keepalive",
		"Keepalive.Message":    "--keepalive-message",
		"sigv4.Options.Region": "--region",
		"sigv4 credentials":    "AWS credentials",
	}
	name, ok := names[e.Field]
	if !ok {
		name = e.Field
	}
	return fmt.Sprintf("%s %s", name, e.Problem)
}
