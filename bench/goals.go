package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A goal is a bound on a figure of this library that was set before anything
// was measured.
type goal struct {
	text     string
	scenario string // that it needs
	measured func(r *report, scenario string) float64
	least    bool // the bound is the least rather than the most
	bound    float64
}

func ratioTo(library, metric string) func(*report, string) float64 {
	return func(r *report, scenario string) float64 {
		return quantile(r.ratios(scenario, ours, library, metric), 0.5)
	}
}

func figure(library, metric string) func(*report, string) float64 {
	return func(r *report, scenario string) float64 { return r.median(scenario, library, metric) }
}

// roundTrips returns a time in round trips as they were measured on the path,
// which the timers of the server make a little longer than they should be.
func roundTrips(p path) func(*report, string) float64 {
	return func(r *report, scenario string) float64 {
		return r.median(scenario, ours, elapsed) / r.median(p.ping(), ours, elapsed)
	}
}

var goals = []goal{
	{"receiving 128 B: at least 3 times coder", "TCP, receive 128 B", ratioTo(coder, rate), true, 3},
	{"receiving 128 B: as fast as gorilla", "TCP, receive 128 B", ratioTo(gorilla, rate), true, 1},
	{"receiving: one allocation a message", "TCP, receive 128 B", figure(ours, allocs), false, 1},
	{"one writer: at least 1.2 times coder", "TCP, send 128 B, 1 writer", ratioTo(coder, rate), true, 1.2},
	{"one writer: no allocation", "TCP, send 128 B, 1 writer", figure(ours, allocs), false, 0},
	{"64 writers: at least 3 times gorilla", "TCP, send 128 B, 64 writers", ratioTo(gorilla, rate), true, 3},
	{"64 writers over TLS: at least 3 times gorilla", "TLS, send 128 B, 64 writers", ratioTo(gorilla, rate), true, 3},
	{"echo: no slower than coder", "TCP, echo 120 B, ask and wait", ratioTo(coder, rate), true, 1},
	{"idle: two goroutines of its own at most", "TCP, 10000 idle clients", figure(unread.name, goroutines), false, 2},
	{"idle: no more memory than gorilla", "TCP, 10000 idle clients", ratioTo(gorilla, memory), false, 1},
	{"keepalive of 10,000: below 1 % of a core, 36 s of CPU an hour", "TCP, 10000 idle clients", figure(ours, keepaliveCPU), false, 36},
	{"back after a cut: in one round trip, within 5 %", farTCP.comeback(), roundTrips(farTCP), false, 1.05},
	{"a rotation holds a Write for one round trip at most, within 5 %", farTCP.stall(), roundTrips(farTCP), false, 1.05},
}

// goalTable compares at the two digits that it prints.
func (r *report) goalTable(b *strings.Builder) {
	var lines strings.Builder
	for _, g := range goals {
		if !slices.ContainsFunc(r.records, func(rec record) bool { return rec.scenario == g.scenario }) {
			continue
		}
		measured := math.Round(100*g.measured(r, g.scenario)) / 100
		verdict := "met"
		if g.least && measured < g.bound || !g.least && measured > g.bound {
			verdict = "missed"
		}
		fmt.Fprintf(&lines, "| %s | %.2f | %s |\n", g.text, measured, verdict)
	}
	if lines.Len() == 0 {
		return
	}
	b.WriteString("\nWhat this library set out to reach, and what it measured here.\n")
	header(b, "goal", "measured", "verdict")
	b.WriteString(lines.String())
}
