package promapigws

import (
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fixed is a collector of one client with the given statistics.
type fixed struct {
	Collector
	stats apigws.Stats
	now   time.Time
}

func (f *fixed) Collect(ch chan<- prometheus.Metric) { collect(ch, "orders", &f.stats, f.now) }

// Every field of Stats has its place, and no two are mixed up.
func TestFamilies(t *testing.T) {
	opened := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f := &fixed{now: opened.Add(90 * time.Second), stats: apigws.Stats{
		State: apigws.StateOpen, Generation: 99, Since: opened.Add(time.Minute), Opened: opened, RTT: 30 * time.Millisecond,
		Connects: 1, Refused: 2, ConnectErrors: 3, Rotations: 4,
		LostClosed: 5, LostTimeout: 6, LostNetwork: 7,
		Pings: 8, Pongs: 9, KeepaliveMessages: 10,
		MessagesSent: 11, BytesSent: 12, MessagesReceived: 13, BytesReceived: 14, MessagesResent: 15,
		Unconfirmed: 16, Unread: 17, Unproven: 18,
	}}
	const want = `
# HELP apigws_connection_age_seconds Age of the open connection; absent when there is none.
# TYPE apigws_connection_age_seconds gauge
apigws_connection_age_seconds{client="orders"} 90
# HELP apigws_connections_lost_total Connections lost, by cause: closed, with a close frame of the gateway; timeout, without a PONG or with a write that timed out; network, by any other failure.
# TYPE apigws_connections_lost_total counter
apigws_connections_lost_total{cause="closed",client="orders"} 5
apigws_connections_lost_total{cause="network",client="orders"} 7
apigws_connections_lost_total{cause="timeout",client="orders"} 6
# HELP apigws_connects_total Handshakes by outcome: connected; refused, with another status than 101; error, without a valid answer or with a failing Prepare or OnConnect. When OnConnect fails, both connected and error count.
# TYPE apigws_connects_total counter
apigws_connects_total{client="orders",outcome="connected"} 1
apigws_connects_total{client="orders",outcome="error"} 3
apigws_connects_total{client="orders",outcome="refused"} 2
# HELP apigws_io_bytes_total Payload of the messages, by direction.
# TYPE apigws_io_bytes_total counter
apigws_io_bytes_total{client="orders",direction="received"} 14
apigws_io_bytes_total{client="orders",direction="sent"} 12
# HELP apigws_keepalive_messages_total Messages sent to keep connections alive; they are billed.
# TYPE apigws_keepalive_messages_total counter
apigws_keepalive_messages_total{client="orders"} 10
# HELP apigws_messages_resent_total Messages sent again after a reconnect.
# TYPE apigws_messages_resent_total counter
apigws_messages_resent_total{client="orders"} 15
# HELP apigws_messages_total Messages, by direction: sent, those sent again included, and received.
# TYPE apigws_messages_total counter
apigws_messages_total{client="orders",direction="received"} 13
apigws_messages_total{client="orders",direction="sent"} 11
# HELP apigws_messages_unconfirmed_total Messages written to a connection that was lost before a PONG acknowledged them; they may be lost, too.
# TYPE apigws_messages_unconfirmed_total counter
apigws_messages_unconfirmed_total{client="orders"} 16
# HELP apigws_pings_total PINGs sent.
# TYPE apigws_pings_total counter
apigws_pings_total{client="orders"} 8
# HELP apigws_pongs_total PONGs received that answered a PING.
# TYPE apigws_pongs_total counter
apigws_pongs_total{client="orders"} 9
# HELP apigws_rotations_total Rotations: connections replaced while they were open.
# TYPE apigws_rotations_total counter
apigws_rotations_total{client="orders"} 4
# HELP apigws_rtt_seconds Time between the last PONG and its PING; absent before the first.
# TYPE apigws_rtt_seconds gauge
apigws_rtt_seconds{client="orders"} 0.03
# HELP apigws_state 1 for the state in which the client is, 0 for the others.
# TYPE apigws_state gauge
apigws_state{client="orders",state="backoff"} 0
apigws_state{client="orders",state="closed"} 0
apigws_state{client="orders",state="connecting"} 0
apigws_state{client="orders",state="open"} 1
# HELP apigws_state_age_seconds Time since the client entered its state.
# TYPE apigws_state_age_seconds gauge
apigws_state_age_seconds{client="orders"} 30
# HELP apigws_unacknowledged_messages Messages written that no PONG has acknowledged yet.
# TYPE apigws_unacknowledged_messages gauge
apigws_unacknowledged_messages{client="orders"} 18
# HELP apigws_unread_messages Messages received that wait for Read.
# TYPE apigws_unread_messages gauge
apigws_unread_messages{client="orders"} 17
`
	if err := testutil.CollectAndCompare(f, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(f)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// A client without a connection has no age and no round trip, and its state is
// told all the same.
func TestAbsentValues(t *testing.T) {
	for state := apigws.StateConnecting; state <= apigws.StateClosed; state++ {
		f := &fixed{stats: apigws.Stats{State: state}, now: time.Now()}
		for _, name := range []string{"apigws_rtt_seconds", "apigws_connection_age_seconds"} {
			if n := testutil.CollectAndCount(f, name); n != 0 {
				t.Errorf("%s has %d values", name, n)
			}
		}
		var want strings.Builder
		want.WriteString("# HELP apigws_state 1 for the state in which the client is, 0 for the others.\n# TYPE apigws_state gauge\n")
		for _, name := range []string{"connecting", "open", "backoff", "closed"} {
			value := "0"
			if name == state.String() {
				value = "1"
			}
			want.WriteString(`apigws_state{client="orders",state="` + name + `"} ` + value + "\n")
		}
		if err := testutil.CollectAndCompare(f, strings.NewReader(want.String()), "apigws_state"); err != nil {
			t.Error(err)
		}
	}
}
