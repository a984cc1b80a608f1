package connect

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
)

// open runs connect with a prompt on a terminal, which what is written to it is typed on.
func open(t *testing.T, gw *gatewaytest.Server, change func(*config)) *piped {
	t.Helper()
	c := &config{url: gw.URL, httpClient: gw.Client(), timeout: time.Minute}
	if change != nil {
		change(c)
	}
	in, w := io.Pipe()
	p := &piped{in: w, result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	p.interrupt = cancel
	go func() {
		defer in.Close()
		tty := newPrompt(struct {
			io.Reader
			io.Writer
		}{in, &p.out}, c.history)
		above := abovePrompt{&p.out, tty}
		p.printer = &printer{out: above, events: above, json: c.json, incoming: "< ", outTerminal: true, eventsTerminal: true}
		p.result <- c.interactive(ctx, tty, p.printer)
	}()
	synctest.Wait()
	return p
}

// keys types, and returns what is on the screen from then on until all is quiet.
func (p *piped) keys(t *testing.T, text string) string {
	t.Helper()
	before := len(p.out.String())
	p.write(t, text)
	synctest.Wait()
	return p.out.String()[before:]
}

func wantIn(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

func TestPromptSendsAndPrints(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		wantIn(t, p.out.String(), "connected\r\n")
		wantIn(t, p.keys(t, "hello\r"), "< hello\r\n")
		if code := p.code(<-p.last(t, "/quit\r")); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if closed := gw.Stats().Closed[1000]; closed != 1 {
			t.Errorf("%d connections closed with 1000, want 1", closed)
		}
	})
}

// last types, and returns what the command ends with.
func (p *piped) last(t *testing.T, text string) <-chan error {
	p.write(t, text)
	return p.result
}

// What comes in stands above the prompt, and what was being typed stays.
func TestPromptKeepsLineBeneathMessages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		p.keys(t, "half a li")
		before := len(p.out.String())
		gw.Conns()[0].Send([]byte("pushed"))
		synctest.Wait()
		// To the first column, clear, print: nothing stays of wide characters either.
		got := p.out.String()[before:]
		if !strings.HasPrefix(got, "\r") || !strings.HasSuffix(got, "\x1b[K< pushed\r\n> half a li") {
			t.Errorf("the screen got %q", got)
		}
		wantIn(t, p.keys(t, "ne\r"), "< half a line\r\n")
		p.code(<-p.last(t, "\x04")) // Ctrl-D
	})
}

func TestPromptCommands(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.SetFaults(gatewaytest.Faults{Latency: 20 * time.Millisecond})
		p := open(t, gw, nil)
		time.Sleep(time.Second)
		command := func(line string, wants ...string) {
			t.Helper()
			before := len(p.out.String())
			p.write(t, line+"\r")
			time.Sleep(time.Second)
			wantIn(t, p.out.String()[before:], wants...)
		}
		command("/ping", "PONG after 20ms")
		command("/rotate", "rotated to connection 2")
		command("/stats", "open: connection 2, open for 1s", "rotations 1;")
		command(`{"a":[1]}`, "< {\"a\":[1]}\r\n")
		command("/json", "are laid out")
		command(`{"a":[1]}`, "< {\r\n  \"a\": [\r\n")
		command("not json", "< not json\r\n")
		command("/json", "as they are")
		command("/help", "/rotate", "/quit")
		command("/nope", "there is no command /nope")
		command("//slash", "< /slash\r\n")
		command("/st\t", "open: connection 2") // completed
		if messages := gw.Stats().Messages; messages != 4 {
			t.Errorf("%d messages were sent, want 4", messages)
		}
		if code := p.code(<-p.last(t, "\x03")); code != 0 { // Ctrl-C
			t.Errorf("exit code %d", code)
		}
	})
}

// The idle limit, the lifetime and lost connections pass while nobody types.
func TestPromptOutlivesConnections(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		time.Sleep(3 * time.Hour)
		wantIn(t, p.out.String(), "rotated to connection 2")
		gw.Conns()[0].Close(1001, "Going away")
		time.Sleep(time.Minute)
		wantIn(t, p.out.String(), `connection lost: closed by the gateway: 1001 "Going away"`, "connected again after")
		wantIn(t, p.keys(t, "still\r"), "< still\r\n")
		p.code(<-p.last(t, "/quit\r"))
	})
}

