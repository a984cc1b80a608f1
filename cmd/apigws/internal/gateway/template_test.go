package gateway

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const templates = "../template/testdata/"

// AWS's chat application: three functions, one of which sends to everybody.
func TestTemplateChat(t *testing.T) {
	var mu sync.Mutex
	members := map[string]bool{}
	url := lambda(t, functions{
		"OnConnectFunction": func(in invocation) any {
			mu.Lock()
			defer mu.Unlock()
			members[in.RequestContext.ConnectionID] = true
			return ok(in)
		},
		"OnDisconnectFunction": func(in invocation) any {
			mu.Lock()
			defer mu.Unlock()
			delete(members, in.RequestContext.ConnectionID)
			return ok(in)
		},
		"SendMessageFunction": func(in invocation) any {
			mu.Lock()
			defer mu.Unlock()
			for id := range members {
				post(t, in, id, in.Body)
			}
			return ok(in)
		},
	})
	p := serve(t, "--template", templates+"chat.yaml", "--lambda", url)
	if !strings.HasSuffix(p.URL, "/Prod") {
		t.Errorf("URL %s", p.URL)
	}
	alice, bob := p.dial(), p.dial()
	alice.send(`{"message":"sendmessage","data":"hello"}`)
	alice.want("hello")
	bob.want("hello")
	alice.send(`{"message":"other"}`)
	alice.want(`{"message": "Forbidden"`)
	bob.CloseNow()
	p.until("the departure", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(members) == 1
	})
	if p.err.String() != "" {
		t.Errorf("standard error: %s", p.err)
	}
}

// An authorizer, route responses, stage variables, a mock, HTTP, and what does not exist here.
func TestTemplateAuthorizer(t *testing.T) {
	var echoed invocation
	url := lambda(t, functions{
		"authorize": func(in invocation) any {
			if !strings.HasSuffix(in.MethodArn, "/prod/$connect") {
				t.Errorf("methodArn %q", in.MethodArn)
			}
			effect := "Deny"
			if in.QueryStringParameters["token"] == "good" {
				effect = "Allow"
			}
			return object{
				"principalId": "me", "context": object{"tenant": "acme"},
				"policyDocument": object{"Version": "2012-10-17", "Statement": []any{
					object{"Effect": effect, "Action": "execute-api:Invoke", "Resource": in.MethodArn},
				}},
			}
		},
		"echo-function": func(in invocation) any {
			echoed = in
			return object{"statusCode": 200, "body": "you said " + in.Body}
		},
	})
	p := serve(t, "--template", templates+"authorizer.yaml", "--parameter", "AuthorizerName=authorize", "--lambda", url)
	if c, status := p.try(""); c != nil || status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if c, status := p.try("?token=bad"); c != nil || status != 403 {
		t.Errorf("with a bad token: %d", status)
	}
	c, status := p.try("?token=good")
	if c == nil {
		t.Fatalf("with the token: %d", status)
	}
	c.send(`{"service":"test","action":"echo"}`)
	c.want(`you said {"service"`)
	if a := echoed.RequestContext.Authorizer; a["tenant"] != "acme" || echoed.StageVariables["color"] != "blue" {
		t.Errorf("authorizer %v, stage variables %v", a, echoed.StageVariables)
	}
	c.send(`{"service":"que","action":"x"}`) // que/x: $default, whose backend does not answer
	c.want("Internal server error")
	if err := p.err.String(); !strings.Contains(err, "route $default: 127.0.0.1:9000: ") {
		t.Errorf("standard error: %s", err)
	}
	if !strings.Contains(p.err.String(), "QueueIntegration: IntegrationType AWS is not supported") {
		t.Errorf("standard error: %s", p.err)
	}
}

// A route that cannot be served fails, and the others are served.
func TestTemplateInPart(t *testing.T) {
	file := write(t, `
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, Target: !Sub 'integrations/${Mock}'}
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: MOCK}
  Web:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: web, Target: !Sub 'integrations/${Http}'}
  Http:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: HTTP_PROXY
      IntegrationUri: http://127.0.0.1:9/{id}
      RequestParameters: {integration.request.path.id: context.connectionId}
`)
	p := serve(t, "--template", file)
	c := p.dial()
	c.send(`{"action":"web"}`)
	c.want("Internal server error")
	if err := p.err.String(); !strings.Contains(err, `route web: HTTPProxy: "integration.request.path.id"`) {
		t.Errorf("standard error: %s", err)
	}
}

