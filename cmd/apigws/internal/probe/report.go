package probe

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
			count(int64(len(o.sent)), what), count(o.received, "message"))
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

// data is what --json prints of a report. Durations are in seconds.
type data struct {
	Target      string       `json:"target"`
	Command     string       `json:"command"`
	Day         string       `json:"day"`
	Interrupted bool         `json:"interrupted"`
	Watched     float64      `json:"watched"`
	Clients     []clientData `json:"clients"`
	Findings    []string     `json:"findings"`
	Advice      string       `json:"advice"`
	Code        string       `json:"code,omitempty"`
}

type clientData struct {
	Name     string  `json:"name"`
	Lived    float64 `json:"lived"`
	Cut      string  `json:"cut,omitempty"` // why it was; empty: it is still open
	Sent     int     `json:"sent"`
	Received int64   `json:"received"`
}

func (r *report) data() data {
	d := data{
		Target: r.target, Command: r.command, Day: r.day,
		Interrupted: r.interrupted, Watched: r.watched.Seconds(),
		Findings: r.findings(),
	}
	d.Advice, d.Code = r.advice()
	for _, o := range r.outcomes() {
		c := clientData{Name: o.name, Lived: o.lived.Seconds(), Sent: len(o.sent), Received: o.received}
		if o.cut != nil {
			c.Cut = cause(o.cut)
		}
		d.Clients = append(d.Clients, c)
	}
	return d
}
