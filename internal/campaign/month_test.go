package campaign

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A month of an ordinary life: messages both ways every ten minutes, a
// rotation every two hours, keepalives in between, and one break a day.
func TestMonth(t *testing.T) {
	days := 30
	if testing.Short() {
		days = 3
	}
	const minute, round = time.Minute, 10 * time.Minute
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		type change struct {
			at time.Time
			apigws.StateChange
		}
		var (
			changes []change
			read    []string
			seen    clienttest.Gaps
			opts    = apigws.Options{OnConnect: seen.OnConnect, OnState: func(_ *apigws.Client, s apigws.StateChange) { changes = append(changes, change{time.Now(), s}) }}
		)
		c := clienttest.Dial(t, gw, &opts)
		go func() {
			for p, err := range c.Messages(t.Context()) {
				if err != nil {
					return
				}
				read = append(read, string(p))
			}
		}()
		synctest.Wait()
		atStart := clienttest.Goroutines()

		var (
			n       tally
			records []record
			rounds  = days * int(24*time.Hour/round)
			lost    = 0 // messages that a break will lose
			breaks  = 0
		)
		say := func(text string) {
			records = append(records, record{text: text, err: c.Write(t.Context(), []byte(text))})
			flush(t, c, records[len(records)-1:])
		}
		for i := range rounds {
			say(fmt.Sprint("0.", i))
			open := gw.Conns()
			if err := open[len(open)-1].Send([]byte(fmt.Sprint(i))); err != nil {
				t.Errorf("push %d: %v", i, err)
			}
			time.Sleep(round / 2)
			if i%int(24*time.Hour/round) == 70 { // once a day
				open := gw.Conns()
				conn := open[len(open)-1]
				switch breaks++; breaks % 4 {
				case 0:
					conn.Drop()
				case 1:
					conn.Close(1001, "Going away")
				case 2:
					gw.Refuse(429, 3)
					conn.Close(1006, "")
				case 3:
					conn.Freeze(true)
					say(fmt.Sprint("0.into the void ", i)) // the PING of Flush finds out
					lost++
					time.AfterFunc(minute, conn.Drop) // long after the client has left it
				}
			}
			time.Sleep(round / 2)
		}
		time.Sleep(minute) // Drain
		synctest.Wait()

		if err := audit(&n, records, clienttest.Received(gw), false); err != nil {
			t.Error(err)
		}
		if got := int(n.lost.Load()); got != lost || c.Stats().Unconfirmed != int64(lost) {
			t.Errorf("%d messages were lost, and Flush told of %d; %d were written into a dead path", got, c.Stats().Unconfirmed, lost)
		}
		clienttest.Equal(t, "read", read, clienttest.Numbered("", rounds))

		// Every connection ended by its age or by one of the breaks, and every
		// gap was seen for what it was.
		var opened, from time.Time
		var rotations, least, most int
		gaps := []time.Duration{0}
		segment := func(until time.Time) {
			least += int(until.Sub(from) / (110 * minute))
			most += int(until.Sub(from) / (105 * minute))
		}
		for i, s := range changes {
			switch {
			case s.From == apigws.StateOpen && s.To == apigws.StateOpen:
				if age := s.at.Sub(opened); age < 105*minute || age > 110*minute {
					t.Errorf("a connection was renewed at the age of %v", age)
				}
				rotations++
				gaps = append(gaps, 0)
				opened = s.at
			case s.From == apigws.StateOpen:
				segment(s.at)
			case s.To == apigws.StateOpen:
				if i > 1 {
					back := i
					for changes[back].From != apigws.StateOpen {
						back--
					}
					gaps = append(gaps, s.at.Sub(changes[back].at))
				}
				opened, from = s.at, s.at
			}
		}
		segment(time.Now())
		clienttest.Equal(t, "gaps", seen.All(), gaps)
		s := c.Stats()
		if s.Rotations != int64(rotations) || rotations < least || rotations > most {
			t.Errorf("%d rotations counted, %d seen, %d to %d possible", s.Rotations, rotations, least, most)
		}
		if got := s.LostClosed + s.LostNetwork + s.LostTimeout; got != int64(breaks) || s.Connects != int64(1+rotations+breaks) {
			t.Errorf("%d breaks noticed and %d connections made, after %d breaks and %d rotations", got, s.Connects, breaks, rotations)
		}
		clienttest.Only(t, gw)
		if now := clienttest.Goroutines(); now > atStart {
			t.Errorf("%d goroutines at the end, %d at the start", now, atStart)
		}
		t.Logf("%d days: %d rotations, %d breaks, %d messages each way, %d of them lost as Flush said, %d PINGs",
			days, rotations, breaks, rounds, lost, s.Pings)
	})
}
