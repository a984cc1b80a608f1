package main

import (
	"fmt"
	"math"
	"strings"
)

// A goal is a bound on a figure of this library that was set before it was measured.
type goal struct {
	text     string
	measured func(*report) float64 // not a number when the run has not measured what it needs
	least    bool                  // the bound is the least rather than the most
	bound    float64
	reason   string // for a miss, as far as it is known and measured
}

func ratio(scenario, library, to, metric string) func(*report) float64 {
	return func(r *report) float64 { return quantile(r.ratios(scenario, library, to, metric), 0.5) }
}

func figure(scenario, library, metric string) func(*report) float64 {
	return func(r *report) float64 { return r.median(scenario, library, metric) }
}

// roundTrips returns a time in round trips as they were measured on the path, which the timers of
// the server make a little longer than they should be.
func roundTrips(scenario, ping string) func(*report) float64 {
	return func(r *report) float64 {
		return r.median(scenario, ours, elapsed) / r.median(ping, ours, elapsed)
	}
}

// kilobytes of an idle client.
func kilobytes(scenario, library string) func(*report) float64 {
	return func(r *report) float64 { return r.median(scenario, library, memory) / 1e3 }
}

// remains is the memory after a phase in terms of that at rest.
func remains(t scaleTask, phase string) func(*report) float64 {
	return func(r *report) float64 {
		return r.median(t.scenario(), ours, phaseAfter(phase)) / r.median(t.scenario(), ours, phaseAfter(dialStorm))
	}
}

// growth is the CPU a client of a phase with many clients in terms of that with few.
func growth(phase string) func(*report) float64 {
	few, many := scaleTask{Transport: inMemory, Clients: 1000}, scaleTask{Transport: inMemory, Clients: 50000}
	return func(r *report) float64 {
		return r.median(many.scenario(), ours, phaseCPU(phase)) / r.median(few.scenario(), ours, phaseCPU(phase))
	}
}

const (
	idleTCP  = "TCP, 2000 idle clients"
	idleTLS  = "TLS, 2000 idle clients"
	idleMany = "TCP, 10000 idle clients"
)

// Why goals are missed: each of these can be read off the tables above.
const (
	fewBytes        = "what is left are stacks of 2 KB, the smallest that there are, and what net/http, contexts and channels take"
	checksAndQueues = "gws does not check UTF-8 (the column gws checking does), and nothing lies between its socket and the application; " +
		"here a queue and a second goroutine do, so that PONGs are read whether Read is called or not"
	twoModes    = "two modes: alone (-only \"TCP, receive 4 KiB\") it is 1.32, 1.35, 1.37 and 1.80 in four runs"
	collections = "the machine, and garbage collections that fall into what is measured, or not: alone (-only \"TCP, 10000 idle\" -lib apigws) it is 19, 21, 23, 26 and 29 s in five runs of one day"
	collecting  = "garbage collections, which look at all stacks there are: with GOGC=off 50,000 dialled for 85 µs each, 1,000 for 80"
	tallStacks  = "stacks of new goroutines start at the average size of the process (the runtime's adaptive start): " +
		"compare the line with adaptivestackstart=0"
)

var scaleMany = scaleTask{Transport: "TCP", Clients: 10000}

