package main

import (
	"fmt"
	"strings"
	"time"
)

// A report is what a run has found. Times are those of the gateway.
type report struct {
	target  string // what was measured
	note    string // how to read the figures
	command string // how to do it again
	day     string
	message []byte

	watch, watched, interval time.Duration
	interrupted              bool
	frames                   []frame

	silent, once, pings, messages outcome
}

func (r *report) outcomes() []*outcome {
	return []*outcome{&r.silent, &r.once, &r.pings, &r.messages}
}

func (r *report) markdown() string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	put("# Probe of a gateway\n")
	put("Measured: %s, on %s, with\n\n    %s\n", r.target, r.day, r.command)
	if r.note != "" {
		put("%s\n", r.note)
	}
	if r.interrupted {
		put("**Interrupted after %s of %s: this report is partial.**\n", short(r.watched), short(r.watch))
	}
	put("![Who was cut when](timeline.svg)\n")

	put("| client | lived | end | sent | received |")
	put("|---|---|---|---|---|")
	for _, o := range r.outcomes() {
		end := "still open"
		if o.cut != nil {
			end = "cut: " + strings.ReplaceAll(cause(o.cut), "|", `\|`)
		}
		what := "message"
		if o == &r.pings {
			what = "PING"
		}
		put("| %s | %s | %s | %s | %s |", o.name, short(o.lived), end,
			count(int64(len(o.beats)), what), count(o.received, "message"))
	}

	put("\n## What was found\n")
	for _, finding := range r.findings() {
		put("- %s", finding)
	}
	text, code := r.advice()
	put("\n## What to set\n\n%s", text)
	if code != "" {
		put("\n```go\n%s\n```", code)
	}
	return b.String()
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// short writes a duration to the second, less than ten to two digits, without
// parts that are zero: 2m, not 2m0s.
func short(d time.Duration) string {
	unit := time.Second
	for d < 10*unit && unit > time.Millisecond {
		unit /= 10
	}
	s := d.Round(unit).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
