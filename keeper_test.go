package apigws

import (
	"testing"
	"time"

	"github.com/apigws/apigws/internal/session"
	"github.com/apigws/apigws/internal/window"
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

// With Resend a PONG that never comes ends the connection although other frames come, and so it
// does with the keepalive disabled: it would hold up the window for ever.
func TestDeadlinesOfResend(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	resend := &Client{sessions: session.Config{Window: window.New(1)}}
	for _, test := range []struct {
		what     string
		client   *Client
		disabled bool
		health   session.Health
		want     time.Time // zero: never
	}{
		{"frames come", &Client{}, false, session.Health{Oldest: at(1)}, time.Time{}},
		{"frames come, Resend", resend, false, session.Health{Oldest: at(1)}, at(66)},
		{"silence", &Client{}, false, session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"silence, Resend", resend, false, session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"disabled", &Client{}, true, session.Health{Oldest: at(1), Silent: at(2)}, time.Time{}},
		{"disabled, Resend", resend, true, session.Health{Oldest: at(1), Silent: at(2)}, at(12)},
		{"blocked", resend, false, session.Health{Oldest: at(1), Silent: at(2), Blocked: true}, time.Time{}},
		{"freed", resend, false, session.Health{Oldest: at(1), Silent: at(2), Freed: at(5)}, at(15)},
	} {
		k := &keeper{
			conn: &connection{client: test.client},
			cfg:  &Keepalive{Interval: 55 * time.Second, Timeout: 10 * time.Second, Disabled: test.disabled},
		}
		if dead, waiting := k.deadline(&test.health); waiting == test.want.IsZero() || !dead.Equal(test.want) && waiting {
			t.Errorf("%s: dead at %v (%v), want %v", test.what, dead.Sub(start), waiting, test.want.Sub(start))
		}
	}
}

// The line remembers the connection that was in use, for the Flush after its loss.
func TestLineRemembersTheLast(t *testing.T) {
	l := &line{changed: make(chan struct{})}
	if l.lastUsed() != nil {
		t.Error("a connection was in use before the first")
	}
	conn := &connection{}
	l.set(conn)
	l.set(nil)
	if l.lastUsed() != conn {
		t.Error("the last connection is forgotten")
	}
}
