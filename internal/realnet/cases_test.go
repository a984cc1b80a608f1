//go:build linux && realnet

package realnet

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/apigws/apigws"
)

// A starter starts the client of a case on the line of the case, after the line was prepared, to
// which the gateway pushes at an interval.
type starter func(s settings, push time.Duration, prepare ...func(*conversation)) *conversation

// The cases run beside the campaign, each on a line of its own.
var cases = []struct {
	name string
	run  func(t *testing.T, start starter)
}{
	{"old data", oldData(0)},
	{"old data, Resend", oldData(256 << 10)},
	{"claims", claims},
	{"dead path while sending", deadPath(10*time.Second, 2*time.Second, 3)},
	{"dead path while sending, defaults", deadPath(0, 0, 1)},
	{"400 kbit, the queue of the client", slowUplink(400, 5*time.Second, true)},
	{"400 kbit, the queue of a router", slowUplink(400, 5*time.Second, false)},
	{"100 kbit, the queue of the client", slowUplink(100, 15*time.Second, true)},
	{"100 kbit, the queue of a router", slowUplink(100, 15*time.Second, false)},
	{"100 kbit, a PING waits longer than Timeout", slowUplink(100, 2*time.Second, false)},
	{"hung gateway while sending", hungGateway},
	{"frozen", frozen},
}

// rate is how many messages a second most clients write.
const rate = 50

// judge ends a conversation and checks the promises that hold in each case.
func judge(t *testing.T, c *conversation) (*history, verdict) {
	t.Helper()
	h, arrivals := c.end()
	if h == nil {
		t.FailNow()
	}
	v := audit(h, arrivals)
	c.complain(h, v)
	for _, charge := range v.charges() {
		check(t, charge.of, len(charge.messages))
	}
	return h, v
}

// lostConnections counts the connections that a client lost, for whatever reason.
func lostConnections(h *history) int {
	return int(h.Stats.LostClosed + h.Stats.LostNetwork + h.Stats.LostTimeout)
}

// oldData: a connection is given up in a black hole, which then heals. What its kernel still had of
// it must not arrive after what the next connection has carried.
func oldData(resend int) func(*testing.T, starter) {
	return func(t *testing.T, start starter) {
		c := start(settings{Every: time.Second / rate, Size: 100, Flush: time.Second, Resend: resend,
			Interval: quick, Timeout: quick}, 0)
		const holes = 6
		for range holes {
			time.Sleep(time.Second + rand.N(time.Second))
			c.suffer(faults[0])
			time.Sleep(6 * time.Second)
		}
		_, v := judge(t, c)
		c.logf("%d black holes at %d messages a second: %d late arrivals, %d resent, %d lost, %d claimed",
			holes, rate, len(v.late), v.resent, v.lost, v.claimed)
	}
}

// claims: on a connection that always receives, no more is claimed when it is lost than what was
// written in about one Timeout, although the application never calls Flush.
func claims(t *testing.T, start starter) {
	c := start(settings{Every: time.Second / rate, Size: 100, Interval: quick, Timeout: quick}, 20*time.Millisecond)
	const resets = 8
	for range resets {
		time.Sleep(8*time.Second + rand.N(time.Second))
		c.line.resetFlows(true, true)
	}
	time.Sleep(time.Second)
	h, v := judge(t, c)
	most := lostConnections(h) * 2 * int(quick.Seconds()*rate)
	c.logf("%d connections lost: %d messages claimed, %d lost", lostConnections(h), v.claimed, v.lost)
	check(t, "claimed beyond two Timeouts of writing", max(0, v.claimed-v.lost-most))
}

// deadPath: while it sends, a client notices that nothing gets through to the gateway within two
// Timeouts of the last message that it received. A few come after the path has died.
func deadPath(interval, timeout time.Duration, holes int) func(*testing.T, starter) {
	return func(t *testing.T, start starter) {
		c := start(settings{Every: time.Second / rate, Size: 100, Flush: 0, Interval: interval, Timeout: timeout}, 100*time.Millisecond)
		lasts := interval + timeout + 3*time.Second
		if interval == 0 { // the defaults are 55 and 10 seconds
			timeout, lasts = 10*time.Second, 80*time.Second
		}
		var happened []happening
		for range holes {
			time.Sleep(2 * time.Second)
			hole := faults[1]
			hole.lasts = lasts
			happened = append(happened, c.suffer(hole))
			time.Sleep(3 * time.Second)
		}
		h, v := judge(t, c)
		tooLate := 0
		for i, f := range happened {
			next := time.Now()
			if i+1 < len(happened) {
				next = happened[i+1].start
			}
			e := effectOf(h, nil, f, next)
			written := 0
			for _, w := range h.Writes {
				if w.Outcome == sent && w.Start.After(f.start) && w.Start.Before(f.start.Add(e.notice)) {
					written++
				}
			}
			var heard time.Duration
			for _, p := range h.Reads {
				if p.At.After(f.start) && p.At.Before(f.start.Add(e.notice)) {
					heard = p.At.Sub(f.start)
				}
			}
			c.logf("noticed %v after %.1fs (%s), last received after %.1fs; %d Writes returned nil meanwhile",
				e.noticed, e.notice.Seconds(), e.why, heard.Seconds(), written)
			if !e.noticed || e.notice-heard > 2*timeout+time.Second { // a second for a busy machine
				tooLate++
			}
		}
		c.logf("%d lost, %d claimed", v.lost, v.claimed)
		check(t, "noticed later than after two Timeouts", tooLate)
	}
}

