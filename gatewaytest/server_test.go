package gatewaytest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
	"github.com/gobwas/ws"
)

// bubble runs f on an in-memory server in a bubble.
func bubble(t *testing.T, cfg *gatewaytest.Config, f func(t *testing.T, s *gatewaytest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := gatewaytest.NewInMemory(cfg)
		defer s.Close()
		f(t, s)
	})
}

// sleep waits, and for all that follows from it.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A client is a WebSocket client that does as it is told, right or wrong.
type client struct {
	t *testing.T
	net.Conn
	id string
}

// dial connects without any politeness of a library: nothing is answered unless the test does.
func dial(t *testing.T, s *gatewaytest.Server) *client {
	t.Helper()
	conn, br, _, err := dialer(s).Dial(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if br != nil {
		t.Fatalf("%d bytes along with the 101", br.Buffered())
	}
	t.Cleanup(func() { conn.Close() })
	conns := s.Conns()
	return &client{t: t, Conn: conn, id: conns[len(conns)-1].ID()}
}

func dialer(s *gatewaytest.Server) *ws.Dialer {
	return &ws.Dialer{NetDial: s.Client().Transport.(*http.Transport).DialContext}
}

// send writes a frame.
func (c *client) send(f ws.Frame) {
	c.t.Helper()
	if _, err := c.Write(ws.MustCompileFrame(ws.MaskFrame(f))); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) text(s string) {
	c.t.Helper()
	c.send(ws.NewTextFrame([]byte(s)))
}

// read reads a frame, or gives up after a minute.
func (c *client) read() (ws.Frame, error) {
	c.SetReadDeadline(time.Now().Add(time.Minute))
	h, err := ws.ReadHeader(c)
	if err != nil {
		return ws.Frame{}, err
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	for n := 0; n < len(f.Payload); {
		m, err := c.Read(f.Payload[n:])
		if n += m; err != nil {
			return f, err
		}
	}
	return f, nil
}

// want reads a frame and compares it.
func (c *client) want(op ws.OpCode, payload string) {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("want %q: %v", payload, err)
	}
	if f.Header.OpCode != op || !f.Header.Fin || f.Header.Masked || string(f.Payload) != payload {
		c.t.Fatalf("got frame %v %.100q, want %v %.100q", f.Header, f.Payload, op, payload)
	}
}

func (c *client) wantText(s string) {
	c.t.Helper()
	c.want(ws.OpText, s)
}

// wantClose reads the close frame.
func (c *client) wantClose(code int, reason string) {
	c.t.Helper()
	c.want(ws.OpClose, string(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
}

// wantError reads until the end of the connection, for which nothing more may come.
func (c *client) wantError(target error) {
	c.t.Helper()
	f, err := c.read()
	if !errors.Is(err, target) {
		c.t.Fatalf("got frame %v, error %v, want %v", f.Header, err, target)
	}
}

// wantSilence checks that nothing has come and that the connection stands.
func (c *client) wantSilence() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(1))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		c.t.Fatalf("read %d bytes, error %v, want silence", n, err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// handshake dials with a header and returns the answer: its status, or 101.
func handshake(t *testing.T, s *gatewaytest.Server, url string, header http.Header) *http.Response {
	t.Helper()
	c, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: s.Client(), HTTPHeader: header})
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	} else if resp == nil {
		t.Fatal(err)
	}
	return resp
}

