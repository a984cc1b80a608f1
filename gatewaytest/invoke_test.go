package gatewaytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// backendAt serves what Handlers call.
func backendAt(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func event(typ, body string) *gatewaytest.Event {
	return &gatewaytest.Event{Body: body, RequestContext: gatewaytest.RequestContext{EventType: typ, ConnectionID: "id="}}
}

// The Lambda Invoke API as AWS's runtime interface emulator and sam local start-lambda serve it.
// The former is run by the tests of internal/interop/rie.
func TestInvokeLambda(t *testing.T) {
	for name, test := range map[string]struct {
		typ, header, result string
		status              int
		body, fails         string
	}{
		"a response":                 {result: `{"statusCode":200,"body":"hello"}`, body: "hello"},
		"null":                       {result: `null`},
		"an empty object":            {result: `{}`},
		"a string":                   {result: `"text"`, fails: "malformed proxy response"},
		"not JSON, as on a timeout":  {result: `Task timed out after 3.00 seconds`, fails: "malformed proxy response"},
		"$connect, no statusCode":    {typ: gatewaytest.EventConnect, result: `{"body":"x"}`, fails: "no statusCode"},
		"an error by Lambda":         {header: "Unhandled", result: `{"errorMessage":"boom","errorType":"Error"}`, fails: "Error: boom"},
		"an error by the emulator":   {result: `{"errorMessage":"boom","errorType":"Error"}`, fails: "Error: boom"},
		"an error without a message": {header: "Unhandled", result: ``, fails: "function failed"},
		"its own field errorType":    {result: `{"statusCode":200,"errorType":"x","body":"mine"}`, body: "mine"},
		"404":                        {status: 404, result: `{}`, fails: "404"},
		"400 with a reason":          {status: 400, result: `{}`, fails: "400"},
		"too long":                   {result: `"` + strings.Repeat("x", 11<<20) + `"`, fails: "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			url := backendAt(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != "POST" || r.URL.Path != "/2015-03-31/functions/my fn/invocations" || !strings.Contains(string(body), `"connectionId":"id="`) {
					t.Errorf("%s %s %s", r.Method, r.URL.Path, body)
				}
				if test.header != "" {
					w.Header().Set("X-Amz-Function-Error", test.header)
				}
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				io.WriteString(w, test.result)
			})
			typ := test.typ
			if typ == "" {
				typ = gatewaytest.EventMessage
			}
			resp, err := gatewaytest.InvokeLambda(url, "my fn")(t.Context(), event(typ, "x"))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("%v, want %s", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body := ""
			if resp != nil {
				body = resp.Body
			}
			if body != test.body {
				t.Errorf("%q, want %q", body, test.body)
			}
		})
	}
	t.Run("nobody answers", func(t *testing.T) {
		s := httptest.NewServer(nil)
		s.Close()
		if _, err := gatewaytest.InvokeLambda(s.URL, "f")(t.Context(), event("MESSAGE", "")); err == nil {
			t.Error("no error")
		}
	})
	t.Run("no URL", func(t *testing.T) {
		for _, endpoint := range []string{"", "127.0.0.1:8080", "ftp://x", "http://"} {
			wantPanic(t, "InvokeLambda: endpoint", func() { gatewaytest.InvokeLambda(endpoint, "f") })
		}
	})
}

// The runtime interface emulator crashes if it is asked to run two invocations at once.
func TestInvokeOneAtATime(t *testing.T) {
	for function, wantErr := range map[string]error{"function": context.DeadlineExceeded, "other": nil} {
		var url string
		var calls atomic.Int32
		url = backendAt(t, func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) == 1 { // another, by a Handler of its own, while this one runs
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if wantErr == nil {
					ctx = t.Context()
				}
				_, err := gatewaytest.InvokeLambda(url, function)(ctx, event("MESSAGE", ""))
				if !errors.Is(err, wantErr) {
					t.Errorf("%s: %v, want %v", function, err, wantErr)
				}
			}
			io.WriteString(w, `{"statusCode":200}`)
		})
		if _, err := gatewaytest.InvokeLambda(url, function)(t.Context(), event("MESSAGE", "")); err != nil {
			t.Error(err)
		}
		if n := calls.Load(); (n == 2) != (wantErr == nil) {
			t.Errorf("%s: %d calls", function, n)
		}
	}
}

