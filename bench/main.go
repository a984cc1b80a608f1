// Command bench compares apigws with the clients that people would use
// instead: the same work, on the same server in a process of its own, in
// interleaved rounds, so that whatever else the machine does hits all alike.
//
//	go run -C bench .            # from the root; about six minutes
//	go run -C bench . -quick     # about one minute, for a first look
//
// It prints Markdown, and with -out DIR writes it there with the raw figures
// and a chart. All traffic stays on the loopback interface.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	var (
		cfg    config
		out    = flag.String("out", "", "directory for results.md, results.csv and chart.svg")
		quick  = flag.Bool("quick", false, "fewer and shorter rounds")
		only   = flag.String("only", "", "only the scenarios whose name contains this")
		serve  = flag.Bool("server", false, "internal: be the server")
		idle   = flag.String("idle-client", "", "internal: be the process with idle connections of this library")
		idleN  = flag.Int("idle-n", 0, "internal: how many")
		target = flag.String("target", "", "internal: the server's base URL")
	)
	flag.Parse()
	if *serve {
		fatal(runServer())
		return
	}
	if *idle != "" {
		fatal(runIdleClient(*idle, *idleN, *target))
		return
	}
	cfg = config{rounds: 7, duration: 700 * time.Millisecond, idle: []int{2000, 10000}, only: *only}
	if *quick {
		cfg = config{rounds: 3, duration: 200 * time.Millisecond, idle: []int{2000}, only: *only}
	}
	fatal(run(cfg, *out))
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type config struct {
	rounds   int
	duration time.Duration // of one measurement
	idle     []int         // numbers of idle clients
	only     string
}

func (c *config) wants(name string) bool { return strings.Contains(name, c.only) }

func run(cfg config, out string) error {
	srv, err := startServer()
	if err != nil {
		return err
	}
	defer srv.stop()
	ctx := context.Background()

	var r report
	r.note("%s, %d CPUs, %s/%s, %s", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		time.Now().UTC().Format("2006-01-02"))
	for _, transport := range []string{"TCP", "TLS"} {
		for _, s := range throughput {
			if name := transport + ", " + s.name; cfg.wants(name) {
				log.Printf("%s", name)
				if err := measure(ctx, cfg, &r, srv.url(transport), name, s); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	for _, n := range cfg.idle {
		if name := fmt.Sprintf("%d idle clients", n); cfg.wants(name) {
			log.Print(name)
			if err := measureIdle(ctx, &r, srv.url("TCP"), name, n); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if name := "recovery"; cfg.wants(name) {
		log.Print(name)
		if err := measureRecovery(ctx, cfg, &r, srv.url("TCP")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}

	text := r.markdown()
	fmt.Print(text)
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for file, data := range map[string]string{
		"results.md":  text,
		"results.csv": r.csv(),
		"chart.svg":   r.chart(),
	} {
		if err := os.WriteFile(filepath.Join(out, file), []byte(data), 0o644); err != nil {
			return err
		}
	}
	return nil
}
