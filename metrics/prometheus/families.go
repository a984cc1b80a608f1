package promapigws

import (
	"time"

	"github.com/apigws/apigws"
	"github.com/prometheus/client_golang/prometheus"
)

// A family is a metric with all its label values.
type family struct {
	desc    *prometheus.Desc
	kind    prometheus.ValueType
	samples func(s *apigws.Stats, now time.Time) []sample
}

// A sample is a value, and its label beside that of the client, if any.
type sample struct {
	value float64
	label string
}

func (s sample) labels(client string) []string {
	if s.label == "" {
		return []string{client}
	}
	return []string{client, s.label}
}

// families are all that is exported. A value that does not exist, such as the age of a connection
// while there is none, is left out: a zero would falsify averages. The names are the translation of
// those of package otelapigws; a test in internal/interop/metrics compares them.
var families = []family{
	counters("connects_total",
		"Handshakes by outcome: connected; refused, with another status than 101; "+
			"error, without a valid answer or with a failing Prepare or OnConnect. When OnConnect fails, both connected and error count.",
		"outcome", func(s *apigws.Stats) []sample {
			return []sample{count(s.Connects, "connected"), count(s.Refused, "refused"), count(s.ConnectErrors, "error")}
		}),
	counters("connections_lost_total",
		"Connections lost, by cause: closed, with a close frame of the gateway; "+
			"timeout, without a PONG or with a write that timed out; network, by any other failure.",
		"cause", func(s *apigws.Stats) []sample {
			return []sample{count(s.LostClosed, "closed"), count(s.LostTimeout, "timeout"), count(s.LostNetwork, "network")}
		}),
	counter("rotations_total", "Rotations: connections replaced while they were open.",
		func(s *apigws.Stats) int64 { return s.Rotations }),
	counter("pings_total", "PINGs sent.",
		func(s *apigws.Stats) int64 { return s.Pings }),
	counter("pongs_total", "PONGs received that answered a PING.",
		func(s *apigws.Stats) int64 { return s.Pongs }),
	counter("keepalive_messages_total", "Messages sent to keep connections alive; they are billed.",
		func(s *apigws.Stats) int64 { return s.KeepaliveMessages }),
	counters("messages_total", "Messages, by direction: sent, those sent again included, and received.",
		"direction", func(s *apigws.Stats) []sample {
			return []sample{count(s.MessagesSent, "sent"), count(s.MessagesReceived, "received")}
		}),
	counters("io_bytes_total", "Payload of the messages, by direction.",
		"direction", func(s *apigws.Stats) []sample {
			return []sample{count(s.BytesSent, "sent"), count(s.BytesReceived, "received")}
		}),
	counter("messages_resent_total", "Messages sent again after a reconnect.",
		func(s *apigws.Stats) int64 { return s.MessagesResent }),
	counter("messages_unconfirmed_total", "Messages written to a connection that was lost before a PONG acknowledged them; they may be lost, too.",
		func(s *apigws.Stats) int64 { return s.Unconfirmed }),

	gauges("state", "1 for the state in which the client is, 0 for the others.",
		"state", func(s *apigws.Stats, _ time.Time) []sample {
			var all []sample
			for state := apigws.StateConnecting; state <= apigws.StateClosed; state++ {
				is := sample{label: state.String()}
				if state == s.State {
					is.value = 1
				}
				all = append(all, is)
			}
			return all
		}),
	gauges("rtt_seconds", "Time between the last PONG and its PING; absent before the first.",
		"", func(s *apigws.Stats, _ time.Time) []sample {
			if s.RTT == 0 {
				return nil
			}
			return []sample{{value: s.RTT.Seconds()}}
		}),
	gauges("state_age_seconds", "Time since the client entered its state.",
		"", func(s *apigws.Stats, now time.Time) []sample {
			if s.Since.IsZero() {
				return nil
			}
			return []sample{{value: now.Sub(s.Since).Seconds()}}
		}),
	gauges("connection_age_seconds", "Age of the open connection; absent when there is none.",
		"", func(s *apigws.Stats, now time.Time) []sample {
			if s.Opened.IsZero() {
				return nil
			}
			return []sample{{value: now.Sub(s.Opened).Seconds()}}
		}),
	gauges("unread_messages", "Messages received that wait for Read.",
		"", func(s *apigws.Stats, _ time.Time) []sample { return []sample{count(int64(s.Unread), "")} }),
	gauges("unacknowledged_messages", "Messages written that no PONG has acknowledged yet.",
		"", func(s *apigws.Stats, _ time.Time) []sample { return []sample{count(int64(s.Unproven), "")} }),
}

func count(n int64, label string) sample { return sample{float64(n), label} }

// counter is a metric without a label of its own.
func counter(name, help string, value func(*apigws.Stats) int64) family {
	return counters(name, help, "", func(s *apigws.Stats) []sample { return []sample{count(value(s), "")} })
}

func counters(name, help, label string, samples func(*apigws.Stats) []sample) family {
	return family{describe(name, help, label), prometheus.CounterValue,
		func(s *apigws.Stats, _ time.Time) []sample { return samples(s) }}
}

func gauges(name, help, label string, samples func(*apigws.Stats, time.Time) []sample) family {
	return family{describe(name, help, label), prometheus.GaugeValue, samples}
}

func describe(name, help, label string) *prometheus.Desc {
	labels := []string{"client"}
	if label != "" {
		labels = append(labels, label)
	}
	return prometheus.NewDesc("apigws_"+name, help, labels, nil)
}
