package gatewaytest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
	"github.com/gobwas/ws"
)

// A recorder is a backend that keeps the events it gets, as JSON.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) handle(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	b, err := json.Marshal(ev)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, string(b))
	return nil, err
}

// routeKeys returns those of the events so far.
func (r *recorder) routeKeys() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for _, e := range r.events {
		var ev gatewaytest.Event
		json.Unmarshal([]byte(e), &ev)
		keys = append(keys, ev.RequestContext.RouteKey)
	}
	return strings.Join(keys, " ")
}

func answer(body string) gatewaytest.Handler {
	return func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
		return &gatewaytest.Response{StatusCode: 200, Body: body}, nil
	}
}

// connectWith is a Config whose $connect is f.
func connectWith(f func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error)) *gatewaytest.Config {
	return &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$connect": f}}
}

func TestRouting(t *testing.T) {
	tests := []struct {
		expr, msg, want string
	}{
		{"", `{"action":"join"}`, "join"},
		{"", `{"action":"$connect"}`, "default"},
		{"", `{"action":"$disconnect"}`, "default"},
		{"", `{"action":"Join"}`, "default"},
		{"", `{"action":"joi"}`, "default"},
		{"", `{"action":null}`, "default"},
		{"", `{"action":{"join":1}}`, "default"},
		{"", `{"type":"join"}`, "default"},
		{"", `["join"]`, "default"},
		{"", `join`, "default"},
		{"", ``, "default"},
		{"", `{"action":7}`, "seven"},
		{"", `{"action":true}`, "true"},
		{"", `{"action":21000000}`, "number"},
		{"", `{"action":7,"x":1e999}`, "seven"}, // no number of Go's, and one of JSON
		{"", `{"action":7}}`, "default"},
		{"", `{"action":7} {}`, "default"},
		{"$request.body.a.b", `{"a":{"b":"join"}}`, "join"},
		{"$request.body.a.b", `{"a":"join"}`, "default"},
		{"${request.body.a}", `{"a":"join"}`, "join"},
		{"${request.body.a}/${request.body.b.c}", `{"a":"room","b":{"c":"leave"}}`, "leave"},
		{"${request.body.a}/${request.body.b.c}", `{"a":"room"}`, "default"},
		{"room/${request.body.a}", `{"a":"leave"}`, "leave"},
		{"${request.body.a}/leave", `{"a":"room"}`, "leave"},
		{"join", `anything`, "default"}, // not JSON
		{"join", `{}`, "join"},
	}
	for _, test := range tests {
		t.Run(test.expr+" "+test.msg, func(t *testing.T) {
			cfg := &gatewaytest.Config{
				RouteSelection: test.expr,
				RouteResponse:  true,
				Routes: map[string]gatewaytest.Handler{
					"$default": answer("default"), "$disconnect": answer("disconnect"),
					"join": answer("join"), "room/leave": answer("leave"), "7": answer("seven"),
					"21000000": answer("number"), "true": answer("true"),
				},
			}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				c.text(test.msg)
				c.wantText(test.want)
			})
		})
	}
}

// The Server has routes of its own, whatever becomes of the Config.
func TestRoutesAreCopied(t *testing.T) {
	cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"ping": answer("pong")}, RouteResponse: true}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		delete(cfg.Routes, "ping")
		c := dial(t, s)
		c.text(`{"action":"ping"}`)
		c.wantText("pong")
	})
}

