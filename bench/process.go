package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A task is what a process of its own is started for. Exactly one field is set.
type task struct {
	Idle   *idleTask   `json:",omitempty"`
	Pinned *pinnedTask `json:",omitempty"`
	Scale  *scaleTask  `json:",omitempty"`
}

// inChild lets a child of this process do a task, and returns what that has recorded. start is
// nil, or starts the child in place of cmd.Start.
func inChild(ctx context.Context, t task, start func(*exec.Cmd) error) ([]record, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	arg, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-task", string(arg))
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(text.String()))
	}
	var records []record
	return records, json.Unmarshal(out.Bytes(), &records)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// runTask is the child.
func runTask(ctx context.Context, arg string) error {
	var t task
	if err := json.Unmarshal([]byte(arg), &t); err != nil {
		return err
	}
	r := new(report)
	var err error
	switch {
	case t.Idle != nil:
		err = runIdle(ctx, *t.Idle, r)
	case t.Pinned != nil:
		err = runPinned(ctx, *t.Pinned, r)
	case t.Scale != nil:
		err = runScale(ctx, *t.Scale, r)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r.records)
}

// A server is the process that runs runServer.
type server struct {
	cmd        *exec.Cmd
	stdin      io.Closer
	plain, tls string // addresses
}

func startServer() (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-server")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, stdin: stdin}
	if _, err := fmt.Fscan(stdout, &s.plain, &s.tls); err != nil {
		s.stop()
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

// url returns where the server listens, as the beginning of a URL.
func (s *server) url(transport string) string {
	if transport == "TLS" {
		return "wss://" + s.tls
	}
	return "ws://" + s.plain
}

// stop ends the server's input, and with it the server.
func (s *server) stop() {
	s.stdin.Close()
	s.cmd.Wait()
}