// A message waits for a connection, and the prompt does not wait for the message.
func TestPromptQueuesWhileThereIsNoConnection(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, -1)
		p := open(t, gw, nil)
		wantIn(t, p.keys(t, "early\r"), "there is no connection: the message waits for one")
		wantIn(t, p.keys(t, "/stats\r"), ": no connection")
		gw.Refuse(0, 0)
		time.Sleep(time.Minute)
		wantIn(t, p.out.String(), "< early\r\n")
		p.code(<-p.last(t, "/quit\r"))
	})
}

// However much waits for a connection, the prompt goes on.
func TestPromptQueueIsBounded(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Hold(true)
		p := open(t, gw, nil)
		const more = 3
		for range 1 + 1000 + more { // the first is taken out of the queue
			p.keys(t, "a\r")
		}
		wantIn(t, p.out.String(), "not sent: 1000 others wait for a connection")
		if code := p.code(<-p.last(t, "/quit\r")); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4", code)
		}
		p.wantErr(t, "1004 messages were not sent")
	})
}

func TestPromptQuitsWithoutConnection(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, -1)
		p := open(t, gw, nil)
		p.keys(t, "never\r")
		begun := time.Now()
		if code := p.code(<-p.last(t, "/quit\r")); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4", code)
		}
		if took := time.Since(begun); took > quitting+5*time.Second {
			t.Errorf("took %v", took)
		}
		p.wantErr(t, "1 messages were not sent")
	})
}

func TestPromptQuitsWithoutAcknowledgement(t *testing.T) {
	bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		p.keys(t, "a\r")
		if code := p.code(<-p.last(t, "/quit\r")); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4", code)
		}
		p.wantErr(t, "did not acknowledge every message", "--resend")
	})
}

func TestPromptRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(403, -1)
		p := open(t, gw, nil)
		if code := p.code(<-p.result); code != cli.NotConnected {
			t.Errorf("exit code %d, want 3", code)
		}
		p.wantErr(t, "403 Forbidden", "--iam")
		p.in.Close()
	})
}

// Up brings back what was typed before, except what began with a space.
func TestPromptHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, func(c *config) { c.history = file })
		p.keys(t, "first\r")
		p.keys(t, " a secret\r")
		wantIn(t, p.keys(t, "\x1b[A\r"), "< first\r\n")
		p.code(<-p.last(t, "/quit\r"))
	})
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "first\n/quit\n" {
		t.Errorf("the history has %q, %v", text, err)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, want 0600", info.Mode())
	}
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) { // the next session
		p := open(t, gw, func(c *config) { c.history = file })
		wantIn(t, p.keys(t, "\x1b[A\x1b[A\r"), "< first\r\n")
		p.code(<-p.last(t, "/quit\r"))
	})
}

// A paste of more than 4096 characters arrives as a whole.
func TestPromptTakesLongPaste(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		long := strings.Repeat("x", 40<<10)
		p.keys(t, "\x1b[200~"+long+"\x1b[201~\r")
		if got := gw.Conns()[0].Received(); len(got) != 1 || string(got[0]) != long {
			t.Errorf("%d messages were received, want one of 40 KiB", len(got))
		}
		p.code(<-p.last(t, "/quit\r"))
	})
}

// A message cannot move the cursor, set the title of the window, or turn the text around.
func TestPromptShowsControlCharacters(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		before := len(p.out.String())
		p.printer.note(dim, "an event with \x1b[2J")
		wantIn(t, p.out.String()[before:], "an event with \\x1b[2J")
		before = len(p.out.String())
		gw.Conns()[0].Send([]byte("a\x1b[2J\rb\u009bc\u202ed\te\n日本"))
		synctest.Wait()
		wantIn(t, p.out.String()[before:], "< a\\x1b[2J\\x0db\\x9bc\\u202ed\te\r\n日本\r\n")
		p.code(<-p.last(t, "/quit\r"))
	})
}

func TestPromptInterrupted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := open(t, gw, nil)
		p.interrupt() // SIGTERM: Ctrl-C is a key here
		if code := p.code(<-p.result); code != cli.Interrupted {
			t.Errorf("exit code %d, want 130", code)
		}
		p.in.Close()
	})
}
