//go:build linux && realnet

package realnet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
)

// An effect is what a fault has done to a client.
type effect struct {
	noticed bool          // a connection was lost
	why     string        // as OnState was told
	notice  time.Duration // from the fault's beginning until then
	back    time.Duration // until a connection was open, from then or, if later, the fault's end
	lost    int           // messages whose Write returned nil and that did not arrive
}

// effectOf looks for what a fault did before the next one began.
func effectOf(h *history, came map[int]bool, f happening, next time.Time) (e effect) {
	var lostAt time.Time
	for _, s := range h.States {
		if s.At.Before(f.start) || !s.At.Before(next) {
			continue
		}
		switch {
		case s.From == apigws.StateOpen && s.To != apigws.StateOpen && !e.noticed:
			e.noticed, e.why, e.notice, lostAt = true, s.Err, s.At.Sub(f.start), s.At
		case s.To == apigws.StateOpen && e.noticed && e.back == 0:
			if lostAt.Before(f.end) {
				lostAt = f.end
			}
			e.back = max(s.At.Sub(lostAt), time.Millisecond)
		}
	}
	for _, w := range h.Writes {
		if w.Outcome == sent && !came[w.N] && !w.Start.Before(f.start) && w.Start.Before(next) {
			e.lost++
		}
	}
	return e
}

// A report collects what the audits of all clients found.
type report struct {
	effects map[string][]effect // by the kind of fault
	total   verdict
	faults  int
}

// add counts a client in, whose faults ended before the time until.
func (r *report) add(h *history, arrivals []arrival, v verdict, faults []happening, until time.Time) {
	came := map[int]bool{}
	for _, a := range arrivals {
		came[a.N] = true
	}
	for i, f := range faults {
		next := until
		if i+1 < len(faults) {
			next = faults[i+1].start
		}
		r.effects[f.fault] = append(r.effects[f.fault], effectOf(h, came, f, next))
	}
	r.faults += len(faults)
	r.total.lostSilently = append(r.total.lostSilently, v.lostSilently...)
	r.total.flushWrong = append(r.total.flushWrong, v.flushWrong...)
	r.total.notSentCame = append(r.total.notSentCame, v.notSentCame...)
	r.total.unexpected = append(r.total.unexpected, v.unexpected...)
	r.total.unknown = append(r.total.unknown, v.unknown...)
	r.total.duplicated = append(r.total.duplicated, v.duplicated...)
	r.total.outOfOrder = append(r.total.outOfOrder, v.outOfOrder...)
	r.total.late = append(r.total.late, v.late...)
	r.total.pushesWrong = append(r.total.pushesWrong, v.pushesWrong...)
	r.total.written += v.written
	r.total.told += v.told
	r.total.arrived += v.arrived
	r.total.resent += v.resent
	r.total.lost += v.lost
	r.total.claimed += v.claimed
}

// log writes the report to the test's log, a line for each kind of fault.
func (r *report) log(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults of %d kinds\n", r.faults, len(r.effects))
	fmt.Fprintf(&b, "%-28s %6s %6s %6s   %-18s %-18s\n", "", "faults", "lost", "lost", "time to notice", "time to be back")
	fmt.Fprintf(&b, "%-28s %6s %6s %6s   %-18s %-18s\n", "kind", "", "conns", "msgs", "median, longest", "median, longest")
	for _, f := range faults {
		effects := r.effects[f.name]
		var conns, messages int
		var notice, back []time.Duration
		for _, e := range effects {
			messages += e.lost
			if e.noticed {
				conns++
				notice = append(notice, e.notice)
			}
			if e.back > 0 {
				back = append(back, e.back)
			}
		}
		fmt.Fprintf(&b, "%-28s %6d %6d %6d   %-18s %-18s\n", f.name, len(effects), conns, messages, spread(notice), spread(back))
	}
	v := r.total
	fmt.Fprintf(&b, "%d messages written, %d of them refused or unconfirmed by Write; %d arrived; %d arrived again (Resend)\n",
		v.written, v.told, v.arrived, v.resent)
	fmt.Fprintf(&b, "%d lost after Write returned nil, %d claimed as unconfirmed\n", v.lost, v.claimed)
	for _, c := range v.charges() {
		fmt.Fprintf(&b, "%s %d; ", c.of, len(c.messages))
	}
	t.Log(b.String())
}

// spread returns the median and the longest.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	slices.Sort(d)
	return fmt.Sprintf("%.1fs, %.1fs", d[len(d)/2].Seconds(), d[len(d)-1].Seconds())
}
