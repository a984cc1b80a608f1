package gatewaytest_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
	"github.com/gobwas/ws"
)

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
		for path, want := range map[string]int{
			"": 426, "/": 426, "/below": 426, "/below/it?q=1": 426, "/@connections": 426, "x": 403,
		} {
			if resp, _ := call(t, s, "GET", path, ""); resp.StatusCode != want {
				t.Errorf("GET %s: %s, want %d", path, resp.Status, want)
			}
		}
		if got := handshake(t, s, s.URL+"/below", nil).StatusCode; got != 403 {
			t.Errorf("handshake below the stage: %d, want 403", got)
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

// A handshake that is none is refused before the backend hears of it, and counted as what it was
// answered with.
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

func TestRefuse(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		try := func(want int) {
			t.Helper()
			if got := handshake(t, s, s.URL, nil).StatusCode; got != want {
				t.Errorf("%d, want %d", got, want)
			}
		}
		s.Refuse(503, 2)
		try(503)
		try(503)
		try(101)
		s.Refuse(429, -1)
		for range 5 {
			try(429)
		}
		s.Refuse(0, 0)
		try(101)
		if st := s.Stats(); st.Accepted != 2 || st.Refused[503] != 2 || st.Refused[429] != 5 {
			t.Errorf("%+v", st)
		}
	})
}

func TestHold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		s.Hold(true)
		s.Hold(true)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		_, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.AfterFunc(time.Minute, func() { s.Hold(false) })
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 101 || time.Since(began) != 90*time.Second {
			t.Errorf("after %v: %d", time.Since(began), got)
		}
		if st := s.Stats(); st.Accepted != 1 || len(st.Refused) != 0 {
			t.Errorf("%+v", st)
		}

		// Who has given up does not take part any more.
		s.Hold(true)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
		synctest.Wait()
		s.Refuse(503, 1)
		s.Hold(false)
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 503 {
			t.Errorf("%d", got)
		}
	})
}