// The gateway's own error frames, to the byte; the connection stays open.
func TestErrorFrames(t *testing.T) {
	tests := map[string]gatewaytest.Handler{
		"Forbidden": nil,
		"Internal server error": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			return &gatewaytest.Response{Body: "not this"}, errors.New("secret")
		},
		"Invalid request body": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			return nil, fmt.Errorf("wrapped: %w", gatewaytest.ErrInvalidBody)
		},
		"Internal server error  ": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			return nil, context.DeadlineExceeded // of something that it called
		},
		"Internal server error ": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			panic("secret")
		},
		"Endpoint request timed out": func(ctx context.Context, _ *gatewaytest.Event) (*gatewaytest.Response, error) {
			<-ctx.Done()
			return &gatewaytest.Response{Body: "too late"}, nil
		},
		"Endpoint request timed out ": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			time.Sleep(40 * time.Second) // does not heed its context
			return &gatewaytest.Response{Body: "too late"}, nil
		},
	}
	for name, h := range tests {
		t.Run(name, func(t *testing.T) {
			message := strings.TrimSpace(name)
			cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"ok": answer("fine")}, RouteResponse: true}
			if h != nil {
				cfg.Routes["$default"] = h
			}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				began := time.Now()
				c.text("hello")
				f, err := c.read()
				if err != nil {
					t.Fatal(err)
				}
				id := regexp.QuoteMeta(c.id)
				frame := regexp.MustCompile(`^\{"message": "` + message + `", "connectionId":"` + id + `", "requestId":"[\w-]{15}="\}$`)
				if !frame.Match(f.Payload) {
					t.Errorf("%s", f.Payload)
				}
				if d := time.Since(began); strings.Contains(name, "timed") && d != 29*time.Second || !strings.Contains(name, "timed") && d != 0 {
					t.Errorf("after %v", d)
				}
				c.text(`{"action":"ok"}`)
				c.wantText("fine")
				sleep(time.Minute)
				c.wantSilence()
			})
		})
	}
}

// What a handler returns is dropped without a route response, whatever its status.
func TestNoRouteResponse(t *testing.T) {
	for _, status := range []int{200, 500} {
		h := func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			return &gatewaytest.Response{StatusCode: status, Body: "dropped"}, nil
		}
		bubble(t, &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$default": h}}, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.text("hello")
			sleep(time.Minute)
			c.wantSilence()
		})
	}
}

func TestBackendGetsAllEvents(t *testing.T) {
	var r recorder
	bubble(t, &gatewaytest.Config{Backend: r.handle}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text(`{"action":"join"}`)
		c.send(ws.NewPingFrame(nil)) // reaches no backend
		c.send(ws.NewPongFrame(nil))
		c.send(ws.NewCloseFrame(nil))
		sleep(time.Second)
		if got := r.routeKeys(); got != "$connect $default $disconnect" {
			t.Error(got)
		}
	})
}

// The backend answers through @connections, from within a handler.
func TestBackendPosts(t *testing.T) {
	var s *gatewaytest.Server
	var early error
	backend := func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		id := ev.RequestContext.ConnectionID
		if ev.RequestContext.EventType == gatewaytest.EventConnect {
			early = s.Post(id, []byte("too early"))
			return nil, nil
		}
		return nil, s.Post(id, []byte("answer to "+ev.Body))
	}
	synctest.Test(t, func(t *testing.T) {
		s = gatewaytest.NewInMemory(&gatewaytest.Config{Backend: backend})
		defer s.Close()
		c := dial(t, s)
		c.text("hello")
		c.wantText("answer to hello")
		var e *gatewaytest.APIError
		if !errors.As(early, &e) || e.StatusCode != 410 {
			t.Errorf("before $connect returned: %v", early)
		}
	})
}

