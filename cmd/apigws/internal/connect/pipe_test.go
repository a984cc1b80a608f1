package connect

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
)

func TestPipeSendsLinesAndPrintsMessages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "a\r\n\n{\"b\":1}\nc") // the echo sends each back
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
		if got, want := p.out.String(), "a\n{\"b\":1}\nc\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
		p.wantErr(t, "apigws: connected\n")
	})
}

// The silence of three hours has the idle limit of two minutes in it 90 times, and the two hours of
// a connection once.
func TestPipeOutlivesIdleLimitAndLifetime(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "before\n")
		time.Sleep(3 * time.Hour)
		p.write(t, "after\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
		if got, want := p.out.String(), "before\nafter\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
		p.wantErr(t, "rotated to connection 2")
		if strings.Contains(p.errs.String(), "lost") {
			t.Errorf("a connection was lost:\n%s", p.errs.String())
		}
	})
}

func TestPipeSurvivesKick(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "before\n")
		time.Sleep(time.Minute) // a keepalive has had the line acknowledged
		gw.Conns()[0].Close(1000, "Connection Closed Normally")
		time.Sleep(time.Second)
		p.write(t, "after\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
		if got, want := p.out.String(), "before\nafter\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
		p.wantErr(t, `connection lost: closed by the gateway: 1000 "Connection Closed Normally"`,
			"connected again")
	})
}

// With --resend the gateway has everything, whatever the cut has swallowed.
func TestPipeResends(t *testing.T) {
	cfg := &gatewaytest.Config{}
	received := recorder(cfg)
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.resend = true })
		p.write(t, "one\n")
		time.Sleep(time.Second)
		gw.Conns()[0].FreezeIn(true) // the line goes into the void
		p.write(t, "two\n")
		time.Sleep(time.Second)
		gw.Conns()[0].Drop()
		p.write(t, "three\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
		if got := strings.Join(received(), " "); !strings.HasSuffix(got, "two three") {
			t.Errorf("the gateway has %q, want it to end with two three", got)
		}
	})
}

func TestPipeTellsLoss(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "one\n")
		time.Sleep(time.Second)
		gw.Conns()[0].FreezeIn(true)
		p.write(t, "two\n")
		time.Sleep(time.Second)
		gw.Conns()[0].Drop()
		if code := p.end(); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4:\n%s", code, p.errs.String())
		}
		p.wantErr(t, "did not acknowledge every message", "--resend")
	})
}

// A gateway without PONGs acknowledges nothing.
func TestPipeWithoutPongs(t *testing.T) {
	bubble(t, &gatewaytest.Config{SilentPings: true}, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "one\n")
		if code := p.end(); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4:\n%s", code, p.errs.String())
		}
	})
}

// wscat sends 40 KB as one frame, and is closed with 1009.
func TestPipeLongLine(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		line := strings.Repeat("x", 40<<10)
		p := start(t, gw, nil)
		p.write(t, line+"\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
		if got := p.out.String(); got != line+"\n" {
			t.Errorf("%d bytes came back, want %d", len(got), len(line)+1)
		}
		if closed := gw.Stats().Closed[1009]; closed > 0 {
			t.Errorf("%d connections closed with 1009", closed)
		}
	})
}

func TestPipeSkipsWhatCannotBeSent(t *testing.T) {
	cfg := &gatewaytest.Config{}
	received := recorder(cfg)
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, strings.Repeat("x", 200_000)+"\nb\n\xff\nd\n"+strings.Repeat("y", 128<<10)+"\r\n")
		if code := p.end(); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4", code)
		}
		p.wantErr(t, "line 1 was not sent: 200000 bytes exceed the limit of 131072",
			"line 3 was not sent: message is not valid UTF-8", "2 of 5 messages were not sent")
		got := received()
		if len(got) != 3 || got[0] != "b" || got[1] != "d" || len(got[2]) != 128<<10 {
			t.Errorf("the gateway has %d messages, want b, d and one of 128 KiB", len(got))
		}
	})
}

func TestPipeRefused(t *testing.T) {
	for _, tt := range []struct {
		status int
		iam    bool
		hint   string
	}{
		{401, false, "-H \"Authorization"},
		{403, false, "--iam"},
		{404, false, "stage"},
	} {
		bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			gw.Refuse(tt.status, -1)
			p := start(t, gw, nil)
			if code := p.code(<-p.result); code != cli.NotConnected {
				t.Errorf("status %d: exit code %d, want 3", tt.status, code)
			}
			p.wantErr(t, "the gateway refused the handshake: "+strconv.Itoa(tt.status), tt.hint)
			if p.out.String() != "" {
				t.Errorf("status %d: standard output %q", tt.status, p.out.String())
			}
		})
	}
}

// The end comes while the input is silent: nothing more has to be typed for it.
func TestPipeRefusedLater(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "before\n")
		time.Sleep(time.Minute)
		gw.Refuse(403, -1)
		gw.Conns()[0].Drop()
		if code := p.code(<-p.result); code != cli.NotConnected {
			t.Errorf("exit code %d, want 3", code)
		}
		p.wantErr(t, "403 Forbidden")
	})
}

