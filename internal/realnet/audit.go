package realnet

import "time"

// grace is by how much two arrivals on different connections may seem to be in the wrong order: the
// gateway hands the messages of each connection to the backend on a goroutine of its own.
const grace = 200 * time.Millisecond

// A verdict is what the audit found. The first part are numbers of messages and should be empty.
type verdict struct {
	lostSilently []int // sent and lost, and nothing said so
	flushWrong   []int // those of them that a Flush or Close after them denied with nil
	notSentCame  []int // ErrNotSent, and they arrived
	unexpected   []int // Write returned an error that it may not return
	unknown      []int // arrived and were never written
	duplicated   []int // arrived twice without Resend
	outOfOrder   []int // arrived for the first time after one that was written later
	late         []int // arrived on a connection after messages of a newer one
	pushesWrong  []int // pushed messages: lost from the middle, doubled or out of order

	written int // calls of Write
	told    int // of which returned an error
	arrived int // messages
	resent  int // arrivals after the first of each, with Resend
	lost    int // Write returned nil and it did not arrive
	claimed int // by Stats.Unconfirmed
}

// A charge is a promise and the messages with which it was broken.
type charge struct {
	of       string
	messages []int
}

// charges returns the part of the verdict that should be empty.
func (v *verdict) charges() []charge {
	return []charge{
		{"lostSilently", v.lostSilently},
		{"flushWrong", v.flushWrong},
		{"notSentCame", v.notSentCame},
		{"unexpected", v.unexpected},
		{"unknown", v.unknown},
		{"duplicated", v.duplicated},
		{"outOfOrder", v.outOfOrder},
		{"late", v.late},
		{"pushesWrong", v.pushesWrong},
	}
}

// audit compares what a client was told with what arrived.
func audit(h *history, arrivals []arrival) verdict {
	v := verdict{written: len(h.Writes), claimed: int(h.Stats.Unconfirmed)}
	v.auditArrivals(h, arrivals)
	came := map[int]bool{}
	for _, a := range arrivals {
		came[a.N] = true
	}
	v.arrived = len(came)
	kept := map[int]bool{}
	for _, n := range h.Kept {
		kept[n] = true
	}
	for _, w := range h.Writes {
		if w.Outcome != sent {
			v.told++
		}
		switch {
		case w.Outcome == notSent && came[w.N]:
			v.notSentCame = append(v.notSentCame, w.N)
		case w.Outcome == unexpected:
			v.unexpected = append(v.unexpected, w.N)
		case w.Outcome == sent && !came[w.N]:
			v.lost++
			claimed, denied := h.claims(w)
			if claimed || kept[w.N] {
				continue
			}
			v.lostSilently = append(v.lostSilently, w.N)
			if denied {
				v.flushWrong = append(v.flushWrong, w.N)
			}
		}
	}
	v.auditPushes(h.Reads)
	return v
}

// claims reports whether a Flush or Close said that a message may be lost, and whether one said
// that it is not. The first that began after the Write and came to a result counts, and claims of
// those that ran beside the Write: one may end just before the Write returns nil.
func (h *history) claims(w write) (claimed, denied bool) {
	for _, f := range h.Flushes {
		if f.End.Before(w.Start) {
			continue
		}
		if f.Outcome == unconfirmed {
			return true, false
		}
		if f.Outcome == confirmed && !f.Start.Before(w.End) {
			return false, true
		}
	}
	return false, false
}

// auditArrivals looks at the order of what arrived, and for what arrived twice.
func (v *verdict) auditArrivals(h *history, arrivals []arrival) {
	came := map[int]bool{}
	latest := map[int]int{}           // by connection: the highest number so far
	newest, highest, past := 0, -1, 0 // of the first past arrivals: connection, and number
	for _, a := range arrivals {
		for ; a.At.Sub(arrivals[past].At) > grace; past++ {
			newest = max(newest, arrivals[past].Conn)
			highest = max(highest, arrivals[past].N)
		}
		if a.N < 0 || a.N >= len(h.Writes) {
			v.unknown = append(v.unknown, a.N)
			continue
		}
		if newest > a.Conn {
			v.late = append(v.late, a.N)
		}
		switch last, ok := latest[a.Conn]; {
		case came[a.N] && h.Resend:
			v.resent++
		case came[a.N]:
			v.duplicated = append(v.duplicated, a.N)
		case highest > a.N, ok && last > a.N:
			v.outOfOrder = append(v.outOfOrder, a.N)
		}
		came[a.N] = true
		latest[a.Conn] = max(latest[a.Conn], a.N)
	}
}

// auditPushes looks at what was read: of each connection an unbroken beginning of what was pushed.
func (v *verdict) auditPushes(reads []push) {
	next := map[int]int{}
	for _, p := range reads {
		if p.N != next[p.Conn] {
			v.pushesWrong = append(v.pushesWrong, p.N)
		}
		next[p.Conn] = p.N + 1
	}
}