// $connect and the authorizer hold the handshake and decide on it.
func TestHandshake(t *testing.T) {
	type response = gatewaytest.Response
	type event = gatewaytest.Event
	status := func(code int) *gatewaytest.Config {
		return connectWith(func(context.Context, *event) (*response, error) {
			return &response{StatusCode: code, Headers: map[string]string{"X-Secret": "1"}, Body: "not passed on"}, nil
		})
	}
	authorize := func(code int) *gatewaytest.Config {
		return &gatewaytest.Config{Authorize: func(r *http.Request) int {
			if r.Header.Get("Authorization") != "token" {
				return http.StatusTeapot
			}
			return code
		}}
	}
	tests := map[string]struct {
		cfg  *gatewaytest.Config
		path string
		want int
		wait time.Duration
	}{
		"nil":       {cfg: connectWith(func(context.Context, *event) (*response, error) { return nil, nil }), want: 101},
		"0":         {cfg: status(0), want: 101},
		"200":       {cfg: status(200), want: 101},
		"204":       {cfg: status(204), want: 101},
		"302":       {cfg: status(302), want: 302},
		"401":       {cfg: status(401), want: 401},
		"403":       {cfg: status(403), want: 403},
		"404":       {cfg: status(404), want: 404},
		"429":       {cfg: status(429), want: 429},
		"600":       {cfg: status(600), want: 502},
		"1":         {cfg: status(1), want: 502},
		"500":       {cfg: status(500), want: 500},
		"error":     {cfg: connectWith(func(context.Context, *event) (*response, error) { return nil, errors.New("x") }), want: 502},
		"panic":     {cfg: connectWith(func(context.Context, *event) (*response, error) { panic("x") }), want: 502},
		"authorize": {cfg: authorize(0), want: 101},
		"allowed":   {cfg: authorize(200), want: 101},
		"no token":  {cfg: authorize(401), want: 401},
		"denied":    {cfg: authorize(403), want: 403},
		"stage":     {path: "/test", want: 403},
		"path":      {path: "/prod/deeper", want: 403},
		"slash":     {path: "/prod/", want: 101},
		"slow": {cfg: connectWith(func(context.Context, *event) (*response, error) {
			time.Sleep(28 * time.Second)
			return nil, nil
		}), want: 101, wait: 28 * time.Second},
		"too slow": {cfg: connectWith(func(context.Context, *event) (*response, error) {
			time.Sleep(30 * time.Second)
			return nil, nil
		}), want: 504, wait: 29 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, test.cfg, func(t *testing.T, s *gatewaytest.Server) {
				url := s.URL
				if test.path != "" {
					url = strings.TrimSuffix(url, "/prod") + test.path
				}
				began := time.Now()
				resp := handshake(t, s, url, http.Header{"Authorization": {"token"}})
				if resp.StatusCode != test.want || time.Since(began) != test.wait {
					t.Errorf("%d after %v, want %d after %v", resp.StatusCode, time.Since(began), test.want, test.wait)
				}
				if test.want != 101 {
					if body, _ := io.ReadAll(resp.Body); strings.Contains(string(body), "not passed on") {
						t.Errorf("body %s", body)
					}
				}
				for name := range resp.Header {
					if strings.HasPrefix(name, "X-") {
						t.Errorf("header %s", name)
					}
				}
				st := s.Stats()
				if test.want == 101 && (st.Accepted != 1 || len(st.Refused) != 0) ||
					test.want != 101 && (st.Accepted != 0 || st.Refused[test.want] != 1) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestPlainHTTP(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		if resp, _ := call(t, s, "GET", "", ""); resp.StatusCode != http.StatusUpgradeRequired {
			t.Error(resp.Status)
		}
		req, _ := http.NewRequest("GET", s.ManagementURL, nil)
		req.Header.Set("Upgrade", "websocket") // and nothing else that belongs to it
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 || s.Stats().Refused[400] != 1 || s.Stats().Accepted != 0 {
			t.Errorf("%d, %+v", resp.StatusCode, s.Stats())
		}
	})
}

// A handshake that is none is refused before the backend hears of it, and counted as what it was answered with.
func TestMalformedHandshake(t *testing.T) {
	tests := map[string]struct {
		method, header, value string
		want                  int
	}{
		"method":             {method: "POST", want: 405},
		"version":            {header: "Sec-Websocket-Version", value: "12", want: 426},
		"no version":         {header: "Sec-Websocket-Version", want: 400},
		"key":                {header: "Sec-Websocket-Key", value: "c2hvcnQ=", want: 400},
		"no key":             {header: "Sec-Websocket-Key", want: 400},
		"connection":         {header: "Connection", value: "no-upgrade", want: 400},
		"no connection":      {header: "Connection", want: 400},
		"several of these":   {header: "Connection", value: "keep-alive, upgrade", want: 101},
		"nothing is missing": {want: 101},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r recorder
			cfg := &gatewaytest.Config{Backend: r.handle, Authorize: func(*http.Request) int {
				if test.want != 101 {
					t.Error("Authorize was asked")
				}
				return 0
			}}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				req, _ := http.NewRequest(cmp.Or(test.method, "GET"), s.ManagementURL, nil)
				req.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"},
					"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
				if test.header != "" {
					req.Header.Set(test.header, test.value)
				}
				resp, err := s.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != test.want {
					t.Errorf("%d, want %d", resp.StatusCode, test.want)
				}
				if v := resp.Header.Get("Sec-WebSocket-Version"); (v == "13") != (test.want == 426) {
					t.Errorf("answered with version %q", v)
				}
				st := s.Stats()
				if test.want != 101 && (r.routeKeys() != "" || st.Refused[test.want] != 1 || len(st.Refused) != 1) {
					t.Errorf("backend got %q, %+v", r.routeKeys(), st)
				}
			})
		})
	}
}