func TestInvokeLambdaAuthorizer(t *testing.T) {
	var result atomic.Value
	url := backendAt(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), `"type":"REQUEST"`) {
			t.Errorf("%s", body)
		}
		io.WriteString(w, result.Load().(string))
	})
	s := gatewaytest.Run(t, &gatewaytest.Config{
		Authorizer: &gatewaytest.Authorizer{Func: gatewaytest.InvokeLambdaAuthorizer(url, "f")},
	})
	for want, body := range map[int]string{
		101: `{"principalId":"me","policyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}}`,
		403: `{"principalId":"me","policyDocument":{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}}`,
		401: `{"errorMessage":"Unauthorized","errorType":"errorString"}`,
		500: `{"errorMessage":"x","errorType":"errorString"}`,
	} {
		result.Store(body)
		if got := handshake(t, s, s.URL, nil).StatusCode; got != want {
			t.Errorf("%d, want %d for %s", got, want, body)
		}
	}
}

func TestHTTPProxy(t *testing.T) {
	type request struct{ method, uri, body, id, contentType, key, custom string }
	requests := make(chan request, 1)
	var status atomic.Int32
	status.Store(200)
	url := backendAt(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Method, r.RequestURI, string(body), r.Header.Get("Connectionid"), r.Header.Get("Content-Type"),
			r.Header.Get("Sec-Websocket-Key"), r.Header.Get("X-Custom")}
		w.Header().Set("Sec-WebSocket-Protocol", r.Header.Get("X-Custom"))
		w.WriteHeader(int(status.Load()))
		io.WriteString(w, "answer")
	})
	proxy := gatewaytest.HTTPProxy(url+"/path?a=1", map[string]string{
		"integration.request.header.connectionId":          "context.connectionId",
		"integration.request.header.Sec-WebSocket-Version": "'0'",
		"integration.request.querystring.action":           "route.request.body.action",
		"integration.request.header.none":                  "stageVariables.none",
	})
	s := gatewaytest.Run(t, &gatewaytest.Config{
		Routes:        map[string]gatewaytest.Handler{"$connect": proxy, "$default": proxy},
		RouteResponse: true,
	})
	resp := handshake(t, s, s.URL+"?b=2", http.Header{"X-Custom": {"mine"}})
	got := <-requests
	if got.method != "POST" || got.uri != "/path?a=1&b=2" || got.id == "" || got.key == "" || got.custom != "mine" {
		t.Errorf("$connect: %+v", got)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "mine" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	c := dial(t, s)
	<-requests
	c.text(`{"action":"go"}`)
	want := request{"POST", "/path?a=1&action=go", `{"action":"go"}`, c.id, "application/json", "", ""}
	if got := <-requests; got != want {
		t.Errorf("message: %+v, want %+v", got, want)
	}
	c.wantText("answer")

	status.Store(http.StatusTeapot)
	if got := handshake(t, s, s.URL, nil).StatusCode; got != 418 {
		t.Errorf("$connect: %d, want 418", got)
	}
	<-requests
	t.Run("malformed", func(t *testing.T) {
		for to, from := range map[string]string{
			"connectionId":                     "context.connectionId",
			"integration.request.header.":      "context.connectionId",
			"integration.request.path.x":       "context.connectionId",
			"integration.request.querystring.": "'x'",
			"integration.request.header.a":     "connectionId",
			"integration.request.header.b":     "'open",
			"integration.request.header.c":     "route.request.body.a[",
		} {
			wantPanic(t, "HTTPProxy", func() { gatewaytest.HTTPProxy(url, map[string]string{to: from}) })
		}
		wantPanic(t, "HTTPProxy", func() { gatewaytest.HTTPProxy("localhost:80", nil) })
	})
}

// wantPanic checks that f panics with a text that contains want.
func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p, ok := recover().(string); !ok || !strings.Contains(p, want) {
			t.Errorf("panic with %q, want %q", p, want)
		}
	}()
	f()
}
