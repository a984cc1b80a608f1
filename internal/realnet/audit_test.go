package realnet

import (
	"fmt"
	"testing"
	"time"
)

// Each history breaks one promise, or none, and the audit must accuse it of that and of nothing
// else. Times are in seconds.
func TestAudit(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	wrote := func(n int, o outcome) write {
		return write{N: n, Start: at(float64(n)), End: at(float64(n) + 0.5), Outcome: o}
	}
	came := func(n, conn int, s float64) arrival { return arrival{N: n, Conn: conn, At: at(s)} }
	flushed := func(from, to float64, o outcome) flush { return flush{at(from), at(to), o, ""} }

	reads := func(connAndN ...[2]int) (pushes []push) {
		for _, x := range connAndN {
			pushes = append(pushes, push{Conn: x[0], N: x[1]})
		}
		return pushes
	}

	three := []write{wrote(0, sent), wrote(1, sent), wrote(2, sent)}
	for _, test := range []struct {
		name     string
		history  history
		arrivals []arrival
		accused  string // of what; "" is nothing
	}{
		{"all is well", history{Writes: three, Flushes: []flush{flushed(3, 4, confirmed)}},
			[]arrival{came(0, 1, 0), came(1, 1, 1), came(2, 1, 2)}, ""},
		{"nothing was said of a loss", history{Writes: three},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, "lostSilently[1]"},
		{"a Flush claims a loss", history{Writes: three, Flushes: []flush{flushed(3, 4, unconfirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, ""},
		{"a Flush claims it only once", history{Writes: three,
			Flushes: []flush{flushed(3, 4, unconfirmed), flushed(5, 6, confirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, ""},
		{"a Flush returns nil in spite of a loss", history{Writes: three, Flushes: []flush{flushed(3, 4, confirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, "lostSilently[1] flushWrong[1]"},
		{"a claim that comes after the nil", history{Writes: three,
			Flushes: []flush{flushed(3, 4, confirmed), flushed(5, 6, unconfirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, "lostSilently[1] flushWrong[1]"},
		{"a claim that came before the message", history{Writes: three,
			Flushes: []flush{flushed(0.6, 0.7, unconfirmed)}},
			[]arrival{came(0, 1, 0), came(1, 1, 1)}, "lostSilently[2]"},
		{"a nil that began before the message", history{Writes: three,
			Flushes: []flush{flushed(0.6, 2, confirmed), flushed(3, 4, unconfirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, ""},
		{"a claim under way when Write returned", history{Writes: three,
			Flushes: []flush{flushed(0.6, 2, unconfirmed), flushed(3, 4, confirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, ""},
		{"a claim that ended just before Write returned", history{Writes: three,
			Flushes: []flush{flushed(0.6, 1.05, unconfirmed), flushed(3, 4, confirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, ""},
		{"a nil that ended just before Write returned", history{Writes: three,
			Flushes: []flush{flushed(0.6, 1.05, confirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, "lostSilently[1]"},
		{"an undecided Flush counts for nothing", history{Writes: three,
			Flushes: []flush{flushed(3, 4, undecided), flushed(5, 6, unconfirmed)}},
			[]arrival{came(0, 1, 0), came(2, 1, 2)}, ""},
		{"a message that Write did not vouch for", history{Writes: []write{wrote(0, unconfirmed), wrote(1, notSent)}},
			nil, ""},
		{"unconfirmed, and it came", history{Writes: []write{wrote(0, unconfirmed)}},
			[]arrival{came(0, 1, 0)}, ""},
		{"not sent, and it came", history{Writes: []write{wrote(0, notSent)}},
			[]arrival{came(0, 1, 0)}, "notSentCame[0]"},
		{"an error that Write may not return", history{Writes: []write{wrote(0, unexpected)}},
			nil, "unexpected[0]"},
		{"never written", history{Writes: three[:1]},
			[]arrival{came(0, 1, 0), came(7, 1, 1)}, "unknown[7]"},
		{"twice", history{Writes: three[:1]},
			[]arrival{came(0, 1, 0), came(0, 1, 1)}, "duplicated[0]"},
		{"twice with Resend", history{Resend: true, Writes: three[:1]},
			[]arrival{came(0, 1, 0), came(0, 2, 1)}, ""},
		{"kept by Resend", history{Resend: true, Writes: three[:1], Kept: []int{0}}, nil, ""},
		{"lost by Resend", history{Resend: true, Writes: three[:2], Kept: []int{0}}, nil, "lostSilently[1]"},
		{"out of order on one connection", history{Writes: three},
			[]arrival{came(0, 1, 0), came(2, 1, 2), came(1, 1, 2)}, "outOfOrder[1]"},
		{"old data after new", history{Writes: three},
			[]arrival{came(0, 1, 0), came(2, 2, 2), came(1, 1, 4)}, "outOfOrder[1] late[1]"},
		{"old data after new, which goes on", history{Writes: append(three, wrote(3, sent))},
			[]arrival{came(0, 1, 0), came(2, 2, 2), came(3, 2, 4), came(1, 1, 4.1)}, "outOfOrder[1] late[1]"},
		{"old data after new, within the grace", history{Writes: three},
			[]arrival{came(0, 1, 0), came(2, 2, 2), came(1, 1, 2.1)}, ""},
		{"a late duplicate with Resend", history{Resend: true, Writes: three},
			[]arrival{came(0, 1, 0), came(1, 2, 1), came(2, 2, 2), came(1, 1, 4)}, "late[1]"},
		{"pushes of two connections", history{Reads: reads([2]int{1, 0}, [2]int{1, 1}, [2]int{2, 0}, [2]int{1, 2}, [2]int{2, 1})}, nil, ""},
		{"a push is missing", history{Reads: reads([2]int{1, 0}, [2]int{1, 2}, [2]int{1, 3})}, nil, "pushesWrong[2]"},
		{"a push is doubled", history{Reads: reads([2]int{1, 0}, [2]int{1, 0}, [2]int{1, 1})}, nil, "pushesWrong[0]"},
	} {
		v := audit(&test.history, test.arrivals)
		accused := ""
		for _, charge := range v.charges() {
			if len(charge.messages) > 0 {
				accused += fmt.Sprintf(" %s%v", charge.of, charge.messages)
			}
		}
		want := test.accused
		if want != "" {
			want = " " + want
		}
		if accused != want {
			t.Errorf("%s: accused of%s, want%s", test.name, accused, want)
		}
	}
}

// What the audit counts beside its accusations.
func TestAuditCounts(t *testing.T) {
	h := history{Resend: true, Writes: []write{{N: 0, Outcome: sent}, {N: 1, Outcome: notSent}, {N: 2, Outcome: sent}}}
	h.Stats.Unconfirmed = 7
	h.Kept = []int{2}
	v := audit(&h, []arrival{{N: 0, Conn: 1}, {N: 0, Conn: 2}})
	if v.written != 3 || v.told != 1 || v.arrived != 1 || v.resent != 1 || v.lost != 1 || v.claimed != 7 {
		t.Errorf("counts are %+v", v)
	}
}