// call sends a request to @connections, or wherever path leads to, and returns the answer and its
// body.
func call(t *testing.T, s *gatewaytest.Server, method, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.ManagementURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func closed(s *gatewaytest.Server, code int) int { return s.Stats().Closed[code] }

// TestNetworks does the same on each kind of network, with another client.
func TestNetworks(t *testing.T) {
	for name, start := range map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"TCP": gatewaytest.NewServer, "TLS": gatewaytest.NewTLSServer, "memory": gatewaytest.NewInMemory,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(nil)
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			dial := func() *websocket.Conn {
				c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.CloseNow() })
				return c
			}
			c := dial()
			if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, msg, err := c.Read(ctx); err != nil || string(msg) != "hello" {
				t.Errorf("echo: %q, %v", msg, err)
			}
			if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
				t.Errorf("close handshake: %v", err)
			}

			if resp, _ := call(t, s, "GET", "/@connections/JC1dgf9yoAMCK-g=", ""); resp.StatusCode != http.StatusGone {
				t.Errorf("@connections: %v", resp.Status)
			}

			c = dial()
			conn := s.Conns()[0]
			conn.Send([]byte("last"))
			if _, msg, err := c.Read(ctx); err != nil || string(msg) != "last" {
				t.Errorf("push: %q, %v", msg, err)
			}
			conn.Drop()
			if _, _, err := c.Read(ctx); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a reset: %v", err)
			}

			s.SetFaults(gatewaytest.Faults{CutOut: 10})
			c = dial()
			conn = s.Conns()[0]
			conn.Send([]byte("hello")) // 7 bytes
			conn.Send([]byte("hello"))
			if _, msg, err := c.Read(ctx); err != nil || string(msg) != "hello" {
				t.Errorf("before the cut: %q, %v", msg, err)
			}
			if _, _, err := c.Read(ctx); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after the cut: %v", err)
			}
			s.SetFaults(gatewaytest.Faults{CutIn: 10})
			c = dial()
			conn = s.Conns()[0]
			if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
				t.Errorf("the client cannot know: %v", err)
			}
			if _, _, err := c.Read(ctx); !errors.Is(err, syscall.ECONNRESET) || len(conn.Received()) != 0 {
				t.Errorf("after the cut: %v, %d messages", err, len(conn.Received()))
			}

			s.SetFaults(gatewaytest.Faults{})
			c = dial()
			s.Close()
			if _, _, err := c.Read(ctx); err == nil {
				t.Error("no error after Close")
			}
			if _, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()}); err == nil {
				t.Error("handshake after Close")
			}
		})
	}
}

// The address of all interfaces is none to dial, and no loopback address for a client that insists
// on one.
func TestUnspecifiedAddr(t *testing.T) {
	for name, start := range map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"TCP": gatewaytest.NewServer, "TLS": gatewaytest.NewTLSServer,
	} {
		for _, addr := range []string{":0", "0.0.0.0:0"} {
			t.Run(name+addr, func(t *testing.T) {
				s := start(&gatewaytest.Config{Addr: addr})
				defer s.Close()
				for _, raw := range []string{s.URL, s.ManagementURL} {
					if u, err := url.Parse(raw); err != nil || u.Hostname() != "127.0.0.1" || u.Port() == "" {
						t.Errorf("%s, %v", raw, err)
					}
				}
				if got := handshake(t, s, s.URL, nil).StatusCode; got != 101 {
					t.Errorf("handshake: %d", got)
				}
				if resp, _ := call(t, s, "GET", "/@connections/JC1dgf9yoAMCK-g=", ""); resp.StatusCode != http.StatusGone {
					t.Errorf("@connections: %s", resp.Status)
				}
			})
		}
	}
}

// TestClose leaves it to the bubble to find goroutines that are left.
func TestClose(t *testing.T) {
	var handled atomic.Int32
	block := func(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		handled.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	t.Run("in every state", func(t *testing.T) {
		cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$default": block, "$disconnect": block}}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			waits := dial(t, s) // in a handler, with more to come
			waits.text("one")
			waits.text("two")
			dial(t, s) // waits in reading
			s.Conns()[1].Freeze(true)
			frozen := dial(t, s)
			frozen.text("lost")
			s.Conns()[2].FreezeOut(true)
			s.Conns()[2].Send([]byte("stuck"))
			dial(t, s) // waits for the answer to the close frame
			s.Conns()[3].Close(1000, "")
			go func() { // waits in a handshake
				s.Hold(true)
				_, _, err := websocket.Dial(context.Background(), s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
				if err == nil {
					t.Error("handshake came through")
				}
			}()
			sleep(time.Millisecond)
			handled.Store(0)
			began := time.Now()
			s.Close()
			if d := time.Since(began); d != 0 {
				t.Errorf("Close took %v", d)
			}
			if n := handled.Load(); n != 0 {
				t.Errorf("%d events handled since Close", n)
			}
			if n := len(s.Conns()); n != 0 {
				t.Errorf("%d connections after Close", n)
			}
		})
	})
	t.Run("during $connect", func(t *testing.T) {
		cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$connect": block}}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			go websocket.Dial(context.Background(), s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
			sleep(time.Second)
			began := time.Now()
			s.Close()
			if d := time.Since(began); d != 0 {
				t.Errorf("Close took %v", d)
			}
		})
	})
}

