//go:build linux && realnet

package realnet

import (
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(clientVariable) != "" {
		clientMain()
		return
	}
	flag.Parse()
	flag.Set("test.parallel", "32") // what runs side by side mostly waits
	os.Exit(m.Run())
}

// The campaign's clients, each on a line of its own.
var campaigners = []struct {
	name   string
	secure bool
	push   time.Duration
	settings
}{
	{"plain", false, 100 * time.Millisecond, settings{Size: 100, Flush: time.Second}},
	{"TLS", true, 100 * time.Millisecond, settings{Size: 100, Flush: 2 * time.Second}},
	{"much pushed", false, 20 * time.Millisecond, settings{Size: 100, Flush: 3 * time.Second}},
	{"nothing pushed", false, 0, settings{Size: 100, Flush: time.Second}},
	{"large messages", false, time.Second, settings{Size: 6000, Flush: time.Second}},
	{"rotating", false, 50 * time.Millisecond, settings{Size: 100, Flush: time.Second, Rotate: 4 * time.Second}},
	{"rotating, TLS", true, 50 * time.Millisecond, settings{Size: 100, Flush: 5 * time.Second, Rotate: 5 * time.Second}},
	{"Resend", false, 100 * time.Millisecond, settings{Size: 100, Flush: time.Second, Resend: 64 << 10}},
	{"Resend, TLS", true, 100 * time.Millisecond, settings{Size: 300, Resend: 16 << 10}},
	{"Resend, rotating", false, 20 * time.Millisecond,
		settings{Size: 100, Flush: 2 * time.Second, Resend: 64 << 10, Rotate: 4 * time.Second}},
}

// quick is a keepalive that lets many faults fit into a run: both its Interval and its Timeout.
const quick = time.Second

// campaignLasts is how long the faults go on.
const campaignLasts = 120 * time.Second

// recovery is how long the next fault waits: long enough for TCP to retransmit on connections that
// were given up, were they still there.
const recovery = 4 * time.Second

func TestRealNetwork(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), descriptors()
	t.Run("network", func(t *testing.T) {
		n := newNetwork(t, len(campaigners)+len(cases))
		g, err := newGateway(n.gateway)
		must(t, err)
		t.Cleanup(g.close)
		t.Run("side by side", func(t *testing.T) {
			t.Run("campaign", func(t *testing.T) {
				t.Parallel()
				campaign(t, n, g)
			})
			for i, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, func(s settings, push time.Duration, prepare ...func(*conversation)) *conversation {
						return converse(t, c.name, n, g, len(campaigners)+1+i, false, s, push, prepare...)
					})
				})
			}
		})
	})
	if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines && descriptors() <= files }) {
		t.Error("something is left behind")
	}
	t.Logf("gateway and path: goroutines %d to %d, descriptors %d to %d",
		goroutines, runtime.NumGoroutine(), files, descriptors())
}

// campaign lets all kinds of faults happen to the campaigners, in an order of its own to each.
func campaign(t *testing.T, n *network, g *gateway) {
	r := report{effects: map[string][]effect{}}
	var mu sync.Mutex // guards r
	var all sync.WaitGroup
	until := time.Now().Add(campaignLasts)
	for i, who := range campaigners {
		who.settings.Every, who.settings.Interval, who.settings.Timeout = 20*time.Millisecond, quick, quick
		c := converse(t, who.name, n, g, i+1, who.secure, who.settings, who.push)
		all.Go(func() {
			var happened []happening
			for k := 0; time.Now().Before(until); k++ {
				if k%len(faults) == 0 {
					c.order = rand.Perm(len(faults))
				}
				time.Sleep(rand.N(500 * time.Millisecond))
				happened = append(happened, c.suffer(faults[c.order[k%len(faults)]]))
				time.Sleep(recovery)
			}
			over := time.Now()
			h, arrivals := c.end()
			if h == nil {
				return
			}
			v := audit(h, arrivals)
			mu.Lock()
			defer mu.Unlock()
			r.add(h, arrivals, v, happened, over)
			c.complain(h, v)
		})
	}
	all.Wait()
	r.log(t)
	for _, charge := range r.total.charges() {
		check(t, charge.of, len(charge.messages))
	}
}

// complain logs what the audit of one client found, and checks that its process held nothing back.
func (c *conversation) complain(h *history, v verdict) {
	c.logf("%5d written, %4d told by Write, %4d lost, %5d claimed, %2d connections; "+
		"goroutines %d to %d, descriptors %d to %d", v.written, v.told, v.lost, v.claimed, h.Stats.Connects,
		h.GoroutinesBefore, h.GoroutinesAfter, h.DescriptorsBefore, h.DescriptorsAfter)
	for _, charge := range v.charges() {
		if k := len(charge.messages); k > 0 {
			c.logf("%s %d: %v", charge.of, k, charge.messages[:min(k, 10)])
		}
	}
	for _, w := range h.Writes {
		if w.Outcome == unexpected {
			c.logf("Write of %d: %s", w.N, w.Err)
			break
		}
	}
	if h.GoroutinesAfter > h.GoroutinesBefore || h.DescriptorsAfter > h.DescriptorsBefore {
		c.t.Errorf("%s: something is left behind\n%s", c.name, h.Stacks)
	}
}
