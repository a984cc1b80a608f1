package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
)

func TestEcho(t *testing.T) {
	p := serve(t)
	c := p.dial()
	c.send("hello")
	c.want("hello")
	if out := p.out.String(); strings.Count(out, "\n") != 1 || p.err.String() != "" {
		t.Errorf("not quiet: %q, %q", out, p.err)
	}
}

func TestDemo(t *testing.T) {
	p := serve(t, "--demo", "chat", "--tls")
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(p.CAFile)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s: %v", p.CAFile, err)
	}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	c, _, err := websocket.Dial(t.Context(), p.URL, &websocket.DialOptions{HTTPClient: h})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	one := &client{c, t}
	one.send("hello")
	one.want(": hello")
	p.stop()
	p.ended <- <-p.ended
	if _, err := os.Stat(p.CAFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the CA file is left: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	var body, query string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, query = string(b), r.URL.RawQuery
		fmt.Fprint(w, "from http")
	}))
	defer backend.Close()
	var names []string
	named := func(name string) string {
		return lambda(t, functions{name: func(in invocation) any {
			names = append(names, name)
			return object{"statusCode": 200, "body": name + " " + in.StageVariables["color"]}
		}})
	}
	p := serve(t, "--route", "$connect=mock", "--route", "say=echo", "--route", "web="+backend.URL+"/events?x=1",
		"--route", "one=lambda:one", "--route", "two=lambda:two", "--route", "three=lambda:three",
		"--lambda", named("one"), "--lambda", "two="+named("function"),
		"--lambda", "three="+named("other")+"/2015-03-31/functions/other/invocations",
		"--route-response", "web", "--route-response", "one", "--route-response", "two", "--route-response", "three",
		"--route-selection", "$request.body.do", "--stage", "dev", "--stage-variable", "color=red",
		"--api-key", "secret")
	if c, status := p.try(""); c != nil || status != 403 {
		t.Errorf("without a key: %d", status)
	}
	if c, status := p.try("", "X-Api-Key", "wrong"); c != nil || status != 403 {
		t.Errorf("with a wrong key: %d", status)
	}
	if !strings.HasSuffix(p.URL, "/dev") {
		t.Errorf("URL %s", p.URL)
	}
	c := p.dial("X-Api-Key", "secret")
	for do, want := range map[string]string{
		"say": `{"do":"say"}`, "web": "from http", "one": "one red", "two": "function red", "three": "other red", "four": "Forbidden",
	} {
		c.send(`{"do":"` + do + `"}`)
		c.want(want)
	}
	if body != `{"do":"web"}` || query != "x=1" || len(names) != 3 {
		t.Errorf("HTTP got %q, query %q; functions %v", body, query, names)
	}
}

// A flag takes the place of what the template has.
func TestRouteOverTemplate(t *testing.T) {
	p := serve(t, "--template", templates+"chat.yaml", "--route", "$connect=mock", "--route", "sendmessage=echo")
	c := p.dial()
	c.send(`{"message":"sendmessage"}`)
	c.want("sendmessage")
	want := "route $disconnect: function OnDisconnectFunction is nowhere: give --lambda URL, or " +
		"--lambda OnDisconnectFunction=URL; it fails\n"
	if p.err.String() != want {
		t.Errorf("standard error: %s", p.err)
	}
}

func TestAuthorizerFlag(t *testing.T) {
	url := lambda(t, functions{"auth": func(in invocation) any {
		return object{"principalId": in.Headers["X-Token"], "policyDocument": object{"Statement": []any{
			object{"Effect": "Allow", "Action": "*", "Resource": "*"},
		}}}
	}})
	p := serve(t, "--authorizer", "lambda:auth", "--lambda", url, "--identity-source", "route.request.header.X-Token")
	if c, status := p.try(""); c != nil || status != 401 {
		t.Errorf("without the header: %d", status)
	}
	p.dial("X-Token", "x")
}

