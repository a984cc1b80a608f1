package otelapigws

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

// matching returns the lines that have one of the prefixes.
func matching(lines []string, prefixes ...string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		return !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
	})
}

// Two clients with one meter, on the fake gateway: one is kept alive, the
// other breaks.
func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		gw.SetFaults(gatewaytest.Faults{Latency: 20 * time.Millisecond})
		reader := sdk.NewManualReader()
		meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
		dial := func(name string) (*apigws.Client, metric.Registration) {
			c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: gw.Client()})
			if err != nil {
				t.Fatal(err)
			}
			registration, err := Register(meter, name, c)
			if err != nil {
				t.Fatal(err)
			}
			return c, registration
		}
		quiet, _ := dial("quiet")
		defer quiet.Close()
		broken, registration := dial("broken")
		defer broken.Close()
		gw.Conns()[1].Drop()
		time.Sleep(time.Minute)

		got := matching(collect(t, reader), "apigws.connects ", "apigws.connections_lost", "apigws.pongs", "apigws.rtt")
		want := []string{
			"apigws.connections_lost counter {connection} cause=closed,client=broken 0",
			"apigws.connections_lost counter {connection} cause=closed,client=quiet 0",
			"apigws.connections_lost counter {connection} cause=network,client=broken 1",
			"apigws.connections_lost counter {connection} cause=network,client=quiet 0",
			"apigws.connections_lost counter {connection} cause=timeout,client=broken 0",
			"apigws.connections_lost counter {connection} cause=timeout,client=quiet 0",
			"apigws.connects counter {handshake} client=broken,outcome=connected 2",
			"apigws.connects counter {handshake} client=broken,outcome=error 0",
			"apigws.connects counter {handshake} client=broken,outcome=refused 0",
			"apigws.connects counter {handshake} client=quiet,outcome=connected 1",
			"apigws.connects counter {handshake} client=quiet,outcome=error 0",
			"apigws.connects counter {handshake} client=quiet,outcome=refused 0",
			"apigws.pongs counter {frame} client=broken 1",
			"apigws.pongs counter {frame} client=quiet 1",
			"apigws.rtt gauge s client=broken 0.02",
			"apigws.rtt gauge s client=quiet 0.02",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}

		// A closed client remains until it is unregistered.
		broken.Close()
		closed := "apigws.state sum {client} client=broken,state=closed 1"
		if got := collect(t, reader); !slices.Contains(got, closed) {
			t.Errorf("after Close: %q, want %q", matching(got, "apigws.state"), closed)
		}
		if err := registration.Unregister(); err != nil {
			t.Fatal(err)
		}
		left := strings.Join(collect(t, reader), "\n")
		if strings.Contains(left, "client=broken") || !strings.Contains(left, "client=quiet") {
			t.Errorf("after Unregister:\n%s", left)
		}
	})
}

// failing is a meter that refuses one instrument.
type failing struct{ noop.Meter }

func (failing) Float64ObservableGauge(string, ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return nil, context.DeadlineExceeded
}

func TestRegisterError(t *testing.T) {
	_, err := register(failing{}, "orders", func() apigws.Stats { return apigws.Stats{} })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the meter's error", err)
	}
}
