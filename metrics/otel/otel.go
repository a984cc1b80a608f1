// Package otelapigws exports the statistics of apigws clients as OpenTelemetry
// metrics, through asynchronous instruments.
//
//	c, err := apigws.Dial(ctx, url, opts)
//	...
//	registration, err := otelapigws.Register(otel.Meter("example.com/orders"), "orders", c)
//	...
//	defer registration.Unregister()
//
// The metrics are read from Client.Stats at each collection: between
// collections they cost nothing.
package otelapigws

import (
	"context"
	"time"

	"github.com/apigws/apigws"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Register exports a client from now on, with its name in the attribute
// "client", until the registration is unregistered. Several clients can be
// registered with one meter, under different names. The client stays the
// caller's, and may be closed; a closed client is exported until then, so that
// its end can be seen.
func Register(meter metric.Meter, name string, client *apigws.Client) (metric.Registration, error) {
	return register(meter, name, client.Stats)
}

// An observation of a value, with its attribute beside that of the client, if
// any.
type observation struct {
	value      float64
	attributes []attribute.KeyValue
}

func register(meter metric.Meter, name string, stats func() apigws.Stats) (metric.Registration, error) {
	instruments := make([]metric.Observable, len(families))
	for i, f := range families {
		var err error
		if instruments[i], err = f.instrument(meter); err != nil {
			return nil, err
		}
	}
	client := attribute.String("client", name)
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s, now := stats(), time.Now()
		for i, f := range families {
			for _, v := range f.observe(&s, now) {
				attributes := metric.WithAttributes(append(v.attributes, client)...)
				switch instrument := instruments[i].(type) {
				case metric.Int64Observable:
					o.ObserveInt64(instrument, int64(v.value), attributes)
				case metric.Float64Observable:
					o.ObserveFloat64(instrument, v.value, attributes)
				}
			}
		}
		return nil
	}, instruments...)
}
