package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/apigws/apigws/gatewaytest"
)

type fixture struct {
	*testing.T
	gateway   *gatewaytest.Server
	recorder  *Recorder
	inspector *Inspector
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, gateway: gatewaytest.NewServer(nil), recorder: NewRecorder()}
	t.Cleanup(f.gateway.Close)
	var err error
	if f.inspector, err = Start(f.gateway, f.recorder, Options{Addr: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.inspector.Close)
	return f
}

// dial connects a client and tells the recorder of it, as apigws gateway does.
func (f *fixture) dial() (*websocket.Conn, *gatewaytest.Conn) {
	f.Helper()
	c, _, err := websocket.Dial(f.Context(), f.gateway.URL, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.CloseNow() })
	conns := f.gateway.Conns()
	conn := conns[len(conns)-1]
	f.recorder.Record(Event{Kind: Connect, Conn: conn.ID()})
	return c, conn
}

// do sends a request and returns the status and the body.
func (f *fixture) do(method, path, body string, header ...string) (int, string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.inspector.URL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		f.Errorf("%s %s: Content-Security-Policy %q", method, path, csp)
	}
	return resp.StatusCode, string(b)
}

// post does something to a connection and wants 204.
func (f *fixture) post(conn *gatewaytest.Conn, action, body string) {
	f.Helper()
	if status, answer := f.do("POST", "api/connections/"+conn.ID()+"/"+action, body, "X-Apigws", "test"); status != 204 {
		f.Errorf("%s %s: %d %s", action, body, status, answer)
	}
}

func (f *fixture) get(path string, v any) {
	f.Helper()
	status, body := f.do("GET", path, "")
	if status != 200 {
		f.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		f.Fatal(err)
	}
}

func TestPage(t *testing.T) {
	f := start(t)
	for path, want := range map[string]string{
		"": "<title>apigws inspector</title>", "page.css": "--accent", "page.js": "EventSource", "view.js": "class List",
	} {
		if status, body := f.do("GET", path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("/%s: %d, without %q", path, status, want)
		}
	}
	if status, _ := f.do("GET", "other", ""); status != 404 {
		t.Errorf("/other: %d", status)
	}
}

