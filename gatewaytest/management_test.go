package gatewaytest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

func TestManagement(t *testing.T) {
	bubble(t, &gatewaytest.Config{Idle: time.Hour}, func(t *testing.T, s *gatewaytest.Server) {
		time.Sleep(1234 * time.Millisecond)
		c := dial(t, s)
		path := "/@connections/" + c.id

		for _, p := range []string{path, "/%40connections/" + url.QueryEscape(c.id)} {
			resp, body := call(t, s, "POST", p, "hello")
			if resp.StatusCode != 200 || body != "" {
				t.Errorf("%s: %s %q", p, resp.Status, body)
			}
			c.wantText("hello")
		}

		resp, body := call(t, s, "POST", path, strings.Repeat("x", 128<<10))
		if resp.StatusCode != 200 {
			t.Errorf("at the limit: %s %q", resp.Status, body)
		}
		c.wantText(strings.Repeat("x", 128<<10))
		resp, _ = call(t, s, "POST", path, strings.Repeat("x", 128<<10+1))
		if resp.StatusCode != 413 || resp.Header.Get("X-Amzn-ErrorType") != "PayloadTooLargeException" {
			t.Errorf("above: %s %v", resp.Status, resp.Header)
		}

		time.Sleep(time.Minute)
		c.send(ws.NewPingFrame(nil))
		c.want(ws.OpPong, "")
		resp, body = call(t, s, "GET", path, "")
		want := `{"connectedAt":"2000-01-01T00:00:01.234Z","lastActiveAt":"2000-01-01T00:00:01.234Z","identity":{"sourceIp":"127.0.0.1"}}`
		if resp.StatusCode != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s\n%s\n%s", resp.Status, body, want)
		}
		c.text("hello")
		c.wantText("hello")
		_, body = call(t, s, "GET", path, "")
		if !strings.Contains(body, `"lastActiveAt":"2000-01-01T00:01:01.234Z"`) {
			t.Error(body)
		}

		resp, body = call(t, s, "DELETE", path, "")
		if resp.StatusCode != 204 || body != "" {
			t.Errorf("%s %q", resp.Status, body)
		}
		c.wantClose(1000, "Connection Closed Normally")
		for _, method := range []string{"POST", "GET", "DELETE"} {
			resp, body := call(t, s, method, path, "")
			if resp.StatusCode != 410 || resp.Header.Get("X-Amzn-ErrorType") != "GoneException" || body != "" {
				t.Errorf("%s: %s %v %q", method, resp.Status, resp.Header, body)
			}
		}
		for _, id := range []string{"x", "not!base64!", "", "a/b"} {
			resp, _ := call(t, s, "POST", "/@connections/"+id, "")
			if resp.StatusCode != 400 || resp.Header.Get("X-Amzn-ErrorType") != "BadRequestException" {
				t.Errorf("%q: %s %v", id, resp.Status, resp.Header)
			}
		}
		if resp, _ := call(t, s, "PUT", path, ""); resp.StatusCode != 403 {
			t.Errorf("PUT: %s", resp.Status)
		}
	})
}

func TestActivePings(t *testing.T) {
	bubble(t, &gatewaytest.Config{ActivePings: true}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		time.Sleep(time.Minute)
		c.send(ws.NewPingFrame(nil))
		c.want(ws.OpPong, "")
		if _, body := call(t, s, "GET", "/@connections/"+c.id, ""); !strings.Contains(body, `"lastActiveAt":"2000-01-01T00:01:00.000Z"`) {
			t.Error(body)
		}
	})
}

func TestAuthorizeManagement(t *testing.T) {
	status := 0
	cfg := &gatewaytest.Config{AuthorizeManagement: func(r *http.Request) int {
		if body, _ := io.ReadAll(r.Body); string(body) != "hello" {
			t.Errorf("body %q", body)
		}
		return status
	}}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		for _, test := range []struct {
			status int
			typ    string
		}{{403, "ForbiddenException"}, {429, "LimitExceededException"}, {500, "ForbiddenException"}} {
			status = test.status
			resp, _ := call(t, s, "POST", "/@connections/"+c.id, "hello")
			if resp.StatusCode != status || resp.Header.Get("X-Amzn-ErrorType") != test.typ {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
		}
		status = 99 // cannot be the status of an answer
		if resp, _ := call(t, s, "POST", "/@connections/"+c.id, "hello"); resp.StatusCode != 500 {
			t.Error(resp.Status)
		}
		for _, status = range []int{0, 200} {
			if resp, _ := call(t, s, "POST", "/@connections/"+c.id, "hello"); resp.StatusCode != 200 {
				t.Error(resp.Status)
			}
			c.wantText("hello")
		}
	})
}

// An authorizer sees the whole body or is not asked: half of one bears no signature.
func TestAuthorizeManagementOfTooMuch(t *testing.T) {
	cfg := &gatewaytest.Config{AuthorizeManagement: func(r *http.Request) int {
		if body, _ := io.ReadAll(r.Body); int64(len(body)) != r.ContentLength {
			return 403
		}
		return 200
	}}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		for n, want := range map[int]int{128 << 10: 200, 128<<10 + 1: 413, 128<<10 + 2: 413, 300 << 10: 413, 8 << 20: 413} {
			resp, _ := call(t, s, "POST", "/@connections/"+c.id, strings.Repeat("x", n))
			if resp.StatusCode != want {
				t.Errorf("%d bytes: %s, want %d", n, resp.Status, want)
			}
		}
	})
}
