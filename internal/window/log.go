package window

import "slices"

// overhead is what a message counts for at least, so that empty ones are bounded, too.
const overhead = 64

// cost returns what a message of n bytes counts for.
func cost(n int) int { return max(n, overhead) }

// A Log is what a Window holds: the messages that are on their way, in the order in which they were
// sent, and those that were refused. It is a plain value: nothing in it waits or locks.
//
// Room is taken by Reserve. Add turns it into a message; Release, Acknowledge and Reject give it
// back.
type Log struct {
	Limit int // in bytes, each message counting for at least 64

	kept          [][]byte // not acknowledged, oldest first
	used          int      // cost of kept and of what is reserved
	left          int64    // how many messages have been acknowledged or rejected
	oneByOne      bool     // see Suspect
	rejected      [][]byte
	rejectedBytes int // cost of rejected
}

// Fits reports whether there is room for a message of n bytes. When nothing is kept or reserved,
// there is room for any message.
func (l *Log) Fits(n int) bool { return l.used == 0 || l.used+cost(n) <= l.Limit }

// Reserve takes room for a message of n bytes.
func (l *Log) Reserve(n int) { l.used += cost(n) }

// Release gives back what was reserved for a message of n bytes.
func (l *Log) Release(n int) { l.used -= cost(n) }

// Add appends p, for which room was reserved. The log keeps p itself.
func (l *Log) Add(p []byte) { l.kept = append(l.kept, p) }

// Acknowledge drops the n oldest messages. It panics if there are not as many.
func (l *Log) Acknowledge(n int) {
	for _, p := range l.kept[:n] {
		l.used -= cost(len(p))
	}
	clear(l.kept[:n])
	l.kept = l.kept[n:]
	l.left += int64(n)
}

// Reject takes the oldest message out, and keeps it for Unconfirmed. Of the messages rejected, the
// last are kept, as many as fit into Limit, and always the last one. It panics if there is no
// message.
func (l *Log) Reject() {
	p := l.kept[0]
	l.Acknowledge(1)
	l.rejected = append(l.rejected, p)
	l.rejectedBytes += cost(len(p))
	for len(l.rejected) > 1 && l.rejectedBytes > l.Limit {
		l.rejectedBytes -= cost(len(l.rejected[0]))
		l.rejected[0] = nil
		l.rejected = l.rejected[1:]
	}
}

// Suspect is called when the peer has closed a connection for one of the messages in the log, and
// reports whether it is known which: the oldest, which is to be rejected. Otherwise the messages
// are to be sent one at a time, so that it is known the next time.
func (l *Log) Suspect() bool {
	if len(l.kept) == 0 {
		return false
	}
	known := len(l.kept) == 1 || l.oneByOne
	l.oneByOne = l.oneByOne || !known
	return known
}

// OneByOne reports whether the messages are to be sent one at a time: each when the one before it
// has been acknowledged.
func (l *Log) OneByOne() bool { return l.oneByOne }

// Resent is called when all messages have been sent again.
func (l *Log) Resent() { l.oneByOne = false }

// Used returns how many bytes are kept or reserved; each message counts for at least 64.
func (l *Log) Used() int { return l.used }

// Len returns how many messages are kept.
func (l *Log) Len() int { return len(l.kept) }

// Left returns how many messages have been acknowledged or rejected so far.
func (l *Log) Left() int64 { return l.left }

// Kept returns the messages that are kept, oldest first. They must not be changed.
func (l *Log) Kept() [][]byte { return slices.Clone(l.kept) }

// Clone returns a copy that does not change with l.
func (l *Log) Clone() Log {
	c := *l
	c.kept, c.rejected = slices.Clone(l.kept), slices.Clone(l.rejected)
	return c
}

// Unconfirmed returns copies of the messages rejected, then of those kept.
func (l *Log) Unconfirmed() [][]byte {
	all := slices.Concat(l.rejected, l.kept)
	for i, p := range all {
		all[i] = slices.Clone(p)
	}
	return all
}
