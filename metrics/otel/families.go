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

// families are all that is exported. A value that does not exist, such as the
// age of a connection while there is none, is left out.
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
	counter("apigws.lost_connections", "{connection}",
		"Connections that broke, by cause: closed, with a close frame of the gateway; "+
			"timeout, without a PONG or with a write that timed out; network, by any other failure.",
		func(s *apigws.Stats) []observation {
			return []observation{
				count(s.LostClosed, "cause", "closed"),
				count(s.LostTimeout, "cause", "timeout"),
				count(s.LostNetwork, "cause", "network"),
			}
		}),
	counter("apigws.rotations", "{connection}", "Connections renewed while the old one was open.",
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
	counter("apigws.resent_messages", "{message}", "Messages sent again after a break.",
		func(s *apigws.Stats) []observation { return []observation{count(s.MessagesResent)} }),
	counter("apigws.unconfirmed_messages", "{message}",
		"Messages taken by a connection that broke before a PONG confirmed them: they may be lost.",
		func(s *apigws.Stats) []observation { return []observation{count(s.Unconfirmed)} }),

	gauge("apigws.state", "1", "1 for the state in which the client is, 0 for the others.",
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
	gauge("apigws.unproven_messages", "{message}", "Messages written that wait for a PONG to prove that the gateway has them.",
		func(s *apigws.Stats) []observation { return []observation{count(int64(s.Unproven))} }),
	seconds("apigws.rtt", "Time between the last PONG and its PING; absent before the first.",
		func(s *apigws.Stats, _ time.Time) (time.Duration, bool) { return s.RTT, s.RTT > 0 }),
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
