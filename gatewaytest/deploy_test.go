package gatewaytest_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

func TestDeploy(t *testing.T) {
	cfg := &gatewaytest.Config{RouteResponse: true, Routes: map[string]gatewaytest.Handler{
		"old": answer("old"), "slow": func(ctx context.Context, _ *gatewaytest.Event) (*gatewaytest.Response, error) {
			time.Sleep(time.Second)
			return &gatewaytest.Response{Body: "slow"}, nil
		},
	}}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text(`{"action":"old"}`)
		c.wantText("old")
		c.text(`{"action":"slow"}`)
		synctest.Wait()
		s.Deploy(&gatewaytest.Config{
			Routes:         map[string]gatewaytest.Handler{"new/": answer("new"), "$default": answer("default")},
			RouteSelection: "${request.body.type}/",
			RouteResponse:  true,
			Authorize:      func(*http.Request) int { return 401 },
		})
		c.wantText("slow") // goes on as it began
		c.text(`{"type":"new"}`)
		c.wantText("new")
		c.text(`{"action":"old"}`)
		c.wantText("default")
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 401 {
			t.Errorf("handshake: %d", got)
		}
		wantPanic(t, "$conect", func() {
			s.Deploy(&gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$conect": gatewaytest.Silent}})
		})
		c.text(`{"type":"new"}`)
		c.wantText("new")
	})
}

func TestRouteSettings(t *testing.T) {
	wait := func(ctx context.Context, _ *gatewaytest.Event) (*gatewaytest.Response, error) {
		<-ctx.Done()
		return nil, nil
	}
	t.Run("IntegrationTimeout and RouteResponse", func(t *testing.T) {
		cfg := &gatewaytest.Config{
			IntegrationTimeout: 2 * time.Second,
			Routes:             map[string]gatewaytest.Handler{"short": wait, "long": wait, "answers": answer("a"), "$default": answer("b")},
			RouteSettings: map[string]gatewaytest.RouteSettings{
				"short": {IntegrationTimeout: time.Second}, "answers": {RouteResponse: true},
			},
		}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			for key, want := range map[string]time.Duration{"short": time.Second, "long": 2 * time.Second} {
				began := time.Now()
				c.text(fmt.Sprintf(`{"action":%q}`, key))
				if f, err := c.read(); err != nil || time.Since(began) != want || !strings.Contains(string(f.Payload), "timed out") {
					t.Errorf("%s: %s after %v, %v", key, f.Payload, time.Since(began), err)
				}
			}
			c.text("not for a route with a response")
			c.text(`{"action":"answers"}`)
			c.wantText("a")
		})
	})
	t.Run("throttling in band", func(t *testing.T) {
		cfg := &gatewaytest.Config{
			Routes:        map[string]gatewaytest.Handler{"some": answer("some"), "all": answer("all")},
			RouteResponse: true,
			RouteSettings: map[string]gatewaytest.RouteSettings{"some": {Rate: 1, Burst: 2, Throttled: "Slow down"}},
		}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			// The limit is that of the route, not of a connection.
			one, two := dial(t, s), dial(t, s)
			one.text(`{"action":"some"}`)
			one.wantText("some")
			two.text(`{"action":"some"}`)
			two.wantText("some")
			one.text(`{"action":"some"}`)
			if f, err := one.read(); err != nil || !strings.HasPrefix(string(f.Payload), `{"message": "Slow down", "connectionId":"`+one.id+`"`) {
				t.Errorf("%s, %v", f.Payload, err)
			}
			one.text(`{"action":"all"}`)
			one.wantText("all")
			time.Sleep(time.Second)
			two.text(`{"action":"some"}`)
			two.wantText("some")
		})
	})
	t.Run("throttling at the handshake", func(t *testing.T) {
		cfg := &gatewaytest.Config{RouteSettings: map[string]gatewaytest.RouteSettings{"$connect": {Rate: 2}, "$default": {Rate: 1}}}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			for i, want := range []int{101, 101, 429} {
				if got := handshake(t, s, s.URL, nil).StatusCode; got != want {
					t.Errorf("%d: %d, want %d", i, got, want)
				}
			}
			time.Sleep(500 * time.Millisecond)
			c := dial(t, s)
			c.text("echo")
			c.wantText("echo")
			c.text("echo")
			if f, err := c.read(); err != nil || !strings.Contains(string(f.Payload), `"Too Many Requests"`) {
				t.Errorf("%s, %v", f.Payload, err)
			}
		})
	})
}

func TestSubprotocols(t *testing.T) {
	cfg := &gatewaytest.Config{Subprotocols: []string{"b", "a"}}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		for offer, want := range map[string]string{"a, b": "b", "x,a": "a", "x": "", "": ""} {
			header := http.Header{}
			if offer != "" {
				header.Set("Sec-WebSocket-Protocol", offer)
			}
			resp := handshake(t, s, s.URL, header)
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != want || resp.StatusCode != 101 {
				t.Errorf("%q: %q, want %q", offer, got, want)
			}
		}
	})
	cfg.Routes = map[string]gatewaytest.Handler{
		"$connect": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
			return &gatewaytest.Response{Headers: map[string]string{"sec-websocket-protocol": "mine"}}, nil
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		resp := handshake(t, s, s.URL, http.Header{"Sec-WebSocket-Protocol": {"a, mine"}})
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "mine" {
			t.Errorf("$connect: %q", got)
		}
	})
}

