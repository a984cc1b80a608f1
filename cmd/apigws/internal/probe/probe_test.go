package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"go/format"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/sigv4"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// probeFake probes a fake gateway in a bubble, where a quarter of an hour takes
// no time.
func probeFake(t *testing.T, cfg *gatewaytest.Config, interval, interrupt time.Duration) *report {
	t.Helper()
	gw := gatewaytest.NewInMemory(cfg)
	defer gw.Close()
	// Some way to the gateway: a PONG that takes no time at all would not be
	// told from one that never comes.
	gw.SetFaults(gatewaytest.Faults{Latency: 30 * time.Millisecond})
	p := &probe{
		url: gw.URL, opts: apigws.Options{HTTPClient: gw.Client()}, message: []byte(`{"action":"ping"}`),
		watch: 15 * time.Minute, interval: interval, scale: 1, oversize: true,
	}
	ctx := t.Context()
	if interrupt > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, interrupt)
		defer cancel()
	}
	r, err := p.run(ctx, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProbe(t *testing.T) {
	const early = "It is too early to tell"
	for _, tt := range []struct {
		name      string
		cfg       gatewaytest.Config
		interval  time.Duration
		interrupt time.Duration
		want      []string // in the report
		not       string
	}{
		{
			name: "two minutes",
			want: []string{
				"| silent | 2m | cut: 1001 \"Going away\" | 0 messages | 0 messages |",
				"| one message, after 1m | 3m | cut: 1001 \"Going away\" | 1 message | 1 message |",
				"| a PING every 1m | 15m | still open | 14 PINGs | 0 messages |",
				"| a message every 1m | 15m | still open | 15 messages | 15 messages |",
				"- A message counts: one after 1m moved the cut to 3m.",
				"- PINGs are answered, 14 of 14. Round trips: 30ms to 30ms, median 30ms.",
				"- PINGs count as activity.",
				"- A frame of 32768 bytes passes.",
				"- A frame of 32769 bytes closes the connection: 1009 \"Max frame length of 32768 has been exceeded.\".",
				"Limits:    apigws.Limits{Idle: 2 * time.Minute}",
				"Keepalive: apigws.Keepalive{Interval: 55 * time.Second}",
			},
		},
		{
			name: "ten minutes, without a close frame",
			cfg:  gatewaytest.Config{Idle: 10 * time.Minute, AbruptIdle: true},
			want: []string{
				"| silent | 10m | cut: 1006, no close frame |",
				"Limits:    apigws.Limits{Idle: 10 * time.Minute}",
				"Keepalive: apigws.Keepalive{Interval: 295 * time.Second}",
			},
		},
		{
			name:     "PINGs that do not count",
			cfg:      gatewaytest.Config{IgnorePings: true},
			interval: 50 * time.Second,
			want: []string{
				"| a PING every 50s | 2m | cut: 1001 \"Going away\" | 2 PINGs |",
				"- PINGs are answered, 2 of 2.",
				"- PINGs do not count as activity.",
				"Keepalive: apigws.Keepalive{Interval: 55 * time.Second, Message: []byte(`{\"action\":\"ping\"}`)}",
			},
		},
		{
			name: "PINGs without an answer",
			cfg:  gatewaytest.Config{SilentPings: true},
			want: []string{
				"- PINGs are not answered: 14 were sent, no PONG came.",
				"- A frame of 32768 bytes left the connection open; no PONG tells more.",
				"at least every 55s",
				"Keepalive: apigws.Keepalive{Disabled: true}",
			},
		},
		{
			name:     "eight seconds",
			cfg:      gatewaytest.Config{Idle: 8 * time.Second},
			interval: 3 * time.Second,
			want: []string{
				"two fit into the 8s,",
				"Limits:    apigws.Limits{Idle: 8 * time.Second}",
				"Keepalive: apigws.Keepalive{Interval: 2 * time.Second}",
			},
		},
		{
			name:     "less than a second",
			cfg:      gatewaytest.Config{Idle: 800 * time.Millisecond, IgnorePings: true},
			interval: 300 * time.Millisecond,
			want: []string{
				"- Messages at intervals of 300ms hold the connection.",
				"Limits:    apigws.Limits{Idle: 800 * time.Millisecond}",
				"Keepalive: apigws.Keepalive{Interval: 200 * time.Millisecond, Message: []byte(`{\"action\":\"ping\"}`)}",
			},
		},
		{
			name: "no limit",
			cfg:  gatewaytest.Config{Idle: -1},
			want: []string{"- A silent connection was still open after 15m.", "Nothing was cut in 15m"},
		},
		{
			name:     "too long an interval",
			interval: 3 * time.Minute,
			want:     []string{"- Messages at intervals of 3m do not hold", "Nothing held the connection at intervals of 3m."},
			not:      "A single message", // none was sent
		},
		{
			name: "no route",
			cfg:  gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"chat": gatewaytest.Silent}},
			want: []string{"- The gateway answered 16 messages with the error frame \"Forbidden\""},
		},
		{
			name:      "interrupted before the cut",
			interrupt: 90 * time.Second,
			want: []string{
				"**Interrupted after 1m30s of 15m: this report is partial.**",
				"| silent | 1m30s | still open |",
				early,
			},
		},
		{
			name:      "interrupted just after the cut",
			interrupt: 2*time.Minute + 10*time.Second,
			want:      []string{"| silent | 2m | cut: 1001 \"Going away\" |", "| a PING every 1m | 2m10s | still open |", early},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.interval == 0 {
					tt.interval = time.Minute
				}
				r := probeFake(t, &tt.cfg, tt.interval, tt.interrupt)
				got := r.markdown()
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("no %q in:\n%s", want, got)
					}
				}
				if tt.not != "" && strings.Contains(got, tt.not) {
					t.Errorf("there is %q in:\n%s", tt.not, got)
				}
				_, code := r.advice()
				if formatted, err := format.Source([]byte(code)); err != nil || string(formatted) != code {
					t.Errorf("what to set is not as gofmt writes it (%v):\n%s", err, code)
				}
			})
		})
	}
}