// slowUplink: a slow line with a second of queue loses no connection while it makes progress,
// however fast the application writes, even if a PING waits longer than Timeout. The queue is that
// of the client's own device or that of a router.
func slowUplink(kbits int, timeout time.Duration, own bool) func(*testing.T, starter) {
	return func(t *testing.T, start starter) {
		const lasts = 60 * time.Second
		narrow := func(c *conversation) {
			c.line.up.set(conditions{delay: latency, rate: kbits * 1000, queue: time.Second})
		}
		if own {
			narrow = func(c *conversation) {
				// Without latency the window, and with it the send buffer, grows faster.
				c.line.up.set(conditions{})
				c.line.down.set(conditions{})
				must(t, run("tc", "-n", c.network.client, "qdisc", "add", "dev", deviceName(c.number), "root",
					"tbf", "rate", fmt.Sprintf("%dkbit", kbits), "burst", "5kb", "latency", "1s"))
			}
		}
		c := start(settings{Size: 8 << 10, Interval: timeout / 2, Timeout: timeout}, 0, narrow)
		time.Sleep(lasts)
		h, v := judge(t, c)
		c.logf("%d connections lost; of %d messages %d arrived, %d are unconfirmed and %d lost",
			lostConnections(h), v.written, v.arrived, v.claimed, v.lost)
		for _, change := range h.States {
			if change.From == apigws.StateOpen && change.Err != "" {
				c.logf("lost after %.1fs: %s", change.At.Sub(h.Writes[0].Start).Seconds(), change.Err)
			}
		}
		check(t, fmt.Sprintf("connections lost at %d kbit/s", kbits), lostConnections(h))
	}
}

// hungGateway: a gateway that answers nothing any more is noticed within two Timeouts, although its
// kernel goes on acknowledging what is sent, and some is always on its way.
func hungGateway(t *testing.T, start starter) {
	slow := func(c *conversation) {
		c.line.up.set(conditions{delay: 30 * time.Millisecond})
		c.line.down.set(conditions{delay: 30 * time.Millisecond})
	}
	c := start(settings{Every: time.Second / rate, Size: 100, Interval: quick, Timeout: quick}, 0, slow)
	const times = 6
	var hung []time.Time
	for range times {
		time.Sleep(2*time.Second + rand.N(time.Second))
		hung = append(hung, time.Now())
		for _, conn := range c.gateway.open(c.number) {
			conn.FreezeOut(true)
		}
		time.Sleep(5 * time.Second)
	}
	h, _ := judge(t, c)
	tooLate := 0
	for _, at := range hung {
		noticed := time.Hour
		for _, change := range h.States {
			if change.From == apigws.StateOpen && change.Err != "" && change.At.After(at) {
				noticed = change.At.Sub(at)
				break
			}
		}
		c.logf("noticed after %.1fs", noticed.Seconds())
		if noticed > 2*quick+time.Second { // a second for a busy machine
			tooLate++
		}
	}
	check(t, "hung gateways noticed later than after two Timeouts", tooLate)
}

// frozen: a process that was stopped for longer than Timeout finds its connection as it was.
func frozen(t *testing.T, start starter) {
	c := start(settings{Every: time.Second / rate, Size: 100, Flush: 500 * time.Millisecond, Interval: quick, Timeout: quick}, 0)
	// PINGs are under way for long, so that one is when the process is stopped.
	c.line.up.set(conditions{delay: 200 * time.Millisecond})
	c.line.down.set(conditions{delay: 200 * time.Millisecond})
	const times = 15
	for range times {
		time.Sleep(1500*time.Millisecond + rand.N(time.Second))
		c.signal(syscall.SIGSTOP)
		time.Sleep(3 * quick)
		c.signal(syscall.SIGCONT)
	}
	time.Sleep(2 * time.Second)
	h, _ := judge(t, c)
	c.logf("frozen %d times: %d connections lost", times, lostConnections(h))
	check(t, "connections lost by freezing", lostConnections(h))
}