// A client in a hurry, which sends a frame along with its handshake, loses nothing.
func TestEarlyFrame(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		conn, err := dialer(s).NetDial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		request := "GET /prod HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		conn.Write(append([]byte(request), ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("hello"))))...))
		time.Sleep(time.Second)
		conn.SetReadDeadline(time.Now().Add(time.Second))
		got, _ := io.ReadAll(conn)
		head, frames, _ := strings.Cut(string(got), "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") || frames != "\x81\x05hello" {
			t.Errorf("%q", got)
		}
	})
}

// The body of a refusal has the form that the gateway's have.
func TestRefusalBody(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		s.Refuse(403, 1)
		resp, body := call(t, s, "GET", "", "")
		if body != `{"message":"Forbidden"}`+"\n" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%q %v", body, resp.Header)
		}
	})
}

// A client that gives up during $connect is not connected, and its $connect is told.
func TestClientGivesUp(t *testing.T) {
	var ended time.Duration
	cfg := connectWith(func(ctx context.Context, _ *gatewaytest.Event) (*gatewaytest.Response, error) {
		began := time.Now()
		<-ctx.Done()
		ended = time.Since(began)
		return nil, nil
	})
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
		synctest.Wait()
		if st := s.Stats(); st.Accepted != 0 || len(st.Refused) != 0 || ended != 5*time.Second {
			t.Errorf("%+v, ended after %v", st, ended)
		}
	})
}