// A limit of 0 would mean the default, and an interval must be below its limit.
func TestAdviceIsNeverZero(t *testing.T) {
	var cut error = &apigws.CloseError{Code: 1001}
	for idle := time.Millisecond; idle < time.Hour; idle += idle/7 + 1 {
		limit := roundDown(idle)
		interval := keepaliveInterval(limit)
		if interval <= 0 || interval >= limit || limit > idle {
			t.Errorf("cut after %v: Idle %v, Interval %v", idle, limit, interval)
		}
		r := &report{interval: idle / 2, message: []byte("ping"),
			silent: outcome{cut: cut, lived: idle},
			pings:  outcome{lived: 2 * idle, sent: []sending{{ping: true, rtt: 1}}},
		}
		if text, code := r.advice(); strings.Contains(code, " 0 *") || strings.Contains(text, " 0s") {
			t.Errorf("cut after %v:\n%s\n%s", idle, text, code)
		}
	}
}

// What the command's comment says of its traffic.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, oversize := range []bool{false, true} {
			gw := gatewaytest.NewInMemory(nil)
			p := &probe{
				url: gw.URL, opts: apigws.Options{HTTPClient: gw.Client()}, message: []byte("ping"),
				watch: 15 * time.Minute, interval: time.Minute, scale: 1, oversize: oversize,
			}
			if _, err := p.run(t.Context(), io.Discard); err != nil {
				t.Fatal(err)
			}
			gw.Close()
			short := 1
			if oversize {
				short = 2
			}
			s := gw.Stats()
			if s.Accepted != 4+short || s.Messages != 16+1 {
				t.Errorf("oversize %v: %+v", oversize, s)
			}
		}
	})
}

// What a gateway says must not become part of a picture's or a table's syntax.
func TestHostileReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := probeFake(t, &gatewaytest.Config{
			Closing: func(cause gatewaytest.Cause, code int, reason string) (int, string) {
				return code, "<script>|&\"\n"
			},
		}, time.Minute, 0)
		svg := r.timeline()
		marks := make(map[string]int)
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in:\n%s", err, svg)
			}
			if e, ok := token.(xml.StartElement); ok {
				marks[e.Name.Local]++
			}
		}
		// What was sent, and one more of each in the legend; PINGs are among the lines.
		if marks["script"] != 0 || marks["circle"] != 1+15+1 || marks["path"] != 2*(2+1) {
			t.Errorf("elements: %v", marks)
		}
		if got, want := r.markdown(), `| silent | 2m | cut: 1001 "<script>\|&\"\n" |`; !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	})
}

func TestRedraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The cut, and then the end, come between two pictures.
		gw := gatewaytest.NewInMemory(&gatewaytest.Config{Idle: 2*time.Minute + 100*time.Millisecond})
		defer gw.Close()
		p := &probe{url: gw.URL, opts: apigws.Options{HTTPClient: gw.Client()}, watch: 3 * time.Minute, scale: 1}
		s := &subject{name: "silent", first: -1}
		if err := p.connect(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		defer s.client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+200*time.Millisecond)
		defer cancel()
		go p.observe(ctx, s)
		var out bytes.Buffer
		p.redraw(ctx, []*subject{s}, &out)

		drawn := strings.Split(out.String(), "\x1b[1A") // each over the one before
		if n := len(drawn); n < 2*60*4 {
			t.Errorf("drawn %d times in two minutes", n)
		}
		const want = "\x1b[2Ksilent                     ====================x           cut after 2m: 1001 \"Going away\"\n"
		if last := drawn[len(drawn)-1]; last != want {
			t.Errorf("at the end:\n%q, want\n%q", last, want)
		}
	})
}

