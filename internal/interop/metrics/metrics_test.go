// Package metrics_test compares what the two modules below metrics export of one client with each
// other, with docs/metrics.md and with the Grafana dashboard.
package metrics_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	otelapigws "github.com/apigws/apigws/metrics/otel"
	promapigws "github.com/apigws/apigws/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// An export is what the two modules export of one client that is open and has been through all that
// gives a metric its value: a lost connection, a rotation, a round trip.
type export struct {
	prometheus []*dto.MetricFamily           // by metrics/prometheus
	translated []*dto.MetricFamily           // by metrics/otel and OpenTelemetry's exporter to Prometheus
	otel       map[string]metricdata.Metrics // by metrics/otel, by name
}

func exportBoth(t *testing.T) (e export) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		gw.SetFaults(gatewaytest.Faults{Latency: 20 * time.Millisecond})
		c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: gw.Client(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		gw.Conns()[0].Drop()
		time.Sleep(time.Minute)
		if err := c.Write(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := c.Write(t.Context(), []byte("and more")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		collector := promapigws.NewCollector()
		collector.Add("orders", c)
		direct := prometheus.NewPedanticRegistry()
		direct.MustRegister(collector)

		translated := prometheus.NewPedanticRegistry()
		exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(translated),
			otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
		if err != nil {
			t.Fatal(err)
		}
		reader := sdk.NewManualReader()
		meter := sdk.NewMeterProvider(sdk.WithReader(exporter), sdk.WithReader(reader)).Meter("test")
		if _, err := otelapigws.Register(meter, "orders", c); err != nil {
			t.Fatal(err)
		}

		if e.prometheus, err = direct.Gather(); err != nil {
			t.Fatal(err)
		}
		if e.translated, err = translated.Gather(); err != nil {
			t.Fatal(err)
		}
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		e.otel = make(map[string]metricdata.Metrics)
		for _, m := range all.ScopeMetrics[0].Metrics {
			e.otel[m.Name] = m
		}
	})
	return e
}

// TestTheSameEitherWay fails when a name, type, help, label or value is not the same in both
// modules.
func TestTheSameEitherWay(t *testing.T) {
	e := exportBoth(t)
	direct, translated := lines(e.prometheus), lines(e.translated)
	for _, line := range direct {
		if !slices.Contains(translated, line) {
			t.Errorf("only in metrics/prometheus: %s", line)
		}
	}
	for _, line := range translated {
		if !slices.Contains(direct, line) {
			t.Errorf("only in metrics/otel: %s", line)
		}
	}
	if len(direct) == 0 {
		t.Error("nothing is exported")
	}
}

// lines returns one line for each family and each value.
func lines(families []*dto.MetricFamily) []string {
	var all []string
	for _, f := range families {
		all = append(all, fmt.Sprintf("%s %v %s", f.GetName(), f.GetType(), f.GetHelp()))
		for _, m := range f.Metric {
			all = append(all, fmt.Sprintf("%s %v %v", f.GetName(), m.Label, m.GetCounter().GetValue()+m.GetGauge().GetValue()))
		}
	}
	return all
}

// TestDocumentation compares the table of docs/metrics.md with what is exported.
func TestDocumentation(t *testing.T) {
	e := exportBoth(t)
	var names, otelNames []string
	for _, line := range strings.Split(readFile(t, "../../../docs/metrics.md"), "\n") {
		if !strings.HasPrefix(line, "| `apigws_") {
			continue
		}
		cells := strings.Split(line, "|")
		code := regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(strings.Join(cells[1:5], "|"), -1)
		name, otelName, unit := code[0][1], code[1][1], code[2][1]
		var labels []string // the label of its own first, then its values
		for _, c := range code[3:] {
			labels = append(labels, c[1])
		}
		names, otelNames = append(names, name), append(otelNames, otelName)
		if got := e.otel[otelName].Unit; got != unit {
			t.Errorf("%s has unit %q, the table says %q", otelName, got, unit)
		}
		if got := ownLabel(e.prometheus, name); !slices.Equal(sorted(got), sorted(labels)) {
			t.Errorf("%s has the label and values %q, the table says %q", name, got, labels)
		}
	}
	if want := familyNames(e.prometheus); !slices.Equal(sorted(names), want) {
		t.Errorf("the table has %q\nexported are %q", names, want)
	}
	if want := slices.Sorted(maps.Keys(e.otel)); !slices.Equal(sorted(otelNames), want) {
		t.Errorf("the table has %q\nexported are %q", otelNames, want)
	}
}

// ownLabel returns the name of the label that a metric has beside "client", if any, and its values.
func ownLabel(families []*dto.MetricFamily, name string) []string {
	var all []string
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() != "client" {
					all = append(all, l.GetName(), l.GetValue())
				}
			}
		}
	}
	return slices.Compact(sorted(all))
}

// TestQueries parses the queries of the dashboard and of the alerts in docs/metrics.md: each metric
// and label that they name exists, and the dashboard shows every metric.
func TestQueries(t *testing.T) {
	e := exportBoth(t)
	labels := map[string][]string{} // of each metric, values as "label=value"
	for _, f := range e.prometheus {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels[f.GetName()] = append(labels[f.GetName()], l.GetName(), l.GetName()+"="+l.GetValue())
			}
		}
	}
	check := func(where, query string) (used []string) {
		query = strings.NewReplacer("$__rate_interval", "5m", "$client", "orders").Replace(query)
		expr, err := metricsql.Parse(query)
		if err != nil {
			t.Errorf("%s: %q: %v", where, query, err)
			return nil
		}
		metricsql.VisitAll(expr, func(expr metricsql.Expr) {
			selector, ok := expr.(*metricsql.MetricExpr)
			if !ok {
				return
			}
			for _, filters := range selector.LabelFilterss {
				name := filters[0].Value // of the label __name__
				used = append(used, name)
				for _, f := range filters[1:] {
					if !slices.Contains(labels[name], f.Label+"="+f.Value) {
						t.Errorf("%s: %q: %s has no %s %q", where, query, name, f.Label, f.Value)
					}
				}
				if labels[name] == nil {
					t.Errorf("%s: %q: there is no metric %s", where, query, name)
				}
			}
		})
		return used
	}

	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "../../../metrics/grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			shown = append(shown, check(panel.Title, target.Expr)...)
		}
	}
	if want := familyNames(e.prometheus); !slices.Equal(slices.Compact(sorted(shown)), want) {
		t.Errorf("the dashboard shows %q\nexported are %q", slices.Compact(sorted(shown)), want)
	}

	alerts := regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(readFile(t, "../../../docs/metrics.md"), -1)
	for _, alert := range alerts {
		check("docs/metrics.md", alert[1])
	}
	if len(alerts) == 0 {
		t.Error("docs/metrics.md has no alerts")
	}
}

func familyNames(families []*dto.MetricFamily) []string {
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return sorted(names)
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
