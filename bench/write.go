package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// cpuWrite is the user and system time of the client process for a Write, garbage collection
// included.
const cpuWrite = "CPU ns/Write"

const writeScenario = "memory, write 128 B"

// measureWrites measures what a Write costs before the kernel has it: on a connection in memory
// that takes all at once.
func measureWrites(ctx context.Context, cfg config, _ *server, r *report) error {
	if !cfg.wants(writeScenario) {
		return nil
	}
	p := bytes.Repeat([]byte("x"), 128)
	err := interleave(cfg.chosen(withFloor), cfg.rounds, func(lib library) error {
		over := newStub()
		over.forgetful = true
		s := usual
		s.over = over
		c, err := lib.dial(ctx, "ws://127.0.0.1/", s, func([]byte) {})
		if err != nil {
			return err
		}
		defer c.close()
		n := 0
		cpuBefore, start := cpuTime(), time.Now()
		for time.Since(start) < cfg.duration {
			for range 1000 {
				if err := c.write(p); err != nil {
					return err
				}
			}
			n += 1000
		}
		r.add(writeScenario, lib.name, cpuWrite, float64((cpuTime()-cpuBefore).Nanoseconds())/float64(n))
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", writeScenario, err)
	}
	return nil
}