func TestPipeGivesUpAfterTimeout(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Refuse(503, -1)
		begun := time.Now()
		p := start(t, gw, nil)
		if code := p.code(<-p.result); code != cli.NotConnected {
			t.Errorf("exit code %d, want 3", code)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("gave up after %v, want 1m", took)
		}
		p.wantErr(t, "no connection in time", "503")
	})
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) { // later
		p := start(t, gw, nil)
		p.write(t, "before\n")
		time.Sleep(time.Minute)
		gw.Refuse(503, -1)
		gw.Conns()[0].Drop()
		time.Sleep(time.Hour) // nothing is to be sent: no reason to give up
		p.write(t, "after\n")
		if code := p.code(<-p.result); code != cli.NotConnected {
			t.Errorf("exit code %d, want 3", code)
		}
		p.wantErr(t, "no connection for 1m0s: line 2 was not sent")
	})
}

func TestPipeErrorFrame(t *testing.T) {
	cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{}}
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "{\"action\":\"nope\"}\n")
		if code := p.end(); code != cli.GatewayError {
			t.Errorf("exit code %d, want 5", code)
		}
		p.wantErr(t, `the gateway answered "Forbidden": no route takes the message`)
	})
}

func TestPipeInterrupted(t *testing.T) {
	cfg := &gatewaytest.Config{}
	received := recorder(cfg)
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.wait = -1 })
		p.write(t, "one\n")
		time.Sleep(time.Second)
		p.interrupt()
		if code := p.code(<-p.result); code != cli.Interrupted {
			t.Errorf("exit code %d, want 130", code)
		}
		if got := received(); len(got) != 1 {
			t.Errorf("the gateway has %q", got)
		}
		if closed := gw.Stats().Closed[1000]; closed != 1 {
			t.Errorf("%d connections closed with 1000, want 1", closed)
		}
	})
}

func TestPipeInterruptedTellsLoss(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "one\n")
		time.Sleep(time.Minute)
		gw.Conns()[0].FreezeIn(true)
		p.write(t, "two\n")
		time.Sleep(time.Second)
		p.interrupt()
		if code := p.code(<-p.result); code != cli.Interrupted {
			t.Errorf("exit code %d, want 130", code)
		}
		p.wantErr(t, "not acknowledged: ")
	})
}

// What comes late is printed for --wait, and not a moment longer.
func TestPipeWaits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.wait, c.messages = wait(10*time.Second), []string{"asked"} })
		time.Sleep(9 * time.Second)
		gw.Conns()[0].Send([]byte("late"))
		if code := p.code(<-p.result); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if got, want := p.out.String(), "asked\nlate\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
	})
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.wait = -1 })
		p.in.Close()
		for range 3 {
			time.Sleep(time.Hour)
			gw.Conns()[0].Send([]byte("late"))
		}
		synctest.Wait()
		p.interrupt()
		<-p.result
		if got, want := p.out.String(), "late\nlate\nlate\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
	})
}

// A pipe that nobody reads any more ends the command.
func TestPipeOutputGone(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := &config{url: gw.URL, httpClient: gw.Client(), wait: -1, timeout: time.Minute, messages: []string{"a"}}
		r, w := io.Pipe()
		r.Close()
		err := c.run(t.Context(), strings.NewReader(""), w, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "printing a message") {
			t.Errorf("error %v", err)
		}
	})
}

// The token of a handshake is the one that the command prints at that moment.
func TestHeaderCommandRunsBeforeEachHandshake(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	set := func(value string) {
		if err := os.WriteFile(token, []byte("Authorization: Bearer "+value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	valid := "first-token"
	cfg := &gatewaytest.Config{Authorize: func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+valid {
			return 401
		}
		return 200
	}}
	set("first-token")
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.handshake.HeaderCommand = "cat '" + token + "'" })
		p.write(t, "before\n")
		time.Sleep(time.Minute)
		mu.Lock()
		valid = "second-token"
		mu.Unlock()
		set("second-token")
		gw.Conns()[0].Drop()
		p.write(t, "after\n")
		time.Sleep(time.Minute)
		p.end()
		if got, want := p.out.String(), "before\nafter\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
		if text := p.errs.String(); strings.Contains(text, "-token") {
			t.Errorf("a token is in standard error:\n%s", text)
		}
	})
}

func TestHeaderCommandFails(t *testing.T) {
	for command, want := range map[string]string{
		"exit 3":         "--header-command failed: exit status 3",
		"echo secret-me": "line 1 of what it printed",
	} {
		bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			p := start(t, gw, func(c *config) { c.handshake.HeaderCommand = command })
			if code := p.code(<-p.result); code != cli.Usage {
				t.Errorf("%s: exit code %d, want 2", command, code)
			}
			p.wantErr(t, want)
			if strings.Contains(p.errs.String(), "secret-me") {
				t.Errorf("what it printed is in standard error:\n%s", p.errs.String())
			}
		})
	}
}

// Neither headers nor the query are printed, whatever goes wrong and however much is logged.
func TestPipeKeepsSecrets(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) {
			c.url += "?token=secret-query"
			c.handshake.Headers = []string{"Authorization: secret-header"}
			c.verbose = true
		})
		p.write(t, "before\n")
		time.Sleep(time.Minute)
		gw.Refuse(500, 3)
		gw.Conns()[0].Drop()
		time.Sleep(time.Minute)
		gw.Refuse(403, -1)
		gw.Conns()[0].Drop()
		<-p.result
		if text := p.errs.String(); strings.Contains(text, "secret") || !strings.Contains(text, "level=") {
			t.Errorf("a secret is in standard error, or no log:\n%s", text)
		}
	})
}

func TestPipeJSON(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.json = true })
		p.write(t, "a\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if got := p.out.String(); !strings.Contains(got, `"type":"message","data":"a"}`) {
			t.Errorf("standard output %s", got)
		}
		p.wantErr(t, `"type":"state","state":"open","connection":1}`)
	})
}