// Close waits for Config.Closing, whoever runs it.
func TestCloseWaitsForClosing(t *testing.T) {
	var running atomic.Bool
	cfg := &gatewaytest.Config{Closing: func(_ gatewaytest.Cause, code int, reason string) (int, string) {
		running.Store(true)
		time.Sleep(time.Second)
		running.Store(false)
		return code, reason
	}}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		dial(t, s)
		sleep(2*time.Minute + 1)
		if !running.Load() {
			t.Fatal("the idle cut is not under way")
		}
		s.Close()
		if running.Load() {
			t.Error("Config.Closing still runs after Close")
		}
	})
}

func TestConns(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		for range 20 {
			dial(t, s)
		}
		first := s.Conns()
		for i, c := range first {
			if got := s.Conns(); got[0] != c || len(got) != 20-i {
				t.Fatalf("oldest of %d is not connection %d", len(got), i)
			}
			c.Drop()
		}
		if st := s.Stats(); st.Accepted != 20 || st.Closed[1006] != 20 {
			t.Errorf("%+v", st)
		}
	})
}

// A Config that makes no sense panics at once, and names the field.
func TestConfigPanics(t *testing.T) {
	type (
		config   = gatewaytest.Config
		routes   = map[string]gatewaytest.Handler
		settings = map[string]gatewaytest.RouteSettings
	)
	some := routes{"a": gatewaytest.Silent}
	for _, test := range []struct {
		want string
		cfg  config
	}{
		{"both Backend and Routes", config{Backend: gatewaytest.Silent, Routes: routes{}}},
		{"listen", config{Addr: "256.0.0.1:0"}},
		{"Stage", config{Stage: "prod/"}},
		{"Stage", config{Stage: "a b"}},
		{"MaxURL", config{MaxURL: -1}},
		{"MaxFrame", config{MaxFrame: -1}},
		{"MaxMessage", config{MaxMessage: -1}},
		{"Buffer", config{Buffer: -1}},
		{"PushFrame", config{PushFrame: -1}},
		{"MaxReceived", config{MaxReceived: -1}},
		{"both Discard and MaxReceived", config{Discard: true, MaxReceived: 1}},
		{"ConnectRate", config{ConnectRate: -1}},
		{"IntegrationTimeout", config{IntegrationTimeout: -1}},
		{"Subprotocols", config{Subprotocols: []string{"a", ""}}},
		{"Subprotocols", config{Subprotocols: []string{"a,b"}}},
		{`Routes: there is no route "$conect"`, config{Routes: routes{"$conect": gatewaytest.Silent}}},
		{`Routes: route "a" has no Handler`, config{Routes: routes{"a": nil}}},
		{"Routes: an empty route key", config{Routes: routes{"": gatewaytest.Silent}}},
		{`RouteSettings: no route "b"`, config{Routes: some, RouteSettings: settings{"b": {}}}},
		{`RouteSettings["a"].IntegrationTimeout`, config{Routes: some, RouteSettings: settings{"a": {IntegrationTimeout: -1}}}},
		{`RouteSettings["a"].Rate`, config{Routes: some, RouteSettings: settings{"a": {Rate: -1}}}},
		{`RouteSettings["a"].Burst`, config{Routes: some, RouteSettings: settings{"a": {Burst: 1}}}},
		{"Authorizer has no Func", config{Authorizer: &gatewaytest.Authorizer{}}},
		{"RouteSelection", config{RouteSelection: "${request.header.x}"}},
		{"RouteSelection", config{RouteSelection: "${request.body.a"}},
		{"RouteSelection", config{RouteSelection: "$request.body"}},
		{"RouteSelection", config{RouteSelection: "$request.body."}},
		{"RouteSelection", config{RouteSelection: "$request.body.a..b"}},
		{"RouteSelection", config{RouteSelection: "$request.body.*"}},
		{"RouteSelection", config{RouteSelection: "$request.body.a[*]"}},
		{"RouteSelection", config{RouteSelection: "$request.body.a['b]"}},
	} {
		t.Run(test.want, func(t *testing.T) {
			wantPanic(t, test.want, func() { gatewaytest.NewServer(&test.cfg) })
		})
	}
	for _, source := range []string{"", "header.x", "'x'", "route.request.header."} {
		cfg := config{Authorizer: &gatewaytest.Authorizer{
			IdentitySources: []string{source},
			Func: func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
				return nil, nil
			},
		}}
		wantPanic(t, "IdentitySources", func() { gatewaytest.NewServer(&cfg) })
	}
	s := gatewaytest.Run(t, nil)
	for _, status := range []int{0, 99, 101, 199, 600} {
		wantPanic(t, "Refuse: status", func() { s.Refuse(status, 1) })
	}
	s.Refuse(0, 0)
}
