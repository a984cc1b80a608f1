package main

import (
	"fmt"
	"io"
	"time"

	"github.com/apigws/apigws"
)

// writeMetrics writes a snapshot in the text format of Prometheus. A service
// that uses its client library takes the collector of the module metrics.
func writeMetrics(w io.Writer, s apigws.Stats) {
	var age time.Duration
	open := 0
	if s.State == apigws.StateOpen {
		open, age = 1, time.Since(s.Opened)
	}
	for _, m := range []struct {
		name, kind string
		value      any
	}{
		{"apigws_open", "gauge", open},
		{"apigws_connection_age_seconds", "gauge", age.Seconds()},
		{"apigws_rtt_seconds", "gauge", s.RTT.Seconds()},
		{"apigws_connects_total", "counter", s.Connects},
		{"apigws_connects_refused_total", "counter", s.Refused},
		{"apigws_connect_errors_total", "counter", s.ConnectErrors},
		{"apigws_rotations_total", "counter", s.Rotations},
		{"apigws_lost_closed_total", "counter", s.LostClosed},
		{"apigws_lost_timeout_total", "counter", s.LostTimeout},
		{"apigws_lost_network_total", "counter", s.LostNetwork},
		{"apigws_pings_total", "counter", s.Pings},
		{"apigws_pongs_total", "counter", s.Pongs},
		{"apigws_messages_sent_total", "counter", s.MessagesSent},
		{"apigws_messages_received_total", "counter", s.MessagesReceived},
		{"apigws_messages_unconfirmed_total", "counter", s.Unconfirmed},
	} {
		fmt.Fprintf(w, "# TYPE %s %s\n%s %v\n", m.name, m.kind, m.name, m.value)
	}
}
