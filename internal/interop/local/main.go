//go:build unix

// Command local runs the commands of a document as they stand there, and compares what they print.
// A block of "sh" is run and must succeed; one of "sh background" goes on until the end, and one of
// "sh by hand" is left out. A block of "text" is what the block before it must print, at least:
// each of its lines, in any place. Ports are replaced by free ones, in both.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: local DOCUMENT FOLDER")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1], os.Args[2])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, document, folder string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	text, err = freePorts(text)
	if err != nil {
		return err
	}
	r := runner{folder: folder}
	defer r.end()
	for _, b := range blocks(string(text)) {
		if err := r.block(ctx, b); err != nil {
			return fmt.Errorf("line %d: %w", b.line, err)
		}
	}
	return nil
}

// freePorts puts free ports in place of those that the document names.
func freePorts(text []byte) ([]byte, error) {
	var failed error
	given := map[string]string{}
	port := regexp.MustCompile(`\b(127\.0\.0\.1:|functions\.mjs )(\d{4})\b`)
	text = port.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := port.FindSubmatch(match)
		if given[string(parts[2])] == "" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				failed = err
				return match
			}
			defer l.Close()
			_, given[string(parts[2])], _ = net.SplitHostPort(l.Addr().String())
		}
		return append(bytes.Clone(parts[1]), given[string(parts[2])]...)
	})
	return text, failed
}

// A block is fenced in the document.
type block struct {
	line int
	kind string // "sh background" ...
	text string
}

func blocks(document string) []block {
	var all []block
	var open *block
	n := 0
	for line := range strings.Lines(document) {
		n++
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{line: n, kind: strings.TrimSpace(fence)}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return all
}

// A runner runs blocks, one after the other.
type runner struct {
	folder     string
	last       *output // of the last command
	background []*exec.Cmd
}

// An output is what a command has printed so far.
type output struct {
	final bool // nothing more will come

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (r *runner) block(ctx context.Context, b block) error {
	switch b.kind {
	case "sh", "sh background":
		return r.command(ctx, b)
	case "text":
		return r.expect(ctx, b.text)
	}
	return nil // by hand
}

func (r *runner) command(ctx context.Context, b block) error {
	fmt.Print("$ ", b.text)
	r.last = &output{}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", b.text)
	cmd.Dir = r.folder
	cmd.Stdout, cmd.Stderr = r.last, r.last
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end what it starts, too
	if b.kind == "sh background" {
		r.background = append(r.background, cmd)
		if err := cmd.Start(); err != nil {
			return err
		}
		return listening(ctx, b.text)
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, r.last)
	}
	r.last.final = true
	return nil
}

// listening waits until a command in the background listens on the addresses that it is told to
// listen on. One that prints something once it does has a block of text for that.
func listening(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var dialer net.Dialer
	for _, option := range regexp.MustCompile(`-address (127\.0\.0\.1:\d+)`).FindAllStringSubmatch(command, -1) {
		for {
			c, err := dialer.DialContext(ctx, "tcp", option[1])
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("nothing listens: %w", err)
			}
		}
	}
	return nil
}

// expect waits for lines in what the last command prints.
func (r *runner) expect(ctx context.Context, text string) error {
	if r.last == nil {
		return errors.New("there is no command whose output this could be")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for line := range strings.Lines(text) {
		for !strings.Contains(r.last.String(), strings.TrimSuffix(line, "\n")) {
			if r.last.final || ctx.Err() != nil {
				return fmt.Errorf("want %sgot\n%s", line, r.last)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// end stops what runs in the background.
func (r *runner) end() {
	for _, cmd := range r.background {
		if cmd.Process != nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			cmd.Wait()
		}
	}
}
