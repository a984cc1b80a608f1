package gatewaytest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

type authorizerFunc = func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error)

func TestAuthorizer(t *testing.T) {
	const arn = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/prod/$connect"
	policy := func(statements ...gatewaytest.Statement) authorizerFunc {
		return func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
			return &gatewaytest.AuthorizerResponse{PrincipalID: "me", PolicyDocument: gatewaytest.Policy{Statement: statements}}, nil
		}
	}
	statement := func(effect, action, resource string) gatewaytest.Statement {
		return gatewaytest.Statement{Effect: effect, Action: []string{"x:y", action}, Resource: []string{"arn:x", resource}}
	}
	returns := func(r *gatewaytest.AuthorizerResponse, err error) authorizerFunc {
		return func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
			return r, err
		}
	}
	for name, test := range map[string]struct {
		f    authorizerFunc
		want int
	}{
		"Allow":                {returns(gatewaytest.Allow("me", nil), nil), 101},
		"Deny":                 {returns(gatewaytest.Deny("me"), nil), 403},
		"no statement":         {policy(), 403},
		"the ARN":              {policy(statement("Allow", "execute-api:Invoke", arn)), 101},
		"the action, its case": {policy(statement("Allow", "execute-api:invoke", arn)), 101},
		"wildcards":            {policy(statement("Allow", "execute-api:*", "arn:aws:execute-api:*:*:a1b2c3d4e5/*")), 101},
		"question mark":        {policy(statement("Allow", "*", strings.Replace(arn, "prod", "p?od", 1))), 101},
		"brackets":             {policy(statement("Allow", "*", strings.Replace(arn, "prod", "[p]rod", 1))), 403},
		"another stage":        {policy(statement("Allow", "*", strings.Replace(arn, "prod", "dev", 1))), 403},
		"another action":       {policy(statement("Allow", "execute-api:ManageConnections", "*")), 403},
		"one denies":           {policy(statement("Allow", "*", "*"), statement("Deny", "*", arn)), 403},
		"one denies, first":    {policy(statement("Deny", "*", arn), statement("Allow", "*", "*")), 403},
		"another is denied":    {policy(statement("Allow", "*", "*"), statement("Deny", "*", arn+"x")), 101},
		"Unauthorized":         {returns(nil, errors.New("Unauthorized")), 401},
		"another error":        {returns(nil, errors.New("unauthorized")), 500},
		"nothing":              {returns(nil, nil), 500},
		"no principal":         {returns(gatewaytest.Allow("", nil), nil), 500},
		"an object in context": {returns(gatewaytest.Allow("me", map[string]any{"a": map[string]any{}}), nil), 500},
		"panic": {func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
			panic("x")
		}, 500},
		"timeout": {func(ctx context.Context, _ *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
			<-ctx.Done()
			return gatewaytest.Allow("me", nil), nil
		}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			connects := 0
			cfg := connectWith(func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
				connects++
				return nil, nil
			})
			cfg.Authorizer = &gatewaytest.Authorizer{Func: test.f}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				if got := handshake(t, s, s.URL, nil).StatusCode; got != test.want {
					t.Errorf("%d, want %d", got, test.want)
				}
				if (connects == 1) != (test.want == 101) {
					t.Errorf("$connect ran %d times", connects)
				}
			})
		})
	}
}

// What is missing is known before the function is asked.
func TestIdentitySources(t *testing.T) {
	calls := 0
	cfg := &gatewaytest.Config{
		StageVariables: map[string]string{"tenant": "a"},
		Authorizer: &gatewaytest.Authorizer{
			IdentitySources: []string{
				"route.request.header.authorization", "route.request.querystring.token", "stageVariables.tenant",
				"context.identity.sourceIp",
			},
			Func: func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
				calls++
				return gatewaytest.Allow("me", nil), nil
			},
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		header := http.Header{"Authorization": {"x"}}
		for _, test := range []struct {
			query  string
			header http.Header
			want   int
		}{
			{"?token=1", header, 101},
			{"?token=1", nil, 401},
			{"?token=", header, 401},
			{"", header, 401},
		} {
			if got := handshake(t, s, s.URL+test.query, test.header).StatusCode; got != test.want {
				t.Errorf("%s %v: %d, want %d", test.query, test.header, got, test.want)
			}
		}
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
		cfg.StageVariables, cfg.Authorizer.IdentitySources = nil, []string{"stageVariables.tenant"}
		s.Deploy(cfg)
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 401 {
			t.Errorf("no stage variable: %d", got)
		}
		cfg.Authorizer.IdentitySources = []string{"context.identity.caller"}
		s.Deploy(cfg)
		if got := handshake(t, s, s.URL, nil).StatusCode; got != 401 {
			t.Errorf("no caller: %d", got)
		}
	})
}