var goals = []goal{
	{"receiving 128 B: at least 3 times coder", ratio("TCP, receive 128 B", ours, coder, rate), true, 3, ""},
	{"receiving 128 B: as fast as gorilla", ratio("TCP, receive 128 B", ours, gorilla, rate), true, 1, ""},
	{"receiving: one allocation a message", figure("TCP, receive 128 B", ours, allocs), false, 1, ""},
	{"ReadInto, TCP 4 KiB: at least 1.5 times gws", ratio("TCP, receive 4 KiB", readInto.name, gwsName, rate), true, 1.5, twoModes},
	{"ReadInto, TCP 64 KiB: at least 0.75 of gws", ratio("TCP, receive 64 KiB", readInto.name, gwsName, rate), true, 0.75, checksAndQueues},
	{"ReadInto, TLS 4 KiB: as fast as gws", ratio("TLS, receive 4 KiB", readInto.name, gwsName, rate), true, 1, checksAndQueues},
	{"ReadInto, TLS 64 KiB: as fast as gws", ratio("TLS, receive 64 KiB", readInto.name, gwsName, rate), true, 1, checksAndQueues},
	{"Read, TCP 128 B: as fast as gws copying", ratio("TCP, receive 128 B", ours, gwsCopying.name, rate), true, 1, checksAndQueues},
	{"Read, TCP 4 KiB: as fast as gws copying", ratio("TCP, receive 4 KiB", ours, gwsCopying.name, rate), true, 1, checksAndQueues},
	{"Read, TCP 64 KiB: as fast as gws copying", ratio("TCP, receive 64 KiB", ours, gwsCopying.name, rate), true, 1, checksAndQueues},
	{"Read, TLS 128 B: as fast as gws copying", ratio("TLS, receive 128 B", ours, gwsCopying.name, rate), true, 1, checksAndQueues},
	{"Read, TLS 4 KiB: as fast as gws copying", ratio("TLS, receive 4 KiB", ours, gwsCopying.name, rate), true, 1, checksAndQueues},
	{"Read, TLS 64 KiB: as fast as gws copying", ratio("TLS, receive 64 KiB", ours, gwsCopying.name, rate), true, 1, checksAndQueues},
	{"one writer: at least 1.2 times coder", ratio("TCP, send 128 B, 1 writer", ours, coder, rate), true, 1.2,
		"the system call: the table of CPU a Write has what is left of the two without it"},
	{"one writer: no allocation", figure("TCP, send 128 B, 1 writer", ours, allocs), false, 0, ""},
	{"64 writers: at least 3 times gorilla", ratio("TCP, send 128 B, 64 writers", ours, gorilla, rate), true, 3, ""},
	{"64 writers over TLS: at least 3 times gorilla", ratio("TLS, send 128 B, 64 writers", ours, gorilla, rate), true, 3, ""},
	{"echo on one core: no slower than coder", ratio("TCP, echo 120 B, ask and wait, one core", ours, coder, rate), true, 1, ""},
	{"idle: one goroutine of its own", figure(idleMany, unread.name, goroutines), false, 1, ""},
	{"idle: no more memory than gorilla", ratio(idleMany, ours, gorilla, memory), false, 1, fewBytes},
	{"idle, TCP, a Read waiting: 11 KB", kilobytes(idleTCP, ours), false, 11, fewBytes},
	{"idle, TLS, a Read waiting: 17.5 KB", kilobytes(idleTLS, ours), false, 17.5, fewBytes},
	{"idle, TCP: 0.85 of gws", ratio(idleTCP, ours, gwsName, memory), false, 0.85, fewBytes},
	{"idle, TLS: 0.85 of gws", ratio(idleTLS, ours, gwsName, memory), false, 0.85, fewBytes},
	{"keepalive of 10,000: 0.61 % of a core, 22 s of CPU an hour", figure(idleMany, ours, keepaliveCPU), false, 22, collections},
	{"memory after a rotation wave of 10,000: 1.3 times that at rest", remains(scaleMany, rotationWave), false, 1.3, tallStacks},
	{"memory after a mass reconnect of 10,000: 1.3 times that at rest", remains(scaleMany, massLoss), false, 1.3, tallStacks},
	{"CPU a client to dial, 50,000 to 1,000: 1.5", growth(dialStorm), false, 1.5, collecting},
	{"CPU a client to rotate, 50,000 to 1,000: 1.5", growth(rotationWave), false, 1.5, collecting},
	{"CPU a client to close, 50,000 to 1,000: 1.5", growth(closeAll), false, 1.5, collecting},
	{"back after a cut: in one round trip, within 5 %", roundTrips(farTCP.comeback(), farTCP.ping()), false, 1.05, ""},
	{"a rotation holds a Write for one round trip at most, within 5 %", roundTrips(farTCP.stall(), farTCP.ping()), false, 1.05, ""},
}

// goalTable compares at the two digits that it prints.
func (r *report) goalTable(b *strings.Builder) {
	var lines strings.Builder
	for _, g := range goals {
		measured := math.Round(100*g.measured(r)) / 100
		if math.IsNaN(measured) { // this run has not measured all that it needs
			continue
		}
		verdict := "met"
		if g.least && measured < g.bound || !g.least && measured > g.bound {
			verdict = "missed"
			if g.reason != "" {
				verdict += ": " + g.reason
			}
		}
		fmt.Fprintf(&lines, "| %s | %.2f | %s |\n", g.text, measured, verdict)
	}
	if lines.Len() == 0 {
		return
	}
	b.WriteString("\nWhat this library set out to reach, and what it measured here.\n")
	header(b, "goal", "measured", "verdict")
	b.WriteString(lines.String())
}
