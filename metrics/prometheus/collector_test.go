package promapigws_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	promapigws "github.com/apigws/apigws/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// gather returns every value that is exported, but for those that are 0, as
// lines of the text format.
func gather(t *testing.T, c prometheus.Collector) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range all {
		for _, m := range family.Metric {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if value == 0 {
				continue
			}
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			lines = append(lines, fmt.Sprintf("%s %s %v",
				strings.TrimPrefix(family.GetName(), "apigws_"), strings.Join(labels, ","), value))
		}
	}
	return lines
}

// Two clients on the fake gateway, one of which goes through everything that
// is counted.
func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		gw.SetFaults(gatewaytest.Faults{Latency: 20 * time.Millisecond})
		collector := promapigws.NewCollector()
		if lines := gather(t, collector); lines != nil {
			t.Errorf("without a client: %q", lines)
		}
		dial := func(name string, keepalive apigws.Keepalive) *apigws.Client {
			c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: gw.Client(), Keepalive: keepalive})
			if err != nil {
				t.Fatal(err)
			}
			collector.Add(name, c)
			return c
		}
		quiet := dial("quiet", apigws.Keepalive{})
		defer quiet.Close()
		busy := dial("busy", apigws.Keepalive{Message: []byte(`{"action":"ping"}`)})
		defer busy.Close()
		if err := busy.Write(t.Context(), []byte("hi")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got, want := gather(t, collector), []string{
			"connection_age_seconds busy 1",
			"connection_age_seconds quiet 1",
			"connects_total busy,connected 1",
			"connects_total quiet,connected 1",
			"io_bytes_total busy,received 19", // the echoes
			"io_bytes_total busy,sent 19",     // the keepalive of 17 bytes, and "hi"
			"keepalive_messages_total busy 1",
			"messages_total busy,received 2",
			"messages_total busy,sent 2",
			"state busy,open 1",
			"state quiet,open 1",
			"state_age_seconds busy 1",
			"state_age_seconds quiet 1",
			"unacknowledged_messages busy 1",
			"unread_messages busy 2",
		}; !slices.Equal(got, want) {
			t.Errorf("after dialling: %q\nwant %q", got, want)
		}

		// A minute, with a keepalive each at 55 s. A rotation. Then a break,
		// and at least one refusal before the next connection: the backoff
		// begins with half a second at most.
		time.Sleep(59 * time.Second)
		if err := busy.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second) // until the old connection is drained
		gw.Refuse(503, -1)
		gw.Conns()[len(gw.Conns())-1].Close(1001, "Going away")
		time.Sleep(time.Second)
		if got, want := filter(gather(t, collector), "state "), []string{"state busy,backoff 1", "state quiet,open 1"}; !slices.Equal(got, want) {
			t.Errorf("after a break: %q, want %q", got, want)
		}
		if got := filter(gather(t, collector), "connection_age_seconds "); !slices.Equal(got, []string{"connection_age_seconds quiet 72"}) {
			t.Errorf("after a break: %q, want the age of the one connection that there is", got)
		}
		gw.Refuse(0, 0)
		time.Sleep(30 * time.Second) // the longest backoff
		lines := gather(t, collector)
		for _, want := range []string{
			"connects_total busy,connected 3",
			fmt.Sprintf("connects_total busy,refused %d", gw.Stats().Refused[503]),
			"connections_lost_total closed,busy 1",
			"rotations_total busy 1",
			"pings_total quiet 1",
			"pongs_total quiet 1",
			"connects_total quiet,connected 1",
			"state busy,open 1",
			"connection_age_seconds quiet 102",
			"rtt_seconds quiet 0.02",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("%q is missing from %q", want, lines)
			}
		}

		// A closed client remains until it is removed.
		busy.Close()
		if got, want := filter(gather(t, collector), "state "), []string{"state busy,closed 1", "state quiet,open 1"}; !slices.Equal(got, want) {
			t.Errorf("after Close: %q, want %q", got, want)
		}
		collector.Remove("busy")
		collector.Remove("never there")
		if got := strings.Join(gather(t, collector), "\n"); strings.Contains(got, "busy") {
			t.Errorf("after Remove: %s", got)
		}
		collector.Add("quiet", busy)
		if got, want := filter(gather(t, collector), "state "), []string{"state quiet,closed 1"}; !slices.Equal(got, want) {
			t.Errorf("after replacing: %q, want %q", got, want)
		}
	})
}

func filter(lines []string, prefix string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, prefix) })
}

// A name that Prometheus cannot take fails the scrape, and nothing else.
func TestBadName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: gw.Client()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		collector := promapigws.NewCollector()
		collector.Add("\xff", c)
		registry := prometheus.NewRegistry()
		registry.MustRegister(collector)
		if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%v, want an error about UTF-8", err)
		}
	})
}

// Clients come and go while others are being scraped.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: gw.Client()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		collector := promapigws.NewCollector()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				name := fmt.Sprint(i)
				for range 50 {
					collector.Add(name, c)
					if n := testutil.CollectAndCount(collector, "apigws_state"); n < 4 || n > 16 || n%4 != 0 {
						t.Errorf("%d states", n)
					}
					collector.Remove(name)
				}
			})
		}
		wg.Wait()
		if n := testutil.CollectAndCount(collector); n != 0 {
			t.Errorf("%d values of no client", n)
		}
	})
}
