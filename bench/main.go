// Command bench compares apigws with the clients that people would use
// instead: the same work, on the same server in a process of its own, in
// interleaved rounds, so that whatever else the machine does hits all alike.
// README.md says what each scenario is.
//
//	go run -C bench .            # from the root of the repository
//	go run -C bench . -quick     # for a first look
//
// It prints Markdown. A full run also writes results/results.md,
// results/raw.csv and chart.svg; a partial one does so with -out. All traffic
// stays on the loopback interface.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// longest is when a run that hangs is given up.
const longest = time.Hour

func main() {
	log.SetFlags(0)
	var (
		quick   = flag.Bool("quick", false, "fewer and shorter rounds, fewer idle clients")
		only    = flag.String("only", "", "only the scenarios whose name contains this")
		lib     = flag.String("lib", "", "only this library")
		out     = flag.String("out", "", "write results/ and chart.svg to this directory")
		profile = flag.String("cpuprofile", "", "write a CPU profile of the client process to this file")
		serve   = flag.Bool("server", false, "internal: be the server")
		task    = flag.String("task", "", "internal: be the process that does this, as JSON")
		rounds  = flag.Int("rounds", 0, "as many rounds of each measurement of throughput")
	)
	flag.Parse()
	time.AfterFunc(longest, func() { log.Fatalf("not done within %v", longest) })

	switch {
	case *serve:
		fatal(runServer())
		return
	case *task != "":
		fatal(runTask(context.Background(), *task))
		return
	}

	cfg := config{rounds: 10, duration: 250 * time.Millisecond, comebacks: 15,
		idle: []idleRun{{"TCP", 2000, 1}, {"TLS", 2000, 1}, {"TCP", 10000, 1}},
		scale: []scaleTask{
			{Transport: "TCP", Clients: 1000}, scaleMany,
			{Transport: "TCP", Clients: 10000, Debug: "adaptivestackstart=0"},
			{Transport: inMemory, Clients: 1000}, {Transport: inMemory, Clients: 10000},
			{Transport: inMemory, Clients: 50000},
		}}
	if *quick {
		cfg = config{rounds: 2, duration: 100 * time.Millisecond, comebacks: 5,
			idle:  []idleRun{{"TCP", 200, 10}, {"TLS", 200, 10}},
			scale: []scaleTask{{Transport: "TCP", Clients: 500}, {Transport: inMemory, Clients: 500}}}
	}
	cfg.only, cfg.lib = *only, *lib
	if *rounds > 0 {
		cfg.rounds = *rounds
	}
	if *out == "" && !*quick && *only == "" && *lib == "" {
		*out = "."
	}

	if *profile != "" {
		f, err := os.Create(*profile)
		fatal(err)
		fatal(pprof.StartCPUProfile(f))
	}
	r, err := run(context.Background(), cfg)
	pprof.StopCPUProfile()
	if r == nil {
		fatal(err)
	}

	text := r.markdown()
	fmt.Print(text)
	if *out != "" {
		fatal(save(*out, map[string]string{
			"results/results.md": text,
			"results/raw.csv":    r.csv(),
			"chart.svg":          r.chart(),
		}))
	}
	fatal(err)
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type config struct {
	rounds    int
	duration  time.Duration // of one measurement of throughput
	comebacks int           // cuts, and rotations, a library and path
	idle      []idleRun
	scale     []scaleTask
	only, lib string // if set, the scenarios whose name contains it, and the library of that name
}

// chosen returns the libraries that are to be measured.
func (c *config) chosen(libs []library) []library {
	return slices.DeleteFunc(slices.Clone(libs), func(l library) bool { return c.lib != "" && l.name != c.lib })
}

func (c *config) wants(scenario string) bool {
	wanted := strings.Contains(scenario, c.only)
	if wanted {
		log.Print(scenario)
	}
	return wanted
}

// run returns the report of what could be measured together with the errors of the rest.
func run(ctx context.Context, cfg config) (*report, error) {
	srv, err := startServer()
	if err != nil {
		return nil, err
	}
	defer srv.stop()

	r := &report{started: time.Now(), rounds: cfg.rounds}
	r.note("Load averages of the machine before the run: %s.", load())
	var errs []error
	for _, step := range []func(context.Context, config, *server, *report) error{
		measureIdle, measureScale, measureComebacks, measureRotations, measureWrites, measurePinned, measureThroughput,
	} {
		if err := step(ctx, cfg, srv, r); err != nil { // what else there is to measure is worth having
			r.note("Not measured to the end: %v", err)
			errs = append(errs, err)
		}
	}
	r.took = time.Since(r.started)
	return r, errors.Join(errs...)
}

// interleave calls measure for each library in turn, and that so many times.
// Each round begins with another one.
func interleave(libs []library, rounds int, measure func(library) error) error {
	for round := range rounds {
		for i := range libs {
			lib := libs[(i+round)%len(libs)]
			runtime.GC() // the garbage of the last one is not the next one's
			if err := measure(lib); err != nil {
				return fmt.Errorf("%s: %w", lib.name, err)
			}
		}
	}
	return nil
}

func save(dir string, files map[string]string) error {
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			return err
		}
	}
	return nil
}
