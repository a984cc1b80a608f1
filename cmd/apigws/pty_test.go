//go:build unix

package main

import (
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
)

// A screen is a pseudo-terminal with the program on it.
type screen struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	tty    *os.File
	before *term.State // of the terminal
	output chan string
	text   string // all that was seen
	seen   int    // of text by want
}

func onTerminal(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); tty.Close() })
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // gets SIGWINCH
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, cmd: cmd, master: master, tty: tty, before: before, output: make(chan string, 1000)}
	go func() { // ends when master is closed
		for buf := make([]byte, 4096); ; {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			s.output <- string(buf[:n])
		}
	}()
	return s
}

func (s *screen) typed(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// want waits until text is on the screen, after what was waited for before.
func (s *screen) want(text string) {
	s.t.Helper()
	for {
		if i := strings.Index(s.text[s.seen:], text); i >= 0 {
			s.seen += i + len(text)
			return
		}
		select {
		case more := <-s.output:
			s.text += more
		case <-time.After(time.Minute): // never, unless it fails
			s.t.Fatalf("no %q on the screen after %q", text, s.text)
		}
	}
}

// exit waits for the end of the program, and checks that the terminal is as it was.
func (s *screen) exit(code int) {
	s.t.Helper()
	if got := exitCode(s.t, s.cmd.Wait()); got != code {
		s.t.Errorf("exit code %d, want %d; on the screen: %q", got, code, s.text)
	}
	after, err := term.GetState(int(s.tty.Fd()))
	if err != nil || !reflect.DeepEqual(after, s.before) {
		s.t.Errorf("the terminal is not as it was: %v", err)
	}
}

func TestTerminal(t *testing.T) {
	gw := newGateway(t, nil)
	s := onTerminal(t, command(t, "connect", gw.URL+"?token=secret1", "-H", "X-Token: secret2"))
	s.want("connected")
	s.typed("hello\r")
	s.want("< \x1b[0mhello\r\n")
	s.typed("half a li")
	s.want("half a li")
	gw.Conns()[0].Send([]byte("pushed"))
	s.want("pushed\r\n> half a li") // above the prompt
	s.typed("ne\r")
	s.want("\x1b[0mhalf a line\r\n")
	s.typed("\x1b[A\r") // the line before
	s.want("\x1b[0mhalf a line\r\n")
	s.typed("/ping\r")
	s.want("PONG after")
	s.typed("/rotate\r")
	s.want("rotated to connection 2")
	s.typed("/stats\r")
	s.want("rotations 1;")
	s.typed("/quit\r")
	s.exit(0)
	if strings.Contains(s.text, "secret") {
		t.Errorf("a secret is on the screen: %q", s.text)
	}
}

func TestTerminalKicked(t *testing.T) {
	gw := newGateway(t, nil)
	s := onTerminal(t, command(t, "connect", gw.URL))
	s.want("connected")
	gw.Conns()[0].Close(1000, "Connection Closed Normally")
	s.want(`connection lost: closed by the gateway: 1000 "Connection Closed Normally"`)
	s.want("connected again after")
	s.typed("hello\r")
	s.want("hello\r\n")
	s.want("< \x1b[0mhello\r\n")
	s.typed("\x04") // Ctrl-D
	s.exit(0)
}

func TestTerminalIdleCut(t *testing.T) {
	gw := newGateway(t, &gatewaytest.Config{Idle: 200 * time.Millisecond}) // long before a PING
	s := onTerminal(t, command(t, "connect", gw.URL))
	for range 2 {
		s.want(`connection lost: closed by the gateway: 1001 "Going away"`)
		s.want("connected again after")
	}
	s.typed("\x03") // Ctrl-C
	s.exit(0)
}

func TestTerminalRefused(t *testing.T) {
	gw := newGateway(t, nil)
	gw.Refuse(403, -1)
	s := onTerminal(t, command(t, "connect", gw.URL))
	// In place of the prompt.
	s.want("\r\x1b[Kapigws: the gateway refused the handshake: 403 Forbidden\r\n")
	s.want("--iam")
	s.exit(cli.NotConnected)
}

func TestTerminalSigned(t *testing.T) {
	gw := newGateway(t, iamGateway())
	s := onTerminal(t, command(t, "connect", gw.URL, "--region", "eu-west-1"))
	s.want("connected")
	gw.Conns()[0].Drop()
	s.want("connected again after")
	s.typed("/quit\r")
	s.exit(0)
}

func TestTerminalLongPaste(t *testing.T) {
	gw := newGateway(t, nil)
	s := onTerminal(t, command(t, "connect", gw.URL))
	s.want("connected")
	// In the background, because what is echoed must be read meanwhile.
	go s.master.WriteString("\x1b[200~" + strings.Repeat("x", 40<<10) + "\x1b[201~\r")
	s.want("< \x1b[0m" + strings.Repeat("x", 40<<10))
	s.typed("/quit\r")
	s.exit(0)
}

// The line editor wraps lines where the terminal ends, also when that changes.
func TestTerminalSize(t *testing.T) {
	gw := newGateway(t, nil)
	s := onTerminal(t, command(t, "connect", gw.URL))
	s.want("connected")
	s.want("> ")
	if err := pty.Setsize(s.master, &pty.Winsize{Rows: 24, Cols: 20}); err != nil {
		t.Fatal(err)
	}
	s.want("> ") // drawn anew
	s.typed(strings.Repeat("x", 18) + "yy")
	s.want("x\r\nyy")
	s.typed("\r/quit\r")
	s.exit(0)
}

// A terminal that knows no control sequences gets none: each line that is typed is a message.
func TestDumbTerminal(t *testing.T) {
	gw := newGateway(t, nil)
	cmd := command(t, "connect", gw.URL)
	cmd.Env = append(cmd.Env, "TERM=dumb")
	s := onTerminal(t, cmd)
	s.want("apigws: connected")
	s.typed("hello\n")
	s.want("hello\r\nhello\r\n") // the terminal's own echo, and the message
	s.typed("\x04")
	s.exit(0)
	if strings.Contains(s.text, "\x1b") {
		t.Errorf("a control sequence is on the screen: %q", s.text)
	}
}

func TestTerminalWithoutColours(t *testing.T) {
	gw := newGateway(t, nil)
	cmd := command(t, "connect", gw.URL)
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	s := onTerminal(t, cmd)
	s.want("connected")
	s.typed("hello\r")
	s.want("< hello\r\n")
	s.typed("/quit\r")
	s.exit(0)
	for _, colour := range []string{"\x1b[0m", "\x1b[3", "\x1b[2m"} {
		if strings.Contains(s.text, colour) {
			t.Errorf("%q is on the screen: %q", colour, s.text)
		}
	}
}
