package otelapigws_test

import (
	"context"
	"fmt"
	"log"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	otelapigws "github.com/apigws/apigws/metrics/otel"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func ExampleRegister() {
	ctx := context.Background()
	reader := sdk.NewManualReader() // a service has an exporter in its place
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("example.com/orders")

	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	c, err := apigws.Dial(ctx, gw.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	registration, err := otelapigws.Register(meter, "orders", c)
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()

	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &metrics); err != nil {
		log.Fatal(err)
	}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		if m.Name == "apigws.unread_messages" {
			for _, p := range m.Data.(metricdata.Gauge[int64]).DataPoints {
				fmt.Println(m.Name, p.Attributes.ToSlice()[0].Value.AsString(), p.Value)
			}
		}
	}
	// Output: apigws.unread_messages orders 0
}
