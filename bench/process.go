package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

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