func TestSubprotocol(t *testing.T) {
	cfg := connectWith(func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		if ev.QueryStringParameters["pick"] == "" {
			return nil, nil
		}
		return &gatewaytest.Response{Headers: map[string]string{"sec-websocket-protocol": ev.QueryStringParameters["pick"]}}, nil
	})
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		for query, want := range map[string]string{"": "", "?pick=two": "two"} {
			c, _, err := websocket.Dial(t.Context(), s.URL+query, &websocket.DialOptions{
				HTTPClient: s.Client(), Subprotocols: []string{"one", "two"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Subprotocol(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			c.CloseNow()
		}
	})
}

// $disconnect gets code and reason, after everything else.
func TestDisconnect(t *testing.T) {
	tests := map[string]struct {
		end    func(*client, *gatewaytest.Server)
		code   int
		reason string
	}{
		"client": {func(c *client, _ *gatewaytest.Server) {
			c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "tired")))
		}, 4001, "tired"},
		"no status": {func(c *client, _ *gatewaytest.Server) { c.send(ws.NewCloseFrame(nil)) },
			1005, "Client-side close frame status not set"},
		"broken":  {func(c *client, _ *gatewaytest.Server) { c.Close() }, 1006, ""},
		"dropped": {func(_ *client, s *gatewaytest.Server) { s.Conns()[0].Drop() }, 1006, ""},
		"idle":    {func(*client, *gatewaytest.Server) { sleep(3 * time.Minute) }, 1001, "Going away"},
		"deleted": {func(c *client, s *gatewaytest.Server) { call(c.t, s, "DELETE", "/@connections/"+c.id, "") },
			1000, "Connection Closed Normally"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var last *gatewaytest.Event
			handled := 0
			cfg := &gatewaytest.Config{Backend: func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				if ev.RequestContext.EventType == gatewaytest.EventMessage {
					time.Sleep(time.Second) // so that the end comes while it runs
				}
				handled++
				last = ev
				return nil, nil
			}}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				c.text("one")
				c.text("two")
				synctest.Wait()
				test.end(c, s)
				sleep(time.Minute)
				rc := last.RequestContext
				if rc.EventType != gatewaytest.EventDisconnect || rc.DisconnectStatusCode != test.code || rc.DisconnectReason != test.reason {
					t.Errorf("%+v", rc)
				}
				if handled != 4 {
					t.Errorf("%d events", handled)
				}
			})
		})
	}
}

// The JSON of the events: all fields, and no others.
func TestEvents(t *testing.T) {
	var r recorder
	cfg := &gatewaytest.Config{
		Backend: r.handle,
		AuthorizerContext: func(*http.Request) map[string]any {
			return map[string]any{"principalId": "me"}
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		d := dialer(s)
		d.Header = ws.HandshakeHeaderHTTP{"User-Agent": {"test/1"}, "X-Many": {"a", "b"}}
		time.Sleep(1500 * time.Millisecond)
		conn, _, _, err := d.Dial(t.Context(), s.URL+"?q=1&q=2&r=%20")
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, Conn: conn, id: s.Conns()[0].ID()}
		time.Sleep(time.Second)
		c.text("€")
		c.send(ws.NewCloseFrame(nil))
		synctest.Wait()

		authorizer := `"authorizer":{"principalId":"me"},`
		context := func(route, more, typ, more2 string, after int) string {
			return fmt.Sprintf(`"requestContext":{"routeKey":"%s",%s%s"eventType":"%s","extendedRequestId":"ID",`+
				`"requestTime":"01/Jan/2000:00:00:0%d +0000","messageDirection":"IN",%s"stage":"prod",`+
				`"connectedAt":946684801500,"requestTimeEpoch":9466848%02d500,`+
				`"identity":{"sourceIp":"127.0.0.1","userAgent":"test/1"},"requestId":"ID","domainName":"127.0.0.1",`+
				`"connectionId":"%s","apiId":"a1b2c3d4e5"`, route, authorizer, more, typ, after, more2, after, c.id)
		}
		want := []string{
			`{"headers":{"Host":"127.0.0.1","Sec-WebSocket-Key":"KEY","Sec-WebSocket-Version":"13","User-Agent":"test/1",` +
				`"X-Forwarded-For":"127.0.0.1","X-Many":"b"},` +
				`"multiValueHeaders":{"Host":["127.0.0.1"],"Sec-WebSocket-Key":["KEY"],"Sec-WebSocket-Version":["13"],` +
				`"User-Agent":["test/1"],"X-Forwarded-For":["127.0.0.1"],"X-Many":["a","b"]},` +
				`"queryStringParameters":{"q":"2","r":" "},"multiValueQueryStringParameters":{"q":["1","2"],"r":[" "]},` +
				context("$connect", "", "CONNECT", "", 1) + `},"isBase64Encoded":false}`,
			`{` + context("$default", `"messageId":"ID",`, "MESSAGE", "", 2) + `},"isBase64Encoded":false,"body":"€"}`,
			`{"headers":{"Host":"127.0.0.1","X-Forwarded-For":"","x-api-key":"","x-restapi":""},` +
				`"multiValueHeaders":{"Host":["127.0.0.1"],"X-Forwarded-For":[""],"x-api-key":[""],"x-restapi":[""]},` +
				context("$disconnect", "", "DISCONNECT", `"disconnectStatusCode":1005,`, 2) +
				`,"disconnectReason":"Client-side close frame status not set"},"isBase64Encoded":false}`,
		}
		ids := regexp.MustCompile(`("(extendedRequestId|requestId|messageId)":)"[\w-]{15}="`)
		key := regexp.MustCompile(`[\w+/]{22}==`)
		for i, got := range r.events {
			got = ids.ReplaceAllString(got, `$1"ID"`)
			got = key.ReplaceAllString(got, "KEY")
			if got != want[i] {
				t.Errorf("got  %s\nwant %s", got, want[i])
			}
		}
	})
	t.Run("sparse", func(t *testing.T) {
		var r recorder
		bubble(t, &gatewaytest.Config{Backend: r.handle}, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.text("")
			synctest.Wait()
			c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
			synctest.Wait()
			for i, wants := range [][]string{
				{`!queryString`, `!authorizer`, `!userAgent`, `!"body"`, `!messageId`, `!disconnect`},
				{`"body":""`, `!eaders"`, `!disconnect`},
				{`"disconnectReason":""`, `"disconnectStatusCode":1000`, `!"body"`, `!messageId`},
			} {
				for _, want := range wants {
					text, absent := strings.CutPrefix(want, "!")
					if strings.Contains(r.events[i], text) == absent {
						t.Errorf("want %s in %s", want, r.events[i])
					}
				}
			}
		})
	})
}

