// Command probe measures a gateway: who is cut when, with which code, what it
// answers to PINGs, and whether frames of 32 KiB pass. It prints what it finds
// and what to set; with -out it writes a report and a timeline.
//
//	go run ./examples/probe                  # an embedded fake, a hundred times as fast: nine seconds
//	go run ./examples/probe -url wss://abc123.execute-api.eu-west-1.amazonaws.com/prod -out probe-report
//
// A real gateway takes a quarter of an hour: longer than the ten minutes that
// AWS documents. Ctrl-C ends it early, with a report of what was seen so far.
// It opens four connections to stay and a short one, and sends at most 16 small
// messages and one of 32 KiB; -oversize opens another for a frame of one byte
// more, which a real gateway punishes by closing that connection.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	p := &probe{header: make(http.Header)}
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.StringVar(&p.url, "url", "", "a real gateway; default: an embedded fake")
	flags.DurationVar(&p.watch, "for", 15*time.Minute, "how long to watch; two hours and more show the end of the lifetime")
	flags.DurationVar(&p.interval, "interval", time.Minute, "the time between PINGs, and between messages")
	flags.IntVar(&p.scale, "scale", 100, "how many times faster than these times the fake runs")
	flags.BoolVar(&p.oversize, "oversize", false, "also try a frame of 32 KiB and one byte (the fake is always asked)")
	message := flags.String("message", `{"action":"ping"}`, "what to send")
	flags.Func("header", "`\"Name: value\"` for the handshake; may be repeated", func(s string) error {
		name, value, found := strings.Cut(s, ":")
		if !found {
			return errors.New("want Name: value")
		}
		p.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	})
	dir := flags.String("out", "", "write report.md and timeline.svg into this directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p.message = []byte(*message)
	if p.interval <= 0 || p.watch <= 0 || p.scale <= 0 {
		return errors.New("-interval, -for and -scale must be more than 0")
	}

	target, err := redact(p.url)
	if err != nil {
		return err
	}
	var note string
	if p.url == "" {
		gw := gatewaytest.NewServer(&gatewaytest.Config{
			Idle:     2 * time.Minute / time.Duration(p.scale),
			Lifetime: 2 * time.Hour / time.Duration(p.scale),
		})
		defer gw.Close()
		p.url, p.oversize = gw.URL, true
		target = fmt.Sprintf("the fake gateway, whose idle limit is 2m, %d times as fast", p.scale)
		note = fmt.Sprintf("Times are those of the fake, multiplied by %d; so is every millisecond by which it, or a client, "+
			"was late. Round trips are as measured.", p.scale)
	} else {
		p.scale = 1
	}

	r, err := p.run(ctx, out)
	if err != nil {
		return err
	}
	r.target, r.note, r.command, r.day = target, note, command(flags), time.Now().UTC().Format(time.DateOnly)
	fmt.Fprint(out, "\n", r.markdown())
	if *dir == "" {
		return nil
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*dir, "report.md"), []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*dir, "timeline.svg"), []byte(r.timeline()), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nwritten: %s and %s\n", filepath.Join(*dir, "report.md"), filepath.Join(*dir, "timeline.svg"))
	return nil
}

// redact returns a URL without what may be secret: a report is there to be
// shown around.
func redact(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("-url cannot be parsed") // the text of err holds the URL
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String(), nil
}

// command returns how to make the report again, without secrets.
func command(flags *flag.FlagSet) string {
	words := []string{"go run ./examples/probe"}
	flags.Visit(func(f *flag.Flag) {
		value := f.Value.String()
		switch f.Name {
		case "url":
			value, _ = redact(value) // run has checked it
		case "header":
			value = "'...'"
		case "message":
			value = "'" + value + "'"
		}
		words = append(words, "-"+f.Name+" "+value)
	})
	return strings.Join(words, " ")
}