// A function written for AWS runs unchanged: the real event goes in, through JSON, and the context
// is in the events.
func TestLambdaAuthorizer(t *testing.T) {
	var event string
	function := func(_ context.Context, in json.RawMessage) (any, error) {
		event = string(in)
		return json.RawMessage(`{"principalId":"me","policyDocument":{"Version":"2012-10-17","Statement":[` +
			`{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"arn:aws:execute-api:us-east-1:123456789012:*/$connect"}]},` +
			`"context":{"text":"a","number":12345678901234567890,"yes":true}}`), nil
	}
	var r recorder
	cfg := &gatewaytest.Config{
		Backend:        r.handle,
		StageVariables: map[string]string{"v": "1"},
		Authorizer:     &gatewaytest.Authorizer{Func: gatewaytest.LambdaAuthorizer(function)},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		time.Sleep(time.Second)
		if got := handshake(t, s, s.URL+"?q=1&q=2", http.Header{"User-Agent": {"test/1"}}).StatusCode; got != 101 {
			t.Fatal(got)
		}
		for _, pattern := range []string{`"[\w-]{15}="`, `Root=1-386d4381-[0-9a-f]{24}`, `[\w+/]{22}==`} {
			event = regexp.MustCompile(pattern).ReplaceAllString(event, "X")
		}
		want := `{"type":"REQUEST","methodArn":"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/prod/$connect",` +
			`"headers":{"Accept-Encoding":"gzip","Connection":"Upgrade","Host":"127.0.0.1","Sec-WebSocket-Key":"X","Sec-WebSocket-Version":"13",` +
			`"Upgrade":"websocket","User-Agent":"test/1","X-Amzn-Trace-Id":"X","X-Forwarded-For":"127.0.0.1",` +
			`"X-Forwarded-Port":"443","X-Forwarded-Proto":"https","content-length":"0"},` +
			`"multiValueHeaders":{"Accept-Encoding":["gzip"],"Connection":["Upgrade"],"Host":["127.0.0.1"],"Sec-WebSocket-Key":["X"],` +
			`"Sec-WebSocket-Version":["13"],"Upgrade":["websocket"],"User-Agent":["test/1"],"X-Amzn-Trace-Id":["X"],` +
			`"X-Forwarded-For":["127.0.0.1"],"X-Forwarded-Port":["443"],"X-Forwarded-Proto":["https"],"content-length":["0"]},` +
			`"queryStringParameters":{"q":"2"},"multiValueQueryStringParameters":{"q":["1","2"]},"stageVariables":{"v":"1"},` +
			`"requestContext":{"routeKey":"$connect","eventType":"CONNECT","extendedRequestId":X,` +
			`"requestTime":"01/Jan/2000:00:00:01 +0000","messageDirection":"IN","stage":"prod","connectedAt":946684801000,` +
			`"requestTimeEpoch":946684801000,"identity":{"sourceIp":"127.0.0.1","userAgent":"test/1"},"requestId":X,` +
			`"domainName":"127.0.0.1","connectionId":X,"apiId":"a1b2c3d4e5"}}`
		if event != want {
			t.Errorf("got  %s\nwant %s", event, want)
		}
		authorizer := `"authorizer":{"number":"12345678901234567890","principalId":"me","text":"a","yes":"true"}`
		if !strings.Contains(r.events[0], authorizer) || strings.Contains(r.events[0], `"Connection"`) {
			t.Errorf("%s", r.events[0])
		}
		cfg.Authorizer.RawContext = true
		s.Deploy(cfg)
		handshake(t, s, s.URL, nil)
		authorizer = `"authorizer":{"number":12345678901234567890,"principalId":"me","text":"a","yes":true}`
		if !strings.Contains(r.events[1], authorizer) {
			t.Errorf("%s", r.events[1])
		}
	})
	for name, result := range map[string]string{
		"not JSON": `text`, "too long": `{"principalId":"` + strings.Repeat("x", 8<<10) + `"}`, "a list": `[]`,
	} {
		f := gatewaytest.LambdaAuthorizer(func(context.Context, any) (json.RawMessage, error) {
			return json.RawMessage(result), nil
		})
		if _, err := f(t.Context(), &gatewaytest.AuthorizerRequest{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
