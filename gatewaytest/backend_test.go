package gatewaytest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
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

// The table of the developer guide (websocket-api-develop-routes), and what it says of arrays and
// paths.
func TestRoutingTable(t *testing.T) {
	const payload = `{"service":"chat","action":"join","data":{"room":"room1234"}}`
	for _, test := range []struct{ expr, msg, key string }{
		{`$request.body.action`, payload, "join"},
		{`${request.body.action}`, payload, "join"},
		{`${request.body.service}/${request.body.action}`, payload, "chat/join"},
		{`${request.body.action}-${request.body.invalidPath}`, payload, "join-"},
		{`action`, payload, "action"},
		{`\$default`, payload, "$default"},

		{`$request.body.service/$request.body.action`, payload, "chat/join"},
		{`$request.body.data.room`, payload, "room1234"},
		{`${request.body['data'].room}`, payload, "room1234"},
		{`$request.body["data"]['room']`, payload, "room1234"},
		{`${request.body['a.b c']}`, `{"a.b c":"x"}`, "x"},
		{`$request.body.items[0]`, `{"items":["a","b"]}`, "a"},
		{`$request.body.items[-1].kind`, `{"items":["a",{"kind":"b"}]}`, "b"},
		{`x${request.body.items[2]}`, `{"items":["a","b"]}`, "x"},
		{`$request.body[1]`, `["a","b"]`, "b"},
		{`$request.body.items`, `{"items":["item1","item2"]}`, "[item1, item2]"},
		{`$request.body.items`, `{"items":[1,[true,null]]}`, "[1, [true, null]]"},
		{`$request.body.data`, `{"data":{"b":"x","a":[1]}}`, "{a=[1], b=x}"},
		{`x$request.body.action`, `{"action":null}`, "x"},
		{`x$request.body.action`, `5`, "x"},
		{`\$$request.body.action`, `{"action":"connect"}`, "$default"},
	} {
		t.Run(test.expr+" "+test.msg, func(t *testing.T) {
			cfg := &gatewaytest.Config{RouteSelection: test.expr, RouteResponse: true, Routes: map[string]gatewaytest.Handler{
				"$connect": gatewaytest.Silent, "$default": answer("$default"), "other": answer("other"),
			}}
			cfg.Routes[test.key] = answer(test.key)
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				c.text(test.msg)
				c.wantText(test.key)
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
