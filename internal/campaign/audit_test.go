package campaign

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A tally is what the campaign reports at its end.
type tally struct {
	cuts, faults, messages, received atomic.Int64
	told                             atomic.Int64 // by Write: not sent, or unconfirmed
	lost                             atomic.Int64 // and Flush said so
	duplicated                       atomic.Int64 // with Resend
	reconnects, rotations            atomic.Int64
}

func (n *tally) log(t *testing.T) {
	t.Logf("%d cuts, %d other faults, %d reconnects, %d rotations; %d messages written, %d received, "+
		"%d not sent or unconfirmed by their Write, %d lost by the word of Flush, %d duplicated by Resend; "+
		"0 lost silently, 0 duplicated without Resend, 0 out of order",
		n.cuts.Load(), n.faults.Load(), n.reconnects.Load(), n.rotations.Load(), n.messages.Load(), n.received.Load(),
		n.told.Load(), n.lost.Load(), n.duplicated.Load())
}

// A record is what a test knows of one message.
type record struct {
	text   string
	writer int
	err    error // of Write
	flush  error // of the Flush after it
}

// audit checks what was said of messages, those of each writer in the order of
// their writes, against what the gateway has received, in order.
func audit(n *tally, records []record, received []string, resend bool) error {
	count := map[string]int{}
	for _, text := range received {
		count[text]++
	}
	n.received.Add(int64(len(received)))
	n.messages.Add(int64(len(records)))
	arrived := map[int][]string{} // by writer, in the order of the writes
	for _, r := range records {
		got := count[r.text]
		delete(count, r.text)
		least, most := 0, 1
		switch {
		case r.err == nil && r.flush == nil:
			least = 1
		case r.err == nil, errors.Is(r.err, apigws.ErrUnconfirmed):
			if resend {
				return fmt.Errorf("%.20q: Write said %v and Flush %v in spite of Resend", r.text, r.err, r.flush)
			}
		case errors.Is(r.err, apigws.ErrNotSent):
			most = 0
		default:
			return fmt.Errorf("%.20q: Write said %v", r.text, r.err)
		}
		if got < least || got > most && !(resend && most == 1) {
			return fmt.Errorf("%.20q was received %d times, but Write said %v, and Flush %v", r.text, got, r.err, r.flush)
		}
		switch {
		case got > 0:
			arrived[r.writer] = append(arrived[r.writer], r.text)
			n.duplicated.Add(int64(got - 1))
		case r.err == nil:
			n.lost.Add(1)
		}
		if r.err != nil {
			n.told.Add(1)
		}
	}
	for text := range count {
		return fmt.Errorf("%.20q was received and never written", text)
	}
	next := map[int]int{}
	for _, text := range clienttest.Firsts(received) {
		var writer int
		fmt.Sscanf(text, "%d.", &writer)
		if want := arrived[writer][next[writer]]; text != want {
			return fmt.Errorf("writer %d: %.20q was received where %.20q was due", writer, text, want)
		}
		next[writer]++
	}
	return nil
}

// flush notes the result of Flush for the messages that have none yet.
func flush(t *testing.T, c *apigws.Client, records []record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err := c.Flush(ctx)
	if err != nil && !errors.Is(err, apigws.ErrUnconfirmed) || ctx.Err() != nil {
		t.Errorf("Flush: %v", err)
	}
	for i := range records {
		if r := &records[i]; r.flush == nil {
			r.flush = err
		}
	}
}

// settle waits until a client is at rest again, and checks that it is, with
// one live connection.
func settle(t *testing.T, gw *gatewaytest.Server, c *apigws.Client) {
	t.Helper()
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	if len(gw.Conns()) == 2 {
		time.Sleep(15 * time.Second) // a rotation by age, which drains the old one
		synctest.Wait()
	}
	if state, conns := c.State(), len(gw.Conns()); state != apigws.StateOpen || conns != 1 {
		t.Errorf("at the end the client is %v with %d connections", state, conns)
	}
}