func TestTemplateServerless(t *testing.T) {
	var color string
	url := lambda(t, functions{
		"Authorize": func(in invocation) any { return errors.New(in.Headers["Authorization"]) },
		"Connect": func(in invocation) any {
			color = in.StageVariables["color"]
			return ok(in)
		},
		"Default": ok,
		"Send":    func(in invocation) any { return object{"statusCode": 200, "body": in.RequestContext.RouteKey} },
	})
	args := []string{"--template", templates + "serverless.yaml", "--lambda", url}
	p := serve(t, args...)
	if !strings.HasSuffix(p.URL, "/v1") {
		t.Errorf("URL %s", p.URL)
	}
	if c, status := p.try("", "Authorization", "Unauthorized"); c != nil || status != 401 {
		t.Errorf("unauthorized: %d", status)
	}
	if err := p.err.String(); strings.Contains(err, "authorizer: ") {
		t.Errorf("a refusal is not a failure: %s", err)
	}
	if c, status := p.try("", "Authorization", "no table"); c != nil || status != 500 {
		t.Errorf("the authorizer failed: %d", status)
	}
	if err := p.err.String(); !strings.Contains(err, "authorizer: function failed: Error: no table\n") {
		t.Errorf("standard error: %s", err)
	}
	p = serve(t, append(args, "--authorizer", "none", "--stage-variable", "color=green", "--stage", "dev")...)
	if !strings.HasSuffix(p.URL, "/dev") {
		t.Errorf("URL %s", p.URL)
	}
	c := p.dial()
	c.send(`{"action":"quiet"}`) // no route response: no answer
	c.send(`{"action":"send-message"}`)
	c.want("send-message")
	if color != "green" {
		t.Errorf("color %q", color)
	}
}

// An authorizer that cannot be read ends the start, unless the user goes on without it.
func TestTemplateWithoutAuthorizer(t *testing.T) {
	file := write(t, `
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Auth: {AuthType: CUSTOM, AuthArn: !ImportValue authorizer}
      Routes: {a: {FunctionArn: f}}
`)
	err := command(io.Discard, io.Discard, "--addr", "127.0.0.1:0", "--template", file).ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--authorizer none") {
		t.Errorf("with it: %v", err)
	}
	serve(t, "--template", file, "--authorizer", "none").dial()
}

// A change is taken up while a client is connected; what makes no sense changes nothing.
func TestTemplateChanges(t *testing.T) {
	const before = `
Resources:
  F: {Type: AWS::Serverless::Function}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes:
        a: {FunctionArn: !GetAtt F.Arn, RouteResponseSelectionExpression: $default}
  A: {Type: AWS::ApiGatewayV2::RouteResponse, Properties: {ApiId: !Ref Api, RouteId: ApiaRoute}}
`
	url := lambda(t, functions{"F": func(in invocation) any {
		return object{"statusCode": 200, "body": "from " + in.RequestContext.RouteKey}
	}})
	file := write(t, before)
	p := serve(t, "--template", file, "--lambda", url)
	if !strings.HasSuffix(p.URL, "/default") {
		t.Errorf("URL %s", p.URL)
	}
	c := p.dial()
	c.send(`{"action":"a"}`)
	c.want("from a")
	c.send(`{"action":"b"}`)
	c.want("Forbidden")

	change := func(old, new string) {
		t.Helper()
		said := len(p.err.String())
		// Replaced, as editors do, so that no half of it is read.
		if err := os.WriteFile(file+".new", []byte(strings.ReplaceAll(before, old, new)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		p.until("the change", func() bool {
			news := p.err.String()[said:]
			return strings.HasSuffix(news, "connections stay\n") || strings.HasSuffix(news, "goes on\n")
		})
	}
	change("a: {", "b: {")
	c.send(`{"action":"a"}`)
	c.want("Forbidden")
	c.send(`{"action":"b"}`) // without a route response, which is of the route a
	change("Routes:", "Routes: [")
	if !strings.Contains(p.err.String(), "what was served before goes on") {
		t.Errorf("standard error: %s", p.err)
	}
	change("GetAtt F.Arn", "Ref Nowhere")
	c.send(`{"action":"a"}`)
	c.want("Internal server error")
	change("Type: AWS::Serverless::WebSocketApi", "Type: AWS::Serverless::HttpApi")
	c.send(`{"action":"a"}`)
	c.want("Internal server error") // still
	change("Properties:\n", "Properties:\n      StageName: other\n")
	if !strings.Contains(p.err.String(), "the stage default is served until the next start") {
		t.Errorf("standard error: %s", p.err)
	}
	c.send(`{"action":"a"}`)
	c.want("from a")
}

// A change is seen by time, by size and by a file that takes the place of another.
func TestChanged(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	file := write(t, "a")
	touch := func(at time.Time) {
		t.Helper()
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	touch(noon)
	f := &source{file: file}
	want := func(changed bool, what string) {
		t.Helper()
		if f.changed() != changed {
			t.Errorf("%s: %v", what, !changed)
		}
		f.seen, _ = os.Stat(file)
	}
	want(true, "a file that was not read")
	want(false, "no change")
	touch(noon.Add(time.Second))
	want(true, "another time")
	if err := os.WriteFile(file, []byte("ab"), 0o644); err != nil {
		t.Fatal(err)
	}
	touch(noon.Add(time.Second))
	want(true, "another size")
	if err := errors.Join(os.Rename(file, file+".old"), os.WriteFile(file, []byte("xy"), 0o644)); err != nil {
		t.Fatal(err)
	}
	touch(noon.Add(time.Second))
	want(true, "another file")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if f.changed() {
		t.Error("a file that is away for a moment is a change")
	}
}
