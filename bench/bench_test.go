package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
)

// A benchmark is worth what its clients really do: each must bring messages
// whole, over both transports, and send its PINGs.
func TestLibrariesDoTheWork(t *testing.T) {
	plain, secure, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	defer secure.Close()
	go accept(plain)
	go accept(secure)
	ctx := t.Context()

	for _, base := range []string{"ws://" + plain.Addr().String(), "wss://" + secure.Addr().String()} {
		for _, lib := range contestants {
			t.Run(lib.name+" on "+base[:strings.Index(base, ":")], func(t *testing.T) {
				for _, size := range []int{128, 4 << 10, 64 << 10} {
					want := bytes.Repeat([]byte("x"), size)
					checked := make(chan bool, 1)
					n := 0
					c, err := lib.dial(ctx, fmt.Sprintf("%s/flood/%d", base, size), usual, func(p []byte) {
						if n++; n == 100 {
							checked <- bytes.Equal(p, want)
						}
					})
					if err != nil {
						t.Fatal(err)
					}
					select {
					case ok := <-checked:
						if !ok {
							t.Errorf("a message of %d bytes came in changed", size)
						}
					case <-time.After(10 * time.Second):
						t.Errorf("no messages of %d bytes", size)
					}
					c.close()
				}

				answers := make(chan []byte, 1)
				c, err := lib.dial(ctx, base+"/echo", usual, func(p []byte) { answers <- bytes.Clone(p) })
				if err != nil {
					t.Fatal(err)
				}
				if err := c.write(question); err != nil {
					t.Fatal(err)
				}
				select {
				case p := <-answers:
					if !bytes.Equal(p, question) {
						t.Errorf("echo of %q is %q", question, p)
					}
				case <-time.After(10 * time.Second):
					t.Error("no echo")
				}
				c.close()
			})
		}
	}

	for _, lib := range idleLibraries() {
		t.Run("PINGs of "+lib.name, func(t *testing.T) {
			c, err := lib.dial(ctx, "ws://"+plain.Addr().String()+"/idle", settings{interval: 10 * time.Millisecond, timeout: 5 * time.Second}, func([]byte) {})
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			first, deadline := pings.Load(), time.Now().Add(10*time.Second)
			for pings.Load() < first+3 {
				if time.Now().After(deadline) {
					t.Fatalf("%d PINGs, want 3", pings.Load()-first)
				}
				if _, err := counts(ctx, "ws://"+plain.Addr().String()+"/"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	for _, test := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{7}, 0.9, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{0, 10}, 0.25, 2.5},
		{[]float64{1, 2, 3}, 1, 3},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", test.values, test.q, got, test.want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing = %v, want NaN", got)
	}
}

// made is a report in which apigws is four times as fast as the others in each
// round, while the machine became twice as slow.
func made() *report {
	r := new(report)
	for _, slow := range []float64{1, 2} {
		for _, lib := range contestants {
			v := 100e3 / slow
			if lib.name == ours {
				v *= 4
			}
			r.add("TCP, receive 128 B", lib.name, rate, v)
			r.add("TCP, receive 128 B", lib.name, allocs, 2)
		}
	}
	for _, scenario := range []string{"TLS, 2000 idle clients", "TCP, 10000 idle clients"} {
		for _, lib := range idleLibraries() {
			r.add(scenario, lib.name, memory, 10e3)
			r.add(scenario, lib.name, keepaliveCPU, 18)
		}
	}
	return r
}

func TestReport(t *testing.T) {
	text := made().markdown()
	for _, want := range []string{
		"| TCP, receive 128 B | 75.0 k ± 17 % | 300 k ± 17 % |",
		"| TCP, receive 128 B | **4.00** (4.00 to 4.00) | **1.00** (1.00 to 1.00) |", // to the floor
		"| receiving 128 B: at least 3 times coder | 4.00 | met |",
		"| receiving: one allocation a message | 2.00 | missed |",
		"| idle, TLS: 0.85 of gws | 1.00 | missed: what is left",
		"18.0 s | 0.50 % |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	for _, goal := range []string{"64 writers", "Read, TLS 128 B", "idle, TCP,", "back after a cut", "rotation"} {
		if strings.Contains(text, goal) {
			t.Errorf("the report judges %q, which was not measured", goal)
		}
	}
	if lines := strings.Count(made().csv(), "\n"); lines != 1+2*2*len(contestants)+2*2*len(idleLibraries()) {
		t.Errorf("the raw figures have %d lines", lines)
	}
}

// Each phase is done by all clients, and leaves figures.
func TestScale(t *testing.T) {
	task, r := scaleTask{Transport: inMemory, Clients: 20}, new(report)
	if err := runScale(t.Context(), task, r); err != nil {
		t.Fatal(err)
	}
	for _, phase := range phases {
		if cpu := r.median(task.scenario(), ours, phaseCPU(phase)); !(cpu > 0) {
			t.Errorf("%s took %v µs a client", phase, cpu)
		}
	}
	if text := r.markdown(); strings.Contains(text, "NaN") {
		t.Errorf("figures are missing:\n%s", text)
	}
}

// All libraries can write on a stub, and what it answers to a PING is a PONG.
func TestStub(t *testing.T) {
	r := new(report)
	if err := measureWrites(t.Context(), config{rounds: 1, duration: time.Millisecond}, nil, r); err != nil {
		t.Fatal(err)
	}
	for _, lib := range withFloor {
		if n := len(r.values(writeScenario, lib.name, cpuWrite)); n != 1 {
			t.Errorf("%s has %d figures", lib.name, n)
		}
	}
	c, err := apigws.Dial(t.Context(), "ws://127.0.0.1/", &apigws.Options{HTTPClient: stubNetwork().client})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// The chart must be XML, with each bar in a place of its own.
func TestChart(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(made().chart()))
	places := make(map[[2]string]bool)
	bars := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "rect" {
			continue
		}
		bars++
		var at [2]string
		for _, attr := range e.Attr {
			switch attr.Name.Local {
			case "x":
				at[0] = attr.Value
			case "y":
				at[1] = attr.Value
			}
		}
		if places[at] {
			t.Errorf("two bars at %v", at)
		}
		places[at] = true
	}
	// All but the floor are in the one scenario of throughput.
	if want := len(contestants) - 1 + 2*2*len(libraries); bars != want {
		t.Errorf("the chart has %d bars, want %d", bars, want)
	}
}
