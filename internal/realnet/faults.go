//go:build linux && realnet

package realnet

import (
	"fmt"
	"syscall"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// A fault is what goes wrong on the line of one client. After begin it lasts for a while, or is
// over at once; end, if there is one, is called then, and after it the line is mended.
type fault struct {
	name  string
	lasts time.Duration
	begin func(*conversation)
	end   func(*conversation)
}

// faultLasts is how long most faults last: longer than a client with the keepalive of the campaign
// needs to notice a dead path.
const faultLasts = 3 * time.Second

// weather returns a fault that consists in the conditions of the line.
func weather(name string, up, down conditions) fault {
	for _, c := range []*conditions{&up, &down} {
		if c.delay == 0 {
			c.delay = latency
		}
	}
	return fault{name: name, lasts: faultLasts, begin: func(c *conversation) {
		c.line.up.set(up)
		c.line.down.set(down)
	}}
}

// resets returns a fault that consists in forged RSTs.
func resets(name string, toClient, toGateway bool) fault {
	return fault{name: name, begin: func(c *conversation) { c.line.resetFlows(toClient, toGateway) }}
}

// gatewayDoes returns a fault of the gateway's end of each connection.
func gatewayDoes(name string, f func(*gatewaytest.Conn)) fault {
	return fault{name: name, begin: func(c *conversation) {
		for _, conn := range c.gateway.open(c.number) {
			f(conn)
		}
	}}
}

var faults = []fault{
	weather("black hole", conditions{drop: true}, conditions{drop: true}),
	weather("black hole to the gateway", conditions{drop: true}, conditions{}),
	weather("black hole to the client", conditions{}, conditions{drop: true}),
	weather("short black hole", conditions{drop: true}, conditions{drop: true}),
	weather("stall", conditions{hold: true}, conditions{hold: true}),
	weather("loss of 20%", conditions{loss: 0.2}, conditions{loss: 0.2}),
	weather("delay of 400 ms each way", conditions{delay: 400 * time.Millisecond}, conditions{delay: 400 * time.Millisecond}),
	weather("reordering", conditions{jitter: 60 * time.Millisecond}, conditions{jitter: 60 * time.Millisecond}),
	weather("duplicates", conditions{duplicate: 0.5, jitter: 20 * time.Millisecond}, conditions{duplicate: 0.5}),
	weather("only small packets pass", conditions{largest: 500}, conditions{largest: 500}),
	weather("slow link", conditions{rate: 48_000, queue: time.Second}, conditions{rate: 48_000, queue: time.Second}),
	resets("reset to both", true, true),
	resets("reset to the client", true, false),
	resets("reset to the gateway", false, true),
	{name: "connections forgotten", lasts: faultLasts,
		begin: func(c *conversation) { c.line.cutFlows() },
		end:   func(c *conversation) { c.line.mendFlows() }},
	{name: "another address", begin: (*conversation).changeAddress},
	{name: "interface down", lasts: faultLasts,
		begin: func(c *conversation) { c.linkSet("down") },
		end:   func(c *conversation) { c.linkSet("up") }},
	{name: "process frozen", lasts: faultLasts,
		begin: func(c *conversation) { c.signal(syscall.SIGSTOP) },
		end:   func(c *conversation) { c.signal(syscall.SIGCONT) }},
	gatewayDoes("gateway closes", func(conn *gatewaytest.Conn) { conn.Close(1001, "Going away") }),
	gatewayDoes("gateway resets", (*gatewaytest.Conn).Drop),
}

func init() {
	for i := range faults {
		if faults[i].name == "short black hole" {
			faults[i].lasts = 700 * time.Millisecond // TCP retransmits in time
		}
	}
}

// changeAddress gives the client another address, as a change of networks does: its sockets keep
// the old one, which nobody has any more.
func (c *conversation) changeAddress() {
	c.line.mu.Lock()
	old := c.line.number
	c.line.number = 2 + (old-1)%200
	now := c.line.number
	c.line.mu.Unlock()
	device := deviceName(c.number)
	err := ip("-n", c.network.client, "addr", "del", clientAddr(c.number, old)+"/24", "dev", device)
	if err == nil {
		err = ip("-n", c.network.client, "addr", "add", clientAddr(c.number, now)+"/24", "dev", device)
	}
	if err != nil {
		c.t.Error(err)
	}
}

func (c *conversation) linkSet(state string) {
	if err := ip("-n", c.network.client, "link", "set", deviceName(c.number), state); err != nil {
		c.t.Error(err)
	}
}

// A happening is a fault that one client has had.
type happening struct {
	fault      string
	start, end time.Time
}

// suffer lets a fault happen, and returns when it is over.
func (c *conversation) suffer(f fault) happening {
	h := happening{fault: f.name, start: time.Now()}
	f.begin(c)
	time.Sleep(f.lasts)
	if f.end != nil {
		f.end(c)
	}
	c.mend()
	h.end = time.Now()
	return h
}

func (h happening) String() string {
	return fmt.Sprintf("%s for %v", h.fault, h.end.Sub(h.start).Round(time.Millisecond))
}