func TestLimitsAndFaults(t *testing.T) {
	closed := func(args ...string) websocket.StatusCode {
		t.Helper()
		_, _, err := serve(t, args...).dial().Read(t.Context())
		return websocket.CloseStatus(err)
	}
	for want, args := range map[string][]string{
		"1001": {"--idle", "20ms"}, "-1": {"--idle", "20ms", "--abrupt-idle"}, "1001 ": {"--lifetime", "20ms", "--idle", "-1s"},
	} {
		if got := closed(args...); fmt.Sprint(int(got)) != strings.TrimSpace(want) {
			t.Errorf("%v: %d, want %s", args, got, want)
		}
	}

	p := serve(t, "--max-frame", "10", "--push-copies", "1", "--connect-rate", "0.001")
	c := p.dial()
	if c, status := p.try(""); c != nil || status != 429 {
		t.Errorf("the second connection: %d", status)
	}
	c.send("hello")
	c.want("hello")
	c.want("hello")
	c.send("more than ten")
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1009 {
		t.Errorf("a frame that is too large: %v", err)
	}

	for _, args := range [][]string{{"--latency", "100ms"}, {"--push-delay", "100ms"}, {"--rate", "100"}} {
		c := serve(t, args...).dial()
		before := time.Now()
		c.send("hello, everybody") // 18 bytes in a frame from the gateway
		c.want("hello")
		if took := time.Since(before); took < 100*time.Millisecond {
			t.Errorf("%v: the echo came after %v", args, took)
		}
	}
}

// With -v every event is printed, as JSON or as text, and nothing of the query.
func TestVerbose(t *testing.T) {
	p := serve(t, "-v")
	c, _ := p.try("?token=secret")
	c.send("hello")
	c.want("hello")
	c.Close(4000, "bye")
	var kinds []string
	p.until("the close", func() bool { return strings.Contains(p.out.String(), `"closed"`) })
	for line := range strings.Lines(p.out.String()) {
		var e struct{ Kind, Conn, Data string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind != "" && e.Conn == "" {
			t.Errorf("%s", line)
		}
		kinds = append(kinds, e.Kind+e.Data)
	}
	if got := strings.Join(kinds, " "); got != " connected receivedhello respondedhello closed" {
		t.Errorf("kinds: %s", got)
	}
	if strings.Contains(p.out.String(), "secret") {
		t.Error("the query is printed")
	}

	text := &buffer{}
	r := &reporter{err: text, verbose: true}
	for _, o := range observations {
		r.observe(o)
	}
	want := `12:00:00.000  connected  c1
12:00:00.000  received   c1  chat  hel lo
7 events are missing here
12:00:00.000  refused    403
12:00:00.000  closed     c1  1001  Going away
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

func TestWrongFlags(t *testing.T) {
	template := []string{"--template", templates + "chat.yaml"}
	for want, args := range map[string][]string{
		"no such file":                  {"--template", "none"},
		"--parameter \"x\"":             append(template, "--parameter", "x"),
		"want KEY=TARGET":               {"--route", "x"},
		`no target "ftp://x"`:           {"--route", "a=ftp://x"},
		`no target "lambda:"`:           {"--route", "a=lambda:"},
		"--lambda \"x\"":                {"--lambda", "x"},
		"the URL has no path":           {"--lambda", "http://x/y"},
		"there is no such route":        {"--route-response", "x"},
		"want lambda:NAME, or none":     {"--authorizer", "x"},
		"--identity-source goes with":   {"--identity-source", "context.x"},
		"--stage-variable \"x\"":        {"--stage-variable", "x"},
		"--demo has one value":          {"--demo", "x"},
		"function f is nowhere":         {"--authorizer", "lambda:f"},
		"function g is nowhere":         {"--route", "a=lambda:g"},
		"reserved":                      {"--route", "$mine=echo"},
		"RouteSelection":                {"--route-selection", "$x"},
		"want . or [":                   {"--route-selection", "$request.bodyx"},
		"IdentitySources":               {"--authorizer", "lambda:f", "--lambda", "http://x", "--identity-source", "x"},
		"bind":                          {"--addr", "192.0.2.1:0"},
		"whoever reaches the inspector": {"--inspect", "0.0.0.0:0"},
	} {
		cmd := command(io.Discard, io.Discard, append([]string{"--addr", "127.0.0.1:0"}, args...)...)
		err := cmd.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
		var coded *cli.Error
		if usage := want != "bind" && want != "whoever reaches the inspector"; errors.As(err, &coded) != usage {
			t.Errorf("%v: the error is of type %T", args, err)
		}
	}
}

// What is printed of a failure never has the query of a URL, which is the client's.
func TestCause(t *testing.T) {
	err := fmt.Errorf("x: %w", &url.Error{Op: "Post", URL: "http://127.0.0.1:9/a?token=secret", Err: errors.New("refused")})
	if got := cause(err); got != "127.0.0.1:9: refused" {
		t.Errorf("got %q", got)
	}
	if got := cause(errors.New("gatewaytest: function failed")); got != "function failed" {
		t.Errorf("got %q", got)
	}
}