func TestIDs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		var ids []string
		for range 50 {
			id := dial(t, s).id
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`).MatchString(id) || slices.Contains(ids, id) {
				t.Fatal(id)
			}
			ids = append(ids, id)
		}
	})
}

// Lambda goes through JSON, for types that have nothing to do with this package.
func TestLambda(t *testing.T) {
	type request struct {
		Body           string
		RequestContext struct{ ConnectionID, EventType, RouteKey string }
	}
	type reply struct {
		StatusCode int    `json:"statusCode"`
		Text       string `json:"body"`
	}
	fn := func(_ context.Context, in request) (reply, error) {
		if in.Body == "fail" {
			return reply{}, errors.New("x")
		}
		return reply{200, in.RequestContext.RouteKey + " " + in.RequestContext.EventType + " " + in.Body}, nil
	}
	cfg := &gatewaytest.Config{Backend: gatewaytest.Lambda(fn), RouteResponse: true}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text("hello")
		c.wantText("$default MESSAGE hello")
		c.text("fail")
		if f, err := c.read(); err != nil || !strings.Contains(string(f.Payload), "Internal server error") {
			t.Errorf("%s, %v", f.Payload, err)
		}
	})

	ctx := context.Background()
	message, connect := &gatewaytest.Event{Body: "x"}, &gatewaytest.Event{}
	connect.RequestContext.EventType = gatewaytest.EventConnect
	null := gatewaytest.Lambda(func(context.Context, request) (any, error) { return nil, nil })
	if resp, err := null(ctx, message); resp != nil || err != nil {
		t.Errorf("null: %v, %v", resp, err)
	}
	if _, err := null(ctx, connect); err == nil {
		t.Error("$connect without a statusCode")
	}
	for name, h := range map[string]gatewaytest.Handler{
		"input does not fit": gatewaytest.Lambda(func(context.Context, struct{ Body int }) (any, error) { return nil, nil }),
		"no proxy response":  gatewaytest.Lambda(func(context.Context, request) (string, error) { return "text", nil }),
		"not JSON":           gatewaytest.Lambda(func(context.Context, request) (func(), error) { return func() {}, nil }),
	} {
		if _, err := h(ctx, message); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
