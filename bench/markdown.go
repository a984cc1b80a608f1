package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// markdown returns the tables of a run.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s/%s, %d CPUs, %s, %v for the whole run.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), r.started.UTC().Format(time.DateOnly), r.took.Round(time.Second))
	for _, note := range r.notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	r.rateTable(&b)
	r.allocationTable(&b)
	r.idleTables(&b)
	r.timeTables(&b)
	r.goalTable(&b)
	return b.String()
}

// header writes the head of a table whose columns after the first are numbers.
func header(b *strings.Builder, columns ...string) {
	fmt.Fprintf(b, "\n| %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-1))
}

func names(libs []library) (names []string) {
	for _, lib := range libs {
		names = append(names, lib.name)
	}
	return names
}

func (r *report) rateTable(b *strings.Builder) {
	scenarios := r.scenarios(rate)
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nMessages a second: the median of the rounds, ± half the distance of their quartiles. The ratios are those of\n" +
		"apigws: the median of the rounds' ratios, and their quartiles.\n")
	header(b, append(append([]string{"scenario"}, names(libraries)...), "to coder", "to gorilla")...)
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s |", s)
		for _, lib := range libraries {
			values := r.values(s, lib.name, rate)
			m := quantile(values, 0.5)
			fmt.Fprintf(b, " %s ± %.0f %% |", count3(m), 50*(quantile(values, 0.75)-quantile(values, 0.25))/m)
		}
		for _, to := range []string{coder, gorilla} {
			ratios := r.ratios(s, ours, to, rate)
			fmt.Fprintf(b, " **%.2f** (%.2f to %.2f) |", quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75))
		}
		b.WriteString("\n")
	}
}

// count3 writes a number with three digits or so.
func count3(f float64) string {
	switch {
	case f >= 1e6:
		return fmt.Sprintf("%.2f M", f/1e6)
	case f >= 1e5:
		return fmt.Sprintf("%.0f k", f/1e3)
	default:
		return fmt.Sprintf("%.1f k", f/1e3)
	}
}

func (r *report) allocationTable(b *strings.Builder) {
	scenarios := r.scenarios(allocs)
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nHeap allocations a message, by the whole client process: medians.\n")
	header(b, append([]string{"scenario"}, names(libraries)...)...)
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s |", s)
		for _, lib := range libraries {
			fmt.Fprintf(b, " %.1f |", r.median(s, lib.name, allocs))
		}
		b.WriteString("\n")
	}
}

func (r *report) idleTables(b *strings.Builder) {
	for _, s := range r.scenarios(memory) {
		fmt.Fprintf(b, "\n%s. Memory and goroutines are those of one client; the CPU of an hour is that of the keepalives of all.\n", s)
		header(b, "library", "heap", "stack", "together", "goroutines", "CPU a PING", "CPU an hour", "share of a core")
		for _, lib := range r.libraries(s) {
			hour := r.median(s, lib, keepaliveCPU)
			fmt.Fprintf(b, "| %s | %.1f KB | %.1f KB | %.1f KB | %.1f | %.0f µs | %.1f s | %.2f %% |\n", lib,
				r.median(s, lib, heap)/1e3, r.median(s, lib, stack)/1e3, r.median(s, lib, memory)/1e3,
				r.median(s, lib, goroutines), r.median(s, lib, perPing), hour, 100*hour/time.Hour.Seconds())
		}
	}
}

func (r *report) timeTables(b *strings.Builder) {
	scenarios := r.scenarios(elapsed)
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nTimes in milliseconds: the median, and below which 90 % lie.\n")
	header(b, append([]string{"scenario"}, names(libraries)...)...)
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s |", s)
		for _, lib := range libraries {
			values := r.values(s, lib.name, elapsed)
			if len(values) == 0 {
				b.WriteString(" |")
				continue
			}
			fmt.Fprintf(b, " %.2f, %.2f |", quantile(values, 0.5)/1e3, quantile(values, 0.9)/1e3)
		}
		b.WriteString("\n")
	}
}
