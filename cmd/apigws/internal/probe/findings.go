package probe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/apigws/apigws"
)

// A tristate answers a question, if the run was long enough to tell.
type tristate int

const (
	unknown tristate = iota
	no
	yes
)

// idle returns after how much silence the gateway cuts; 0: it was not seen to.
func (r *report) idle() time.Duration {
	if r.silent.cut == nil {
		return 0
	}
	return r.silent.lived
}

// counts tells whether what a subject sends counts as activity: whether it held
// on for longer than the silent one. Half an interval longer, for cuts do not
// come on the dot.
func (r *report) counts(o *outcome) tristate {
	switch {
	case r.idle() == 0 || len(o.sent) == 0:
		return unknown
	case o.lived > r.idle()+r.interval/2:
		return yes
	case o.cut == nil: // no longer watched
		return unknown
	default:
		return no
	}
}

// roundTrips returns those of the PINGs that were answered, in order of size.
func (r *report) roundTrips() []time.Duration {
	var all []time.Duration
	for _, b := range r.pings.sent {
		if b.rtt > 0 {
			all = append(all, b.rtt)
		}
	}
	slices.Sort(all)
	return all
}

// answered tells whether PINGs get PONGs.
func (r *report) answered() tristate {
	switch {
	case len(r.pings.sent) == 0:
		return unknown
	case len(r.roundTrips()) > 0:
		return yes
	default:
		return no
	}
}

// findings are sentences.
func (r *report) findings() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }

	if r.idle() == 0 {
		add("A silent connection was still open after %s.", short(r.silent.lived))
	} else {
		add("A silent connection is cut after %s: %s.", short(r.idle()), cause(r.silent.cut))
	}
	switch r.counts(&r.once) {
	case yes:
		add("A message counts: one after %s moved the cut to %s.", short(r.interval), short(r.once.lived))
	case no:
		add("A single message after %s did not move the cut.", short(r.interval))
	}
	rtts, sent := r.roundTrips(), len(r.pings.sent)
	switch r.answered() {
	case yes:
		add("PINGs are answered, %d of %d. Round trips: %v to %v, median %v.", len(rtts), sent,
			round(rtts[0]), round(rtts[len(rtts)-1]), round(rtts[len(rtts)/2]))
	case no:
		add("PINGs are not answered: %d were sent, no PONG came.", sent)
	}
	switch r.counts(&r.pings) {
	case yes:
		add("PINGs count as activity.")
	case no:
		add("PINGs do not count as activity.")
	}
	switch r.counts(&r.messages) {
	case yes:
		add("Messages at intervals of %s hold the connection.", short(r.interval))
	case no:
		add("Messages at intervals of %s do not hold the connection.", short(r.interval))
	}
	for _, f := range r.frames {
		switch {
		case f.err == nil:
			add("A frame of %d bytes passes.", f.size)
		case errors.Is(f.err, apigws.ErrNoPong):
			add("A frame of %d bytes left the connection open; no PONG tells more.", f.size)
		default:
			add("A frame of %d bytes closes the connection: %s.", f.size, cause(f.err))
		}
	}
	refused := make(map[string]int)
	for _, o := range r.outcomes() {
		for message, n := range o.refused {
			refused[message] += n
		}
	}
	for _, message := range slices.Sorted(maps.Keys(refused)) {
		add("The gateway answered %s with the error frame %q; --message chooses what is sent.", count(int64(refused[message]), "message"), message)
	}
	return all
}

// advice says which Keepalive fits, as Go code where there is something to set.
func (r *report) advice() (text, code string) {
	idle := roundDown(r.idle())
	interval := keepaliveInterval(idle)
	message := "[]byte(" + quote(string(r.message)) + ")"
	options := func(keepalive string) string {
		return fmt.Sprintf("opts := &apigws.Options{\n\tLimits:    apigws.Limits{Idle: %s},\n\tKeepalive: apigws.Keepalive{%s},\n}",
			literal(idle), keepalive)
	}
	pongs, pings, messages := r.answered(), r.counts(&r.pings), r.counts(&r.messages)
	const tooEarly = "It is too early to tell: let it run for longer."
	const elsewhere = "A cut can come from a proxy or firewall on the path as well as from the gateway: measure where your clients are."
	switch {
	case r.idle() == 0 && r.interrupted:
		return tooEarly, ""
	case r.idle() == 0:
		return fmt.Sprintf("Nothing was cut in %s, so there is nothing to set: by default a PING follows 55 s of silence, "+
			"and AWS documents a cut after ten minutes. %s", short(r.watched), elsewhere), ""
	case pongs == yes && pings == yes:
		return fmt.Sprintf("PINGs are enough: two fit into the %s, with time to miss one. %s", short(idle), elsewhere),
			options("Interval: " + literal(interval))
	case pongs == yes && pings == no && messages == yes:
		return fmt.Sprintf("PINGs tell a dead path but do not hold the connection; messages do. "+
				"IsReply can keep their answers out of Read. %s", elsewhere),
			options("Interval: " + literal(interval) + ", Message: " + message)
	case pongs == no && messages == yes:
		return fmt.Sprintf("Without PONGs a keepalive would take the path for dead: turn it off, write a message of your own "+
				"at least every %s, and have the backend answer, so that you notice a dead path. %s", short(interval), elsewhere),
			options("Disabled: true")
	case pings != yes && messages == no:
		return fmt.Sprintf("Nothing held the connection at intervals of %s. Try again with a shorter --interval.", short(r.interval)), ""
	default:
		return tooEarly, ""
	}
}

// roundDown leaves what one would write: whole tens of seconds from 20 s on,
// whole seconds from 2 s on, and so forth, but never nothing.
func roundDown(d time.Duration) time.Duration {
	unit := 10 * time.Second
	for d < 2*unit {
		unit /= 10
	}
	return d.Truncate(unit)
}

// keepaliveInterval returns an interval that fits twice into the idle limit,
// with ten seconds to spare where there are as many.
func keepaliveInterval(idle time.Duration) time.Duration {
	if idle <= 30*time.Second {
		return roundDown(idle / 3)
	}
	return ((idle - 10*time.Second) / 2).Truncate(5 * time.Second)
}

// literal returns d as one would write it in Go.
func literal(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{
		{time.Minute, "time.Minute"},
		{time.Second, "time.Second"},
		{time.Millisecond, "time.Millisecond"},
		{time.Microsecond, "time.Microsecond"},
	} {
		if d%u.unit == 0 {
			return fmt.Sprintf("%d * %s", d/u.unit, u.name)
		}
	}
	return fmt.Sprint(int64(d)) // nanoseconds
}

func quote(s string) string {
	if strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// round leaves two or three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit)
}
