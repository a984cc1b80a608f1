package promapigws_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	promapigws "github.com/apigws/apigws/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func ExampleCollector() {
	collector := promapigws.NewCollector()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) // a service serves it on /metrics

	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	c, err := apigws.Dial(context.Background(), gw.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	collector.Add("orders", c)

	scrape := httptest.NewRecorder()
	handler.ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "apigws_state{") {
			fmt.Print(line)
		}
	}
	// Output:
	// apigws_state{client="orders",state="backoff"} 0
	// apigws_state{client="orders",state="closed"} 0
	// apigws_state{client="orders",state="connecting"} 0
	// apigws_state{client="orders",state="open"} 1
}
