package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// markdown returns the tables of a run.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s, %s/%s, %d CPUs, %s, %d rounds of throughput, %v for the whole run. Versions: %s.\n",
		r.started.UTC().Format(time.DateOnly), cpuModel(), kernel(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		runtime.Version(), r.rounds, r.took.Round(time.Second), versions())
	for _, note := range r.notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	r.rateTable(&b)
	r.floorTable(&b)
	r.ratioTable(&b)
	r.spreadTable(&b)
	r.writeTable(&b)
	r.allocationTable(&b)
	r.idleTables(&b)
	r.timeTables(&b)
	scaleTables(&b, r)
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
	b.WriteString("\nMessages a second: the median of the rounds, ± half the distance of their quartiles.\n")
	header(b, append([]string{"scenario"}, names(contestants)...)...)
	cells(b, r, scenarios, contestants, func(s, lib string) string {
		values := r.values(s, lib, rate)
		m := quantile(values, 0.5)
		return fmt.Sprintf("%s ± %.0f %%", count3(m), 50*(quantile(values, 0.75)-quantile(values, 0.25))/m)
	})
}

// cells writes a line for each scenario. What a library has no figures of is left empty.
func cells(b *strings.Builder, r *report, scenarios []string, libs []library, cell func(scenario, lib string) string) {
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s |", s)
		measured := r.libraries(s)
		for _, lib := range libs {
			if slices.Contains(measured, lib.name) {
				fmt.Fprintf(b, " %s |", cell(s, lib.name))
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
}

// ratioCell writes the median of the rounds' ratios and their quartiles.
func ratioCell(r *report, scenario, library, to, metric string) string {
	ratios := r.ratios(scenario, library, to, metric)
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("**%.2f** (%.2f to %.2f)", quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75))
}

func (r *report) floorTable(b *strings.Builder) {
	var scenarios []string
	for _, s := range r.scenarios(rate) {
		if slices.Contains(r.libraries(s), floor.name) {
			scenarios = append(scenarios, s)
		}
	}
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nThe distance to the floor: messages a second in terms of those of the floor. Ratios, here and below, are\n" +
		"taken within a round: their median, and their quartiles.\n")
	header(b, append([]string{"scenario"}, names(contestants[1:])...)...)
	cells(b, r, scenarios, contestants[1:], func(s, lib string) string { return ratioCell(r, s, lib, floor.name, rate) })
}

func (r *report) ratioTable(b *strings.Builder) {
	scenarios := r.scenarios(rate)
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nMessages a second of apigws in terms of those of the others. Bytes that are yours: Read beside gws\n" +
		"checking, which does the same work, and gws copying. Bytes that are lent: ReadInto beside gws.\n")
	header(b, "scenario", "to gws checking", "to gws copying", "to gws", "ReadInto to gws", "to gorilla", "to coder")
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", s,
			ratioCell(r, s, ours, gwsChecking.name, rate), ratioCell(r, s, ours, gwsCopying.name, rate),
			ratioCell(r, s, ours, gwsName, rate), ratioCell(r, s, readInto.name, gwsName, rate),
			ratioCell(r, s, ours, gorilla, rate), ratioCell(r, s, ours, coder, rate))
	}
}

func (r *report) spreadTable(b *strings.Builder) {
	var scenarios []string
	for _, s := range r.scenarios(rate) {
		if strings.Contains(s, "echo") {
			scenarios = append(scenarios, s)
		}
	}
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nThe spread of the echo, free running and with client and server on one core: the slowest and the fastest round.\n")
	header(b, append([]string{"scenario"}, names(withFloor)...)...)
	cells(b, r, scenarios, withFloor, func(s, lib string) string {
		values := r.values(s, lib, rate)
		return count3(quantile(values, 0)) + " to " + count3(quantile(values, 1))
	})
}

func (r *report) writeTable(b *strings.Builder) {
	scenarios := r.scenarios(cpuWrite)
	if len(scenarios) == 0 {
		return
	}
	b.WriteString("\nCPU of a Write before the kernel has it, on a connection in memory that takes all at once: the median of the\n" +
		"rounds, ± half the distance of their quartiles.\n")
	header(b, append([]string{"scenario"}, names(withFloor)...)...)
	cells(b, r, scenarios, withFloor, func(s, lib string) string {
		values := r.values(s, lib, cpuWrite)
		return fmt.Sprintf("%.0f ± %.0f ns", quantile(values, 0.5), (quantile(values, 0.75)-quantile(values, 0.25))/2)
	})
}

func scaleTables(b *strings.Builder, r *report) {
	scenarios := r.scenarios(phaseCPU(dialStorm))
	if len(scenarios) == 0 {
		return
	}
	fmt.Fprintf(b, "\nMany clients of apigws that do the same thing, %d at a time: CPU µs a client, user and system. In memory the\n"+
		"other end is counted with it.\n", atOnce)
	header(b, append([]string{"scenario"}, phases...)...)
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s |", s)
		for _, phase := range phases {
			fmt.Fprintf(b, " %.0f |", r.median(s, ours, phaseCPU(phase)))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe same: heap and stacks in KB a client, at the peak with all garbage, and afterwards once it is collected.\n" +
		"After the dial storm is at rest.\n")
	header(b, append([]string{"scenario"}, phases...)...)
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s |", s)
		for _, phase := range phases {
			fmt.Fprintf(b, " %.1f, %.1f |", r.median(s, ours, phasePeak(phase))/1e3, r.median(s, ours, phaseAfter(phase))/1e3)
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
	header(b, append([]string{"scenario"}, names(contestants)...)...)
	cells(b, r, scenarios, contestants, func(s, lib string) string {
		return fmt.Sprintf("%.1f", r.median(s, lib, allocs))
	})
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
	cells(b, r, scenarios, libraries, func(s, lib string) string {
		values := r.values(s, lib, elapsed)
		return fmt.Sprintf("%.2f, %.2f", quantile(values, 0.5)/1e3, quantile(values, 0.9)/1e3)
	})
}
