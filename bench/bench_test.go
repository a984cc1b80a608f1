package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
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
		for _, lib := range libraries {
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
			c, err := lib.dial(ctx, "ws://"+plain.Addr().String()+"/idle", keepalive{10 * time.Millisecond, 5 * time.Second}, func([]byte) {})
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
		{nil, 0.5, 0},
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
}

// made is a report in which apigws is four times as fast as coder in each
// round, while the machine became twice as slow.
func made() *report {
	r := new(report)
	for _, slow := range []float64{1, 2} {
		for _, lib := range libraries {
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
		"| TCP, receive 128 B | 300 k ± 17 % | 75.0 k ± 17 % |",
		"| **4.00** (4.00 to 4.00) | **4.00** (4.00 to 4.00) |",
		"| receiving 128 B: at least 3 times coder | 4.00 | met |",
		"| receiving: one allocation a message | 2.00 | missed |",
		"18.0 s | 0.50 % |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if lines := strings.Count(made().csv(), "\n"); lines != 1+2*2*len(libraries)+2*2*len(idleLibraries()) {
		t.Errorf("the raw figures have %d lines", lines)
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
	if want := (len(transports)*len(throughputs) + 2*2) * len(libraries); bars != want {
		t.Errorf("the chart has %d bars, want %d", bars, want)
	}
}
