package otelapigws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// collect returns everything that a reader gets, as sorted lines.
func collect(t *testing.T, reader sdk.Reader) []string {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var lines []string
	add := func(m metricdata.Metrics, kind string, value any, attributes attribute.Set) {
		var labels []string
		for _, kv := range attributes.ToSlice() {
			labels = append(labels, string(kv.Key)+"="+kv.Value.AsString())
		}
		if m.Description == "" {
			t.Errorf("%s has no description", m.Name)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s %v", m.Name, kind, m.Unit, strings.Join(labels, ","), value))
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				if data.Temporality != metricdata.CumulativeTemporality {
					t.Errorf("%s is not cumulative", m.Name)
				}
				kind := "sum"
				if data.IsMonotonic {
					kind = "counter"
				}
				for _, p := range data.DataPoints {
					add(m, kind, p.Value, p.Attributes)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(m, "gauge", p.Value, p.Attributes)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(m, "gauge", p.Value, p.Attributes)
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// Every field of Stats has its place, and no two are mixed up.
func TestFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats := apigws.Stats{
			State: apigws.StateBackoff, Generation: 99, Since: time.Now().Add(time.Minute), Opened: time.Now(), RTT: 30 * time.Millisecond,
			Connects: 1, Refused: 2, ConnectErrors: 3, Rotations: 4,
			LostClosed: 5, LostTimeout: 6, LostNetwork: 7,
			Pings: 8, Pongs: 9, KeepaliveMessages: 10,
			MessagesSent: 11, BytesSent: 12, MessagesReceived: 13, BytesReceived: 14, MessagesResent: 15,
			Unconfirmed: 16, Unread: 17, Unproven: 18,
		}
		reader := sdk.NewManualReader()
		meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
		if _, err := register(meter, "orders", func() apigws.Stats { return stats }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second)
		want := []string{
			"apigws.connection.age gauge s client=orders 90",
			"apigws.connections_lost counter {connection} cause=closed,client=orders 5",
			"apigws.connections_lost counter {connection} cause=network,client=orders 7",
			"apigws.connections_lost counter {connection} cause=timeout,client=orders 6",
			"apigws.connects counter {handshake} client=orders,outcome=connected 1",
			"apigws.connects counter {handshake} client=orders,outcome=error 3",
			"apigws.connects counter {handshake} client=orders,outcome=refused 2",
			"apigws.io counter By client=orders,direction=received 14",
			"apigws.io counter By client=orders,direction=sent 12",
			"apigws.keepalive_messages counter {message} client=orders 10",
			"apigws.messages counter {message} client=orders,direction=received 13",
			"apigws.messages counter {message} client=orders,direction=sent 11",
			"apigws.messages_resent counter {message} client=orders 15",
			"apigws.messages_unconfirmed counter {message} client=orders 16",
			"apigws.pings counter {frame} client=orders 8",
			"apigws.pongs counter {frame} client=orders 9",
			"apigws.rotations counter {connection} client=orders 4",
			"apigws.rtt gauge s client=orders 0.03",
			"apigws.state sum {client} client=orders,state=backoff 1",
			"apigws.state sum {client} client=orders,state=closed 0",
			"apigws.state sum {client} client=orders,state=connecting 0",
			"apigws.state sum {client} client=orders,state=open 0",
			"apigws.state_age gauge s client=orders 30",
			"apigws.unacknowledged_messages gauge {message} client=orders 18",
			"apigws.unread_messages gauge {message} client=orders 17",
		}
		if got := collect(t, reader); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}

		// What does not exist is absent.
		stats.Opened, stats.RTT = time.Time{}, 0
		for _, line := range collect(t, reader) {
			if strings.HasPrefix(line, "apigws.rtt") || strings.HasPrefix(line, "apigws.connection.age") {
				t.Errorf("%s: should be absent", line)
			}
		}
	})
}
