package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A report collects what a run has measured: a flat list, from which tables and
// chart are made.
type report struct {
	started time.Time
	took    time.Duration
	rounds  int // of throughput
	notes   []string
	records []record
}

// A record is one figure of one round.
type record struct {
	Scenario, Library, Metric string
	Value                     float64
}

func (r *report) add(scenario, library, metric string, value float64) {
	r.records = append(r.records, record{scenario, library, metric, value})
}

// note keeps what the reader of the tables should know.
func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// values returns the figures of all rounds, in their order.
func (r *report) values(scenario, library, metric string) (values []float64) {
	for _, rec := range r.records {
		if rec.Scenario == scenario && rec.Library == library && rec.Metric == metric {
			values = append(values, rec.Value)
		}
	}
	return values
}

func (r *report) median(scenario, library, metric string) float64 {
	return quantile(r.values(scenario, library, metric), 0.5)
}

// ratios returns, for each round, the figure of one library in terms of that
// of another: what disturbs the machine for longer than a round hits both.
func (r *report) ratios(scenario, library, to, metric string) (ratios []float64) {
	values, others := r.values(scenario, library, metric), r.values(scenario, to, metric)
	for i := range min(len(values), len(others)) {
		ratios = append(ratios, values[i]/others[i])
	}
	return ratios
}

// scenarios returns those that have figures of a metric, in the order in which
// they were measured.
func (r *report) scenarios(metric string) (names []string) {
	for _, rec := range r.records {
		if rec.Metric == metric && !slices.Contains(names, rec.Scenario) {
			names = append(names, rec.Scenario)
		}
	}
	return names
}

// libraries returns those that have figures of a scenario, in the order of the first round.
func (r *report) libraries(scenario string) (names []string) {
	for _, rec := range r.records {
		if rec.Scenario == scenario && !slices.Contains(names, rec.Library) {
			names = append(names, rec.Library)
		}
	}
	return names
}

// csv returns every figure as it was measured.
func (r *report) csv() string {
	var b strings.Builder
	b.WriteString("scenario,library,metric,round,value\n")
	rounds := make(map[record]int)
	for _, rec := range r.records {
		series := record{rec.Scenario, rec.Library, rec.Metric, 0}
		rounds[series]++
		fmt.Fprintf(&b, "%q,%q,%q,%d,%.4g\n", rec.Scenario, rec.Library, rec.Metric, rounds[series], rec.Value)
	}
	return b.String()
}

// quantile returns the value below which a share q of the values lies; between
// two of them it interpolates. Without values it is not a number.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
