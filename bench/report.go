package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A report collects what the run has measured.
type report struct {
	notes []string
	rows  []row
	texts []string
	raw   []string // lines of CSV
}

// A row is a scenario of throughput: the median of each library.
type row struct {
	name    string
	medians map[string]float64
	allocs  map[string]float64
	spread  map[string]float64 // half the distance of the quartiles, relative to the median
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *report) throughput(name string, samples map[string][]sample) {
	row := row{name, map[string]float64{}, map[string]float64{}, map[string]float64{}}
	for _, lib := range libraries {
		var rates, allocs []float64
		for i, s := range samples[lib.name] {
			rates, allocs = append(rates, s.perSecond), append(allocs, s.allocs)
			r.raw = append(r.raw, fmt.Sprintf("%q,%s,%d,%.0f,%.3f", name, lib.name, i, s.perSecond, s.allocs))
		}
		m := median(rates)
		row.medians[lib.name], row.allocs[lib.name] = m, median(allocs)
		row.spread[lib.name] = (quantile(rates, 0.75) - quantile(rates, 0.25)) / 2 / m
	}
	r.rows = append(r.rows, row)
}

func (r *report) idle(name string, n int, figures map[string]idleFigures) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, each:\n\n| library | heap | stack | together | goroutines | CPU of keepalive for all %d, share of a core |\n|---|---:|---:|---:|---:|---:|\n", name, n)
	for _, lib := range libraries {
		f := figures[lib.name]
		fmt.Fprintf(&b, "| %s | %.1f KB | %.1f KB | %.1f KB | %.2f | %.2f %% |\n", lib.name,
			float64(f.Heap)/1e3, float64(f.Stack)/1e3, float64(f.Heap+f.Stack)/1e3, f.Goroutines, 100*f.CPU)
		r.raw = append(r.raw, fmt.Sprintf("%q,%s,heap,%d,", name, lib.name, f.Heap),
			fmt.Sprintf("%q,%s,stack,%d,", name, lib.name, f.Stack),
			fmt.Sprintf("%q,%s,cpu,%.6f,", name, lib.name, f.CPU))
	}
	r.texts = append(r.texts, b.String())
}

func (r *report) recovery(apigwsBack, coderBack, rtt, stall []time.Duration) {
	var b strings.Builder
	b.WriteString("\n| recovery | median | 90 % below |\n|---|---:|---:|\n")
	for _, line := range []struct {
		name string
		ds   []time.Duration
	}{
		{"apigws: from a cut to the next message delivered, jitter left out", apigwsBack},
		{"coder, dialled again by hand at once: the same", coderBack},
		{"round trip of a PING", rtt},
		{"apigws: longest Write during a rotation", stall},
	} {
		var fs []float64
		for i, d := range line.ds {
			fs = append(fs, float64(d.Microseconds()))
			r.raw = append(r.raw, fmt.Sprintf("%q,apigws,%d,%d,", line.name, i, d.Microseconds()))
		}
		fmt.Fprintf(&b, "| %s | %.0f µs | %.0f µs |\n", line.name, median(fs), quantile(fs, 0.9))
	}
	r.texts = append(r.texts, b.String())
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Messages a second: medians, ± half the distance of the quartiles; in brackets heap allocations a message.\n\n", strings.Join(r.notes, "; "))
	if len(r.rows) > 0 {
		b.WriteString("| scenario |")
		for _, lib := range libraries {
			fmt.Fprintf(&b, " %s |", lib.name)
		}
		b.WriteString(" apigws / coder | apigws / gorilla |\n|---|")
		b.WriteString(strings.Repeat("---:|", len(libraries)+2))
		b.WriteString("\n")
		for _, row := range r.rows {
			fmt.Fprintf(&b, "| %s |", row.name)
			for _, lib := range libraries {
				fmt.Fprintf(&b, " %s ± %.0f %% (%.1f) |", thousands(row.medians[lib.name]), 100*row.spread[lib.name], row.allocs[lib.name])
			}
			fmt.Fprintf(&b, " **%.2f** | **%.2f** |\n", row.ratio("coder"), row.ratio("gorilla"))
		}
	}
	for _, t := range r.texts {
		b.WriteString(t)
	}
	return b.String()
}

func (r *row) ratio(to string) float64 { return r.medians["apigws"] / r.medians[to] }

func (r *report) csv() string {
	return "scenario,library,round,value,allocations\n" + strings.Join(r.raw, "\n") + "\n"
}

func thousands(f float64) string {
	if f >= 1e6 {
		return fmt.Sprintf("%.2f M", f/1e6)
	}
	return fmt.Sprintf("%.0f k", f/1e3)
}

func median(fs []float64) float64 { return quantile(fs, 0.5) }

func quantile[T cmp.Ordered](fs []T, q float64) T {
	var zero T
	if len(fs) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(fs))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