func TestPushFrame(t *testing.T) {
	bubble(t, &gatewaytest.Config{PushFrame: 4}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		for text, want := range map[string]string{"": "", "abcd": "abcd", "abcdefgh": "abcd efgh", "abcdefghi": "abcd efgh i"} {
			s.Conns()[0].Send([]byte(text))
			var frames []string
			for {
				f, err := c.read()
				if err != nil {
					t.Fatal(err)
				}
				frames = append(frames, string(f.Payload))
				if (f.Header.OpCode == 0) != (len(frames) > 1) {
					t.Errorf("%q: frame %d has opcode %v", text, len(frames), f.Header.OpCode)
				}
				if f.Header.Fin {
					break
				}
			}
			if got := strings.Join(frames, " "); got != want {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		}
	})
}

// Two messages of one connection race, as two Lambda functions do.
func TestConcurrent(t *testing.T) {
	handler := func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		d, _ := time.ParseDuration(ev.Body)
		time.Sleep(d)
		return &gatewaytest.Response{Body: ev.Body}, nil
	}
	for concurrent, want := range map[bool]string{false: "2s 1s 3s", true: "1s 2s 3s"} {
		cfg := &gatewaytest.Config{
			Routes: map[string]gatewaytest.Handler{"$default": handler}, RouteResponse: true, Concurrent: concurrent,
		}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			for _, text := range []string{"2s", "1s", "3s"} {
				c.text(text)
			}
			for _, text := range strings.Fields(want) {
				c.wantText(text)
			}
		})
	}
	t.Run("back-pressure", func(t *testing.T) {
		started := make(chan bool, 10_000)
		cfg := &gatewaytest.Config{Concurrent: true, Routes: map[string]gatewaytest.Handler{
			"$default": func(ctx context.Context, _ *gatewaytest.Event) (*gatewaytest.Response, error) {
				started <- true
				<-ctx.Done()
				return nil, nil
			},
		}}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			go func() {
				frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 32<<10))))
				for range 100 {
					if _, err := c.Write(frame); err != nil {
						return
					}
				}
			}()
			synctest.Wait()
			if n := len(started); n < 16 || n > 32 {
				t.Errorf("%d messages are being handled, want about 1 MiB of them", n)
			}
		})
	})
	t.Run("back-pressure of empty messages", func(t *testing.T) {
		cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{
			"$default": func(ctx context.Context, _ *gatewaytest.Event) (*gatewaytest.Response, error) {
				<-ctx.Done()
				return nil, nil
			},
		}}
		bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			go c.Write(bytes.Repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(nil))), 50_000))
			synctest.Wait()
			if n := s.Stats().Messages; n < 1000 || n > 20_000 {
				t.Errorf("%d messages taken in", n)
			}
		})
	})
}

func TestObserve(t *testing.T) {
	var got []string
	cfg := &gatewaytest.Config{
		Observe: func(o gatewaytest.Observation) {
			if o.Time.IsZero() || o.Missed != 0 || o.ConnectionID == "" && o.Kind != gatewaytest.Refused {
				t.Errorf("%+v", o)
			}
			got = append(got, strings.TrimSpace(fmt.Sprint(o.Kind, " ", o.SourceIP, o.Route, " ", string(o.Data), o.Status, o.Code, o.Reason)))
		},
		RouteResponse: true,
		Routes: map[string]gatewaytest.Handler{
			"ping": answer("pong"), "fail": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) { panic("x") },
			"$connect": func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				if ev.QueryStringParameters["deny"] != "" {
					return &gatewaytest.Response{StatusCode: 418}, nil
				}
				return nil, nil
			},
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		handshake(t, s, s.URL+"?deny=1", nil)
		handshake(t, s, s.URL+"x", nil)
		c := dial(t, s)
		c.text(`{"action":"ping"}`)
		c.wantText("pong")
		call(t, s, "POST", "/@connections/"+c.id, "news")
		c.wantText("news")
		c.send(ws.NewPingFrame([]byte("p")))
		c.want(ws.OpPong, "p")
		c.text(`{"action":"fail"}`)
		c.read()
		s.Conns()[0].Close(4000, "bye")
		c.wantClose(4000, "bye")
		s.Close()
		for i, o := range got {
			if strings.Contains(o, "Internal server error") {
				got[i] = "failed"
			}
		}
		want := "refused 127.0.0.1 418 0; refused 127.0.0.1 403 0; connected 127.0.0.1 0 0; " +
			`received ping {"action":"ping"}0 0; responded  pong0 0; pushed  news0 0; pinged  0 0; received fail {"action":"fail"}0 0; ` +
			"failed; closed  0 4000bye"
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("got  %s\nwant %s", s, want)
		}
	})
	for name, most := range map[string]struct{ size, kept int }{
		"slow":                      {1, 1 << 16},
		"slow, with large messages": {32 << 10, 64 << 20 / (32 << 10)},
	} {
		t.Run(name, func(t *testing.T) {
			messages := most.kept * 2 / 3 // each is received and responded to
			text := strings.Repeat("x", most.size)
			hold := make(chan bool)
			seen, missed := 0, 0
			cfg := &gatewaytest.Config{Discard: true, Observe: func(o gatewaytest.Observation) {
				<-hold
				seen++
				missed += o.Missed
			}}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				hold = make(chan bool) // of the bubble
				c := dial(t, s)
				for range messages {
					c.text(text)
					c.wantText(text)
				}
				if missed != 0 || seen != 0 {
					t.Errorf("seen %d, missed %d", seen, missed)
				}
				close(hold)
				synctest.Wait()
				c.text("x")
				c.wantText("x")
				synctest.Wait()
				// The first one is being reported while the others wait.
				if all := 1 + 2*messages + 2; seen+missed != all || seen < most.kept || seen > most.kept+5 {
					t.Errorf("seen %d, missed %d of %d", seen, missed, all)
				}
			})
		})
	}
}
