package apigws_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A blockedHandler keeps the records that it gets once it goes on.
type blockedHandler struct {
	slog.Handler
	goOn    chan struct{}
	records []slog.Record
}

func (h *blockedHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *blockedHandler) Handle(_ context.Context, r slog.Record) error {
	<-h.goOn
	h.records = append(h.records, r)
	return nil
}

// What waits for an OnState and a logger that block is bounded, however often the client reconnects
// meanwhile. The last changes of state become one, so the last that is told is true; log lines are
// dropped and counted.
func TestBlockedHooksAreBounded(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var changes []apigws.StateChange
		log := &blockedHandler{goOn: make(chan struct{})}
		gw.Refuse(503, -1)
		c := clienttest.New(t, gw, &apigws.Options{
			OnState: func(_ *apigws.Client, s apigws.StateChange) {
				<-log.goOn
				changes = append(changes, s)
			},
			Logger:    slog.New(log),
			Reconnect: clienttest.Every(time.Second),
		})
		clienttest.Sleep(time.Hour) // 3,600 attempts
		gw.Refuse(503, 0)
		clienttest.Sleep(2 * time.Second)
		clienttest.InState(t, c, apigws.StateOpen)
		clienttest.Rotate(t, c) // a change whose From is not that of the one that it becomes one with
		clienttest.Sleep(time.Minute)
		close(log.goOn)
		clienttest.Sleep(time.Second)

		const bound = 1000
		if n := len(changes); n < bound || n > bound+1 { // the first was taken before it blocked
			t.Fatalf("OnState was told of %d changes, want %d", n, bound)
		}
		from := apigws.StateConnecting
		for i, s := range changes {
			if s.From != from {
				t.Errorf("change %d is from %v after one to %v", i, s.From, from)
			}
			from = s.To
		}
		if last := changes[len(changes)-1]; last.To != apigws.StateOpen || last.Generation != 2 {
			t.Errorf("the last change is %+v", last)
		}

		if n := len(log.records); n < bound || n > bound+1 {
			t.Fatalf("%d lines were logged, want %d", n, bound)
		}
		blocked := len(log.records)
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(2 * time.Second)
		for i, want := range []int64{7204 - int64(blocked), 0} { // a line for each change of state
			var dropped int64
			log.records[blocked+i].Attrs(func(a slog.Attr) bool {
				if a.Key == "lines_dropped" {
					dropped = a.Value.Int64()
				}
				return true
			})
			if dropped != want {
				t.Errorf("line %d after the block says that %d were dropped, want %d", i+1, dropped, want)
			}
		}
	})
}