// execute runs the command as a user does.
func execute(ctx context.Context, out, progress io.Writer, args ...string) error {
	cmd := Command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.Flags().Bool("json", false, "") // of the root command
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(progress)
	return cmd.ExecuteContext(ctx)
}

// Over loopback, as a user runs it. What is fast here may be late, so times are of no interest.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var out, progress bytes.Buffer
	err := execute(t.Context(), &out, &progress, "--fake", "--scale", "200", "--for", "3m", "--out", dir)
	if err != nil {
		t.Fatal(err)
	}
	contains := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in:\n%s", want, text)
			}
		}
	}
	contains(progress.String(), " of 4 open\n", "silent: cut after ", "written: ")
	contains(out.String(), "# Probe of a gateway", "1009 \"Max frame length of 32768 has been exceeded.\"",
		"    apigws probe --fake --for 3m0s --out ")
	for name, want := range map[string]string{"report.md": "![Who was cut when](timeline.svg)", "timeline.svg": "</svg>"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		contains(string(b), want)
	}
}

func TestRunJSON(t *testing.T) {
	var out bytes.Buffer
	if err := execute(t.Context(), &out, io.Discard, "--fake", "--scale", "1000", "--for", "3m", "--json"); err != nil {
		t.Fatal(err)
	}
	var got data
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Clients) != 4 || got.Clients[0].Name != "silent" || got.Clients[0].Cut == "" || len(got.Findings) == 0 {
		t.Errorf("%+v", got)
	}
}

// gateway starts a gateway on loopback.
func gateway(t *testing.T, cfg *gatewaytest.Config) *gatewaytest.Server {
	gw := gatewaytest.NewServer(cfg)
	t.Cleanup(gw.Close)
	return gw
}

func TestRunTellsNoSecrets(t *testing.T) {
	var token, header string
	gw := gatewaytest.NewServer(&gatewaytest.Config{Authorize: func(req *http.Request) int {
		token, header = req.URL.Query().Get("token"), req.Header.Get("X-Token")
		return http.StatusOK
	}})
	defer gw.Close()
	var out bytes.Buffer
	if err := execute(t.Context(), &out, &out, gw.URL+"?token=secret1", "-H", "X-Token: secret2", "--for", "100ms"); err != nil {
		t.Fatal(err)
	}
	gw.Close()
	if token != "secret1" || header != "secret2" {
		t.Errorf("the gateway got %q and %q", token, header)
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a secret in:\n%s", out.String())
	}
	if want := "apigws probe " + gw.URL + " --for 100ms --header '...'\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in:\n%s", want, out.String())
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--interval", "0s", "--fake"},
		{"--for", "-1s", "--fake"},
		{"--scale", "0", "--fake"},
		{"-H", "no colon", "ws://127.0.0.1:1/prod"},
		{"URL"},
		{"URL", "wss://secret:\n@example.org"},
	} {
		given := args
		if args[0] == "URL" {
			given = args[1:]
		}
		err := execute(t.Context(), io.Discard, io.Discard, given...)
		var coded *cli.Error
		if !errors.As(err, &coded) || coded.Code != cli.Usage || !strings.Contains(err.Error(), args[0]) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v, want exit code 2, an error that names %s and no secret", args, err, args[0])
		}
	}
}

func TestRunNotConnected(t *testing.T) {
	gw := gateway(t, nil)
	gw.Refuse(http.StatusForbidden, -1)
	err := execute(t.Context(), io.Discard, io.Discard, gw.URL)
	var coded *cli.Error
	if !errors.As(err, &coded) || coded.Code != cli.NotConnected || !strings.Contains(coded.Hint, "--iam") {
		t.Errorf("%v, want exit code 3 and a hint", err)
	}
}

// Ctrl-C leaves a report of what was seen so far.
func TestRunInterrupted(t *testing.T) {
	gw := gateway(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := writerFunc(func(p []byte) (int, error) { // the first line of progress
		cancel()
		return len(p), nil
	})
	var out bytes.Buffer
	err := execute(ctx, &out, begun, gw.URL)
	var coded *cli.Error
	if !errors.As(err, &coded) || coded.Code != cli.Interrupted || !strings.Contains(out.String(), "this report is partial") {
		t.Errorf("%v, want exit code 130 and a report:\n%s", err, out.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRunSigns(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	verifier := &sigv4.Verifier{
		Region:      "eu-west-1",
		Credentials: []aws.Credentials{{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "a secret"}},
	}
	gw := gateway(t, &gatewaytest.Config{Authorize: verifier.Authorize})
	if err := execute(t.Context(), io.Discard, io.Discard, gw.URL, "--region", "eu-west-1", "--for", "100ms"); err != nil {
		t.Error(err)
	}
}
