package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/sigv4"
)

// program is the command, built once for all tests.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "apigws")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "apigws")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// command returns the program with an environment in which the SDK finds testKey and nothing else.
func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=",
		"AWS_ACCESS_KEY_ID="+testKey, "AWS_SECRET_ACCESS_KEY="+testSecret, "AWS_SESSION_TOKEN=", "AWS_PROFILE=",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

// exitCode returns the exit code that the error of exec.Cmd stands for.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return 0
}

func newGateway(t *testing.T, cfg *gatewaytest.Config) *gatewaytest.Server {
	gw := gatewaytest.NewServer(cfg)
	t.Cleanup(gw.Close)
	return gw
}

// iamGateway lets in what testKey has signed.
func iamGateway() *gatewaytest.Config {
	verifier := &sigv4.Verifier{
		Region:      "eu-west-1",
		Credentials: []aws.Credentials{{AccessKeyID: testKey, SecretAccessKey: testSecret}},
	}
	return &gatewaytest.Config{Authorize: verifier.Authorize}
}

// The program in pipes. wscat 6.1.0 exits with status 0 when a line of 40 KB gets 1009, when its
// handshake is refused, and when the pipe has ended before it is connected.
func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    *gatewaytest.Config
		gw     func(*gatewaytest.Server)
		input  string
		flags  []string
		code   int
		stdout string // "-": not compared
		stderr string // is in it
	}{
		{name: "lines", input: "a\nb", stdout: "a\nb\n"},
		{name: "no input", stdout: ""},
		{name: "-x", flags: []string{"-x", "a", "-x", "b"}, input: "not read", stdout: "a\nb\n"},
		{name: "40 KB", input: strings.Repeat("x", 40<<10), stdout: strings.Repeat("x", 40<<10) + "\n"},
		{name: "129 KB", input: strings.Repeat("x", 129<<10), code: cli.Unacknowledged, stderr: "line 1 was not sent"},
		{name: "refused", gw: func(gw *gatewaytest.Server) { gw.Refuse(403, -1) }, input: "a\n", code: cli.NotConnected, stderr: "403"},
		{name: "refused, as JSON", gw: func(gw *gatewaytest.Server) { gw.Refuse(403, -1) }, flags: []string{"--json"},
			code: cli.NotConnected, stderr: `"exit":3}`},
		{name: "signed", cfg: iamGateway(), flags: []string{"--region", "eu-west-1"}, input: "a\n", stdout: "a\n"},
		{name: "not signed", cfg: iamGateway(), input: "a\n", code: cli.NotConnected, stderr: "--iam"},
		{name: "error frame", cfg: &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{}}, input: "a\n",
			code: cli.GatewayError, stderr: "Forbidden"},
		{name: "no PONGs", cfg: &gatewaytest.Config{SilentPings: true}, flags: []string{"--timeout", "100ms"}, input: "a\n",
			code: cli.Unacknowledged, stdout: "-", stderr: "did not acknowledge"},
		{name: "usage", flags: []string{"--nope"}, code: cli.Usage, stderr: "apigws connect --help"},
		{name: "no connection", gw: func(gw *gatewaytest.Server) { gw.Hold(true) }, flags: []string{"--timeout", "100ms"},
			code: cli.NotConnected, stderr: "no connection in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gw := newGateway(t, tt.cfg)
			if tt.gw != nil {
				tt.gw(gw)
			}
			cmd := command(t, append([]string{"connect", gw.URL}, tt.flags...)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.input), &stdout, &stderr
			code := exitCode(t, cmd.Run())
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, stderr.String())
			}
			if got := stdout.String(); tt.stdout != "-" && got != tt.stdout {
				t.Errorf("standard output %.200q, want %.200q", got, tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("no %q in standard error:\n%s", tt.stderr, stderr.String())
			}
		})
	}
}

// wscat exits with status 0, and without a word, when the gateway cuts its connection.
func TestPipeAcrossIdleCuts(t *testing.T) {
	handshakes := make(chan struct{}, 1000)
	gw := newGateway(t, &gatewaytest.Config{
		Idle: 200 * time.Millisecond, // long before a PING
		Authorize: func(*http.Request) int {
			handshakes <- struct{}{}
			return http.StatusOK
		},
	})
	cmd := command(t, "connect", gw.URL, "--resend")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-handshakes
	}
	io.WriteString(stdin, "after two cuts\n")
	stdin.Close()
	if code := exitCode(t, cmd.Wait()); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "after two cuts\n") || !strings.Contains(stderr.String(), `connection lost: closed by the gateway: 1001`) {
		t.Errorf("standard output %q, error %q", stdout.String(), stderr.String())
	}
}

func TestInterruptExitCode(t *testing.T) {
	connected := make(chan struct{})
	gw := newGateway(t, &gatewaytest.Config{Backend: func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		if ev.Body == "here" {
			close(connected)
		}
		return nil, nil
	}})
	cmd := command(t, "connect", gw.URL, "-x", "here", "--wait", "forever")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-connected
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd.Wait()); code != cli.Interrupted {
		t.Errorf("exit code %d, want 130", code)
	}
}

// call runs the command in this process.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"connect", "--help"}, {"probe", "--help"}} {
		out, _, code := call(t, args...)
		if code != 0 || !strings.Contains(out, cli.ExitCodes) {
			t.Errorf("%v: exit code %d, or no exit codes in:\n%s", args, code, out)
		}
	}
}

// The page lists what the help lists.
func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/command.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(cli.ExitCodes) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if row := "| " + code + " | " + strings.TrimSpace(meaning) + " |\n"; meaning != "" && !strings.Contains(string(page), row) {
			t.Errorf("docs/command.md has no row %s", row)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nope"}, {"--nope"}, {"connect"}, {"connect", "a", "b"}, {"connect", "ws://127.0.0.1:1/prod", "--wait", "soon"},
		{"probe"}, {"costs", "--method", "pong"}, {"version", "now"},
		{"connect", "example.org/prod"}, {"connect", "https://example.org/prod"}, {"connect", "ws://example.org/prod"},
	} {
		if out, errs, code := call(t, args...); code != cli.Usage || errs == "" || out != "" {
			t.Errorf("%v: exit code %d, want 2; standard error %q, output %q", args, code, errs, out)
		}
	}
}

func TestVersion(t *testing.T) {
	if out, _, code := call(t, "version"); code != 0 || !strings.HasPrefix(out, "apigws ") {
		t.Errorf("exit code %d, %q", code, out)
	}
	out, _, _ := call(t, "version", "--json")
	var v version
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Version == "" || v.Go == "" {
		t.Errorf("%q: %v", out, err)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, _, code := call(t, "completion", shell); code != 0 || !strings.Contains(out, "apigws") {
			t.Errorf("%s: exit code %d", shell, code)
		}
	}
	out, _, _ := call(t, "__complete", "con")
	if !strings.Contains(out, "connect\t") {
		t.Errorf("completion of con: %q", out)
	}
	// A URL is not a file.
	out, _, _ = call(t, "__complete", "connect", "")
	if !strings.Contains(out, ":4\n") {
		t.Errorf("completion of a URL: %q", out)
	}
}

// The SDK looks for credentials in files and on the network: not unless it is asked to.
func TestNoCredentialsWithoutIAM(t *testing.T) {
	var authorization string
	gw := newGateway(t, &gatewaytest.Config{Authorize: func(r *http.Request) int {
		authorization = r.Header.Get("Authorization")
		return http.StatusOK
	}})
	cmd := command(t, "connect", gw.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	gw.Close()
	if authorization != "" {
		t.Error("the handshake was signed")
	}
}
