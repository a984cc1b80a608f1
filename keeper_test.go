package apigws

import (
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
)

// A process that was stopped finds a PING unanswered that was answered meanwhile. Its first tick
// after that, and those that follow at once, conclude nothing; the reader then has had its turn.
func TestLateTicksConcludeNothing(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	k := &keeper{
		conn: &connection{client: &Client{}},
		cfg:  &Keepalive{Interval: 55 * time.Second, Timeout: 10 * time.Second},
		due:  at(10),
	}
	unanswered := &session.Health{Silent: at(0)}
	for _, test := range []struct {
		now, due float64 // in seconds
		want     float64 // until the connection is dead
	}{
		{9, 10, 1},
		{10, 10, 0}, // in time
		{11, 10, 0}, // late by what a busy machine is late by
		{60, 10, 1}, // the process was stopped
		{60, 61, 1}, // a message was written
		{60.5, 61, 0.5},
		{61, 61, 0},  // the reader has had its turn
		{200, 62, 1}, // stopped again
		{201, 201, 0},
	} {
		k.due = at(test.due)
		wait, waiting := k.untilDead(at(test.now), unanswered)
		if !waiting || wait.Seconds() != test.want && (test.want != 0 || wait > 0) {
			t.Errorf("at %v, due at %v: dead in %v, want %vs", test.now, test.due, wait, test.want)
		}
	}
	if wait, waiting := k.untilDead(at(300), &session.Health{}); waiting || wait != never {
		t.Errorf("nothing is unanswered: %v, %v", wait, waiting)
	}
}
