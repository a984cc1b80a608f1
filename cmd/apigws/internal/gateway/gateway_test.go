package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"

	"github.com/apigws/apigws/gatewaytest"
)

// A buffer is written to by a command that runs.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A process is the command at work.
type process struct {
	ready
	t        *testing.T
	out, err *buffer
	stop     context.CancelFunc
	ended    chan error
}

// serve runs the command as a user does, with --json.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{t: t, out: &buffer{}, err: &buffer{}, stop: cancel, ended: make(chan error, 1)}
	cmd := command(p.out, p.err, append([]string{"--addr", "127.0.0.1:0", "--json"}, args...)...)
	go func() { p.ended <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-p.ended; err != nil {
			t.Errorf("the command: %v", err)
		}
	})
	p.until("an address", func() bool { return strings.Contains(p.out.String(), "\n") })
	if err := json.Unmarshal([]byte(strings.SplitN(p.out.String(), "\n", 2)[0]), &p.ready); err != nil {
		t.Fatal(err)
	}
	return p
}

func command(out, err io.Writer, args ...string) *cobra.Command {
	cmd := Command()
	cmd.Flags().Bool("json", false, "")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(err)
	return cmd
}

// until waits for something that the command does in its own time.
func (p *process) until(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("waiting for %s: it has ended: %v\n%s", what, err, p.err)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waiting for %s; standard error:\n%s", what, p.err)
		}
	}
}

// A client is a WebSocket client.
type client struct {
	*websocket.Conn
	t *testing.T
}

func (p *process) dial(header ...string) *client {
	p.t.Helper()
	c, status := p.try("", header...)
	if c == nil {
		p.t.Fatalf("refused with %d", status)
	}
	return c
}

// try connects, or returns the status of the refusal.
func (p *process) try(query string, header ...string) (*client, int) {
	p.t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	c, resp, err := websocket.Dial(p.t.Context(), p.URL+query, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		if resp == nil {
			p.t.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	p.t.Cleanup(func() { c.CloseNow() })
	return &client{c, p.t}, 0
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// want reads a message that contains a text.
func (c *client) want(text string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	_, msg, err := c.Read(ctx)
	if err != nil || !strings.Contains(string(msg), text) {
		c.t.Fatalf("read %q, %v, want %q", msg, err, text)
	}
	return string(msg)
}

// An invocation is an event that a function got.
type invocation struct {
	Headers        map[string]string
	StageVariables map[string]string
	Body           string
	MethodArn      string
	RequestContext struct {
		RouteKey, EventType, ConnectionID, DomainName, Stage string
		Authorizer                                           map[string]any
	}
	QueryStringParameters map[string]string
}

type functions map[string]func(invocation) any

// lambda serves the Lambda Invoke API. A function that returns an error fails as Lambda has it.
func lambda(t *testing.T, fs functions) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) {
		f := fs[r.PathValue("name")]
		if f == nil {
			http.Error(w, "no such function", http.StatusNotFound)
			return
		}
		var in invocation
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		result := f(in)
		if err, ok := result.(error); ok {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			result = map[string]string{"errorType": "Error", "errorMessage": err.Error()}
		}
		json.NewEncoder(w).Encode(result)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

type object = map[string]any

func ok(invocation) any { return object{"statusCode": 200} }

// post is @connections as a function calls it.
func post(t *testing.T, in invocation, id, text string) int {
	url := "http://" + in.RequestContext.DomainName + "/" + in.RequestContext.Stage + "/@connections/" + id
	resp, err := http.Post(url, "application/json", strings.NewReader(text))
	if err != nil {
		t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// write writes a template and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// dialInMemory connects a client that does nothing.
func dialInMemory(t *testing.T, s *gatewaytest.Server) net.Conn {
	t.Helper()
	conn, err := s.Client().Transport.(*http.Transport).DialContext(t.Context(), "tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /prod HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	return conn
}