func TestReading(t *testing.T) {
	f := start(t)
	_, conn := f.dial()
	f.recorder.Record(Event{Kind: Message, Conn: conn.ID(), Route: "chat", Data: []byte("hello")})
	f.recorder.Record(Event{Kind: Push, Conn: conn.ID(), Data: []byte("hi")})
	var state State
	f.get("api/state", &state)
	if state.URL != f.gateway.URL || state.Counts.Messages != 1 || state.Counts.Open != 1 || state.Now.IsZero() {
		t.Errorf("state: %+v", state)
	}
	var conns []Conn
	f.get("api/connections", &conns)
	if len(conns) != 1 || conns[0].ID != conn.ID() || conns[0].In != 1 {
		t.Errorf("connections: %+v", conns)
	}
	var one struct {
		Conn
		Messages []Line
	}
	f.get("api/connections/"+conn.ID(), &one)
	if one.ID != conn.ID() || len(one.Messages) != 2 || one.Messages[0].Text != "hello" {
		t.Errorf("connection: %+v", one)
	}
	f.get("api/connections/"+conn.ID()+"?since=2", &one)
	if len(one.Messages) != 1 || one.Messages[0].Text != "hi" {
		t.Errorf("messages after event 2: %+v", one.Messages)
	}
	var b batch
	f.get("api/events?since=1&limit=1", &b)
	if len(b.Events) != 1 || b.Events[0].Kind != Push || b.Missing != 1 {
		t.Errorf("events: %+v", b)
	}
	for path, want := range map[string]int{"api/connections/none": 404, "api/events?since=x": 400, "api/events?limit=-1": 400} {
		if status, body := f.do("GET", path, ""); status != want || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestPushKickDrop(t *testing.T) {
	f := start(t)
	c, conn := f.dial()
	f.post(conn, "push", `{"hello":"world"}`)
	if _, msg, err := c.Read(t.Context()); err != nil || string(msg) != `{"hello":"world"}` {
		t.Errorf("pushed: %s, %v", msg, err)
	}
	f.post(conn, "kick", "")
	_, _, err := c.Read(t.Context())
	if e := (websocket.CloseError{}); !errors.As(err, &e) || e.Code != 1000 || e.Reason != "Connection Closed Normally" {
		t.Errorf("kicked: %v", err)
	}

	c, conn = f.dial()
	f.post(conn, "kick", `{"code": 4001, "reason": "go"}`)
	_, _, err = c.Read(t.Context())
	if e := (websocket.CloseError{}); !errors.As(err, &e) || e.Code != 4001 || e.Reason != "go" {
		t.Errorf("kicked with a code: %v", err)
	}

	c, conn = f.dial()
	f.post(conn, "drop", "")
	if _, _, err := c.Read(t.Context()); err == nil || websocket.CloseStatus(err) != -1 {
		t.Errorf("dropped: %v", err)
	}
	if events, _ := f.recorder.Events(0, 100); events[len(events)-1].Kind != Action || events[len(events)-1].Text != "drop" {
		t.Errorf("the last event: %+v", events[len(events)-1])
	}
}

// A frozen connection passes nothing on before it is thawed, and a slow one says so.
func TestFreezeSlow(t *testing.T) {
	f := start(t)
	c, conn := f.dial()
	f.post(conn, "freeze", "")
	f.post(conn, "push", "one")
	var shown Conn
	f.get("api/connections/"+conn.ID(), &shown)
	if !shown.Frozen {
		t.Error("not shown as frozen")
	}
	read := make(chan string, 1)
	go func() {
		_, msg, _ := c.Read(context.Background())
		read <- string(msg)
	}()
	select {
	case msg := <-read:
		t.Errorf("read %q from a frozen connection", msg)
	case <-time.After(50 * time.Millisecond):
	}
	f.post(conn, "freeze", `{"frozen": false}`)
	if msg := <-read; msg != "one" {
		t.Errorf("read %q", msg)
	}

	f.post(conn, "slow", `{"bytesPerSecond": 1048576, "latencyMillis": 100}`)
	if f.get("api/connections/"+conn.ID(), &shown); shown.Slow == nil || *shown.Slow != (Slow{1 << 20, 100}) || shown.Frozen {
		t.Errorf("slow: %+v", shown)
	}
	before := time.Now()
	f.post(conn, "push", "two")
	if _, msg, err := c.Read(t.Context()); err != nil || string(msg) != "two" || time.Since(before) < 100*time.Millisecond {
		t.Errorf("read %q, %v after %v", msg, err, time.Since(before))
	}
	f.post(conn, "slow", "")
	shown = Conn{}
	if f.get("api/connections/"+conn.ID(), &shown); shown.Slow != nil {
		t.Errorf("no longer slow: %+v", shown.Slow)
	}
}

func TestRefuse(t *testing.T) {
	f := start(t)
	try := func() int {
		c, resp, err := websocket.Dial(t.Context(), f.gateway.URL, nil)
		if err == nil {
			c.CloseNow()
		}
		return resp.StatusCode
	}
	refuse := func(body string) {
		t.Helper()
		if status, answer := f.do("POST", "api/refuse", body, "X-Apigws", "1"); status != 204 {
			t.Errorf("refuse %s: %d %s", body, status, answer)
		}
	}
	refuse("")
	if status := try(); status != 503 {
		t.Errorf("the next: %d", status)
	}
	if status := try(); status != 101 {
		t.Errorf("the one after: %d", status)
	}
	refuse(`{"status": 429, "count": -1}`)
	if a, b := try(), try(); a != 429 || b != 429 {
		t.Errorf("all: %d, %d", a, b)
	}
	refuse(`{"count": 0}`)
	if status := try(); status != 101 {
		t.Errorf("none: %d", status)
	}
}

func TestBadRequests(t *testing.T) {
	f := start(t)
	_, conn := f.dial()
	id := "api/connections/" + conn.ID()
	long := strings.Repeat("x", 200<<10)
	for _, tt := range []struct {
		path, body string
		want       int
	}{
		{"api/connections/none/push", "x", 404},
		{id + "/push", long, 413}, // by the gateway
		{id + "/push", strings.Repeat("x", mostBody+1), 413},
		{id + "/kick", `{"code": 12}`, 400}, {id + "/kick", `{"reason": "` + long[:200] + `"}`, 400}, {id + "/kick", "nonsense", 400},
		{id + "/freeze", "nonsense", 400}, {id + "/slow", "nonsense", 400}, {id + "/slow", `{"latencyMillis": -1}`, 400},
		{"api/refuse", `{"status": 200}`, 400}, {"api/refuse", "nonsense", 400}, {"api/refuse", strings.Repeat("x", mostBody+1), 413},
	} {
		if status, body := f.do("POST", tt.path, tt.body, "X-Apigws", "1"); status != tt.want || !strings.Contains(body, `"error"`) {
			t.Errorf("%s %.30s: %d %.100s, want %d", tt.path, tt.body, status, body, tt.want)
		}
	}
}
