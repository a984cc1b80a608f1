//go:build linux

package rie

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
)

// bin is where TestMain builds the emulator and the functions.
var bin string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "rie"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	for name, pkg := range map[string]struct{ dir, path string }{
		"aws-lambda-rie": {".", "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie"},
		"lambda":         {"../../../examples/lambda", "."}, // with the versions of its own module
		"faulty":         {".", "./faulty"},
	} {
		build := exec.Command("go", "build", "-o", filepath.Join(bin, name), pkg.path)
		build.Dir = pkg.dir
		if out, err := build.CombinedOutput(); err != nil {
			os.Stderr.Write(out)
			return 1
		}
	}
	return m.Run()
}

// A log is what the emulator prints, for the case that a test fails.
type log struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a function in the emulator and returns the endpoint.
func start(t *testing.T, function string, env ...string) string {
	t.Helper()
	api, runtime := freeAddr(t), freeAddr(t)
	var out log
	cmd := exec.Command(filepath.Join(bin, "aws-lambda-rie"), "--runtime-interface-emulator-address", api,
		"--runtime-api-address", runtime, filepath.Join(bin, function))
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt) // it ends the function, too
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for range 600 {
		if conn, err := net.Dial("tcp", api); err == nil {
			conn.Close()
			return "http://" + api
		}
		time.Sleep(50 * time.Millisecond) // for another process nothing else can be waited for
	}
	t.Fatalf("the emulator does not listen: %s", &out)
	return ""
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A client is a connection that questions are asked on.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return &client{t, conn}
}

func (c *client) ask(question, want string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(question)); err != nil {
		c.t.Fatal(err)
	}
	if _, got, err := c.conn.Read(ctx); err != nil || !strings.Contains(string(got), want) {
		c.t.Errorf("%s: %s, %v, want %s", question, got, err, want)
	}
}

// The function of examples/lambda, as it would be deployed, behind all four of its routes.
func TestExample(t *testing.T) {
	h := gatewaytest.InvokeLambda(start(t, "lambda"), "function")
	s := gatewaytest.Run(t, &gatewaytest.Config{
		Routes:        map[string]gatewaytest.Handler{"$connect": h, "$disconnect": h, "$default": h, "sum": h},
		RouteResponse: true,
	})
	if _, resp, err := websocket.Dial(t.Context(), s.URL, nil); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %v, want 401", err)
	}
	c := dial(t, s.URL+"?token=secret")
	c.ask(`{"action":"sum","terms":[1,2,3]}`, `{"sum":6}`)
	c.ask(`{"action":"dance"}`, `{"error":"what?"}`)
	c.ask(`{"action":"sum","terms":"many"}`, "Internal server error")
	c.ask(`{"action":"sum","terms":[4]}`, `{"sum":4}`)

	// The emulator takes one invocation at a time; the clients do not notice.
	var wg sync.WaitGroup
	for range 10 {
		c := dial(t, s.URL+"?token=secret")
		wg.Go(func() { c.ask(`{"action":"sum","terms":[5]}`, `{"sum":5}`) })
	}
	wg.Wait()
}

// What goes wrong in a function is "Internal server error" to the client, and the next
// invocation works.
func TestFaults(t *testing.T) {
	endpoint := start(t, "faulty", "AWS_LAMBDA_FUNCTION_TIMEOUT=2")
	s := gatewaytest.Run(t, &gatewaytest.Config{
		Routes:        map[string]gatewaytest.Handler{"$default": gatewaytest.InvokeLambda(endpoint, "function")},
		RouteResponse: true,
	})
	c := dial(t, s.URL)
	for _, fault := range []string{"error", "malformed", "panic", "hang", "exit"} {
		c.ask(fault, "Internal server error")
		c.ask("work", "fine")
	}
	h := gatewaytest.InvokeLambda(endpoint, "another")
	if _, err := h(t.Context(), &gatewaytest.Event{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a function that is not there: %v", err)
	}
}
