package otelapigws

import (
	"time"

	"github.com/apigws/apigws"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A family is an instrument and what it shows.
type family struct {
	instrument func(metric.Meter) (metric.Observable, error)
	observe    func(s *apigws.Stats, now time.Time) []observation
}

// families are all that is exported. A value that does not exist, such as the age of a connection
// while there is none, is left out.
//
// The names follow OpenTelemetry's conventions for metrics (no unit and no "total" in a name, "io"
// for data in two directions, a sum that goes up and down for a state). Their translation to
// Prometheus gives the names of package promapigws; a test in internal/interop/metrics compares
// them.
var families = []family{
	counter("apigws.connects", "{handshake}",
		"Handshakes by outcome: connected; refused, with another status than 101; "+
			"error, without a valid answer or with a failing Prepare or OnConnect. When OnConnect fails, both connected and error count.",
		func(s *apigws.Stats) []observation {
			return []observation{
				count(s.Connects, "outcome", "connected"),
				count(s.Refused, "outcome", "refused"),
				count(s.ConnectErrors, "outcome", "error"),
			}
		}),
	counter("apigws.connections_lost", "{connection}",
		"Connections lost, by cause: closed, with a close frame of the gateway; "+
			"timeout, without a PONG or with a write that timed out; network, by any other failure.",
		func(s *apigws.Stats) []observation {
			return []observation{
				count(s.LostClosed, "cause", "closed"),
				count(s.LostTimeout, "cause", "timeout"),
				count(s.LostNetwork, "cause", "network"),
			}
		}),
	counter("apigws.rotations", "{connection}", "Rotations: connections replaced while they were open.",
		func(s *apigws.Stats) []observation { return []observation{count(s.Rotations)} }),
	counter("apigws.pings", "{frame}", "PINGs sent.",
		func(s *apigws.Stats) []observation { return []observation{count(s.Pings)} }),
	counter("apigws.pongs", "{frame}", "PONGs received that answered a PING.",
		func(s *apigws.Stats) []observation { return []observation{count(s.Pongs)} }),
	counter("apigws.keepalive_messages", "{message}", "Messages sent to keep connections alive; they are billed.",
		func(s *apigws.Stats) []observation { return []observation{count(s.KeepaliveMessages)} }),
	counter("apigws.messages", "{message}", "Messages, by direction: sent, those sent again included, and received.",
		func(s *apigws.Stats) []observation {
			return []observation{count(s.MessagesSent, "direction", "sent"), count(s.MessagesReceived, "direction", "received")}
		}),
	counter("apigws.io", "By", "Payload of the messages, by direction.",
		func(s *apigws.Stats) []observation {
			return []observation{count(s.BytesSent, "direction", "sent"), count(s.BytesReceived, "direction", "received")}
		}),
	counter("apigws.messages_resent", "{message}", "Messages sent again after a reconnect.",
		func(s *apigws.Stats) []observation { return []observation{count(s.MessagesResent)} }),
	counter("apigws.messages_unconfirmed", "{message}",
		"Messages written to a connection that was lost before a PONG acknowledged them; they may be lost, too.",
		func(s *apigws.Stats) []observation { return []observation{count(s.Unconfirmed)} }),

	upDownCounter("apigws.state", "{client}", "1 for the state in which the client is, 0 for the others.",
		func(s *apigws.Stats) []observation {
			var all []observation
			for state := apigws.StateConnecting; state <= apigws.StateClosed; state++ {
				is := int64(0)
				if state == s.State {
					is = 1
				}
				all = append(all, count(is, "state", state.String()))
			}
			return all
		}),
	gauge("apigws.unread_messages", "{message}", "Messages received that wait for Read.",
		func(s *apigws.Stats) []observation { return []observation{count(int64(s.Unread))} }),
	gauge("apigws.unacknowledged_messages", "{message}", "Messages written that no PONG has acknowledged yet.",
		func(s *apigws.Stats) []observation { return []observation{count(int64(s.Unproven))} }),
	seconds("apigws.rtt", "Time between the last PONG and its PING; absent before the first.",
		func(s *apigws.Stats, _ time.Time) (time.Duration, bool) { return s.RTT, s.RTT > 0 }),
	seconds("apigws.state_age", "Time since the client entered its state.",
		func(s *apigws.Stats, now time.Time) (time.Duration, bool) {
			return now.Sub(s.Since), !s.Since.IsZero()
		}),
	seconds("apigws.connection.age", "Age of the open connection; absent when there is none.",
		func(s *apigws.Stats, now time.Time) (time.Duration, bool) {
			return now.Sub(s.Opened), !s.Opened.IsZero()
		}),
}

// count is an observation of a number, with an attribute of its own or none.
func count(n int64, keyAndValue ...string) observation {
	o := observation{value: float64(n)}
	if len(keyAndValue) == 2 {
		o.attributes = []attribute.KeyValue{attribute.String(keyAndValue[0], keyAndValue[1])}
	}
	return o
}

func counter(name, unit, description string, observe func(*apigws.Stats) []observation) family {
	return family{
		func(m metric.Meter) (metric.Observable, error) {
			return m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		},
		func(s *apigws.Stats, _ time.Time) []observation { return observe(s) },
	}
}

func upDownCounter(name, unit, description string, observe func(*apigws.Stats) []observation) family {
	return family{
		func(m metric.Meter) (metric.Observable, error) {
			return m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		},
		func(s *apigws.Stats, _ time.Time) []observation { return observe(s) },
	}
}

func gauge(name, unit, description string, observe func(*apigws.Stats) []observation) family {
	return family{
		func(m metric.Meter) (metric.Observable, error) {
			return m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		},
		func(s *apigws.Stats, _ time.Time) []observation { return observe(s) },
	}
}

func seconds(name, description string, observe func(*apigws.Stats, time.Time) (time.Duration, bool)) family {
	return family{
		func(m metric.Meter) (metric.Observable, error) {
			return m.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
		},
		func(s *apigws.Stats, now time.Time) []observation {
			d, exists := observe(s, now)
			if !exists {
				return nil
			}
			return []observation{{value: d.Seconds()}}
		},
	}
}
