package template

import (
	"strings"
	"testing"
)

// What would be dangerous to go on without, and what cannot be read.
func TestErrors(t *testing.T) {
	const api = `
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
`
	const serverless = `
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
`
	const connect = api + `
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, AuthorizationType: CUSTOM, AuthorizerId: `
	tests := []struct{ name, template, want string }{
		{"empty", "", "empty"},
		{"text", "hello", "not a mapping"},
		{"not YAML", "a: [", "yaml"},
		{"key twice", "a: 1\nb: 2\na: 3\n", `line 3: key "a" is there twice`},
		{"bomb", bomb(), "too large"},
		{"alias of itself", "a: &a [*a]\n", "nested too deeply"},
		{"nothing", "Resources: {T: {Type: 'AWS::DynamoDB::Table'}}", "no WebSocket API"},
		{"two", api + "  Other: {Type: 'AWS::Serverless::WebSocketApi'}\n", "--api: Api, Other"},
		{"no selection", strings.Replace(api, "RouteSelectionExpression", "Name", 1), "line 3: Api: RouteSelectionExpression is missing"},
		{"no selection, SAM", strings.Replace(serverless, "RouteSelectionExpression", "Name", 1), "RouteSelectionExpression is missing"},
		{"no routes, SAM", serverless, "Routes is missing"},
		{"unknown authorization", api + "  R: {Type: 'AWS::ApiGatewayV2::Route', Properties: " +
			"{ApiId: !Ref Api, RouteKey: $connect, AuthorizationType: JWT}}", `"JWT" is not supported`},
		{"no such authorizer", connect + "none}", "no authorizer"},
		{"authorizer elsewhere", connect + "!Ref A}\n  A: {Type: 'AWS::ApiGatewayV2::Authorizer', Properties: " +
			"{ApiId: !Ref Api, AuthorizerType: REQUEST, AuthorizerUri: !ImportValue authorizer}}", "--authorizer none"},
		{"authorizer elsewhere, SAM", serverless + "      Auth: {AuthType: CUSTOM, AuthArn: !ImportValue x}\n", "AuthArn is missing"},
		{"unknown authorization, SAM", serverless + "      Auth: {AuthType: JWT}\n", "not supported"},
		{"route twice", api + strings.Repeat("  R1: {Type: 'AWS::ApiGatewayV2::Route', Properties: {ApiId: !Ref Api, RouteKey: a}}\n", 1) +
			"  R2: {Type: 'AWS::ApiGatewayV2::Route', Properties: {ApiId: !Ref Api, RouteKey: a}}\n", "two routes a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Parse([]byte(tt.template), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, _, err := Parse([]byte(api), Options{API: "Other"}); err == nil || !strings.Contains(err.Error(), `"Other"; it has: Api`) {
		t.Errorf("an API that is not there: %v", err)
	}
}

// bomb is a template of a few lines that expands to billions.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := '1'; i <= '9'; i++ {
		b.WriteString("a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat("*a"+string(i-1)+", ", 9) + "*a" + string(i-1) + "]\n")
	}
	return b.String()
}

// What is not understood is named, and the rest of the API served.
func TestNotes(t *testing.T) {
	const text = `
Transform: [AWS::Serverless-2016-10-31, MyMacro]
Conditions:
  Broken: !Equals [!Ref NoSuch, x]
Resources:
  Nested: {Type: AWS::CloudFormation::Stack}
  Fn::ForEach::Topics: [a, b, c]
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.action
      ApiKeySelectionExpression: $context.authorizer.usageIdentifierKey
      BodyS3Location: {Bucket: b}
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, AuthorizationType: AWS_IAM, Target: nowhere}
  Mine:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $mine, AuthorizationType: AWS_IAM, Target: !Sub 'integrations/${Link}'}
  NoKey:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: !ImportValue key}
  NoApi:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !ImportValue api, RouteKey: b}
  Unsure:
    Type: AWS::ApiGatewayV2::Route
    Condition: Broken
    Properties: {ApiId: !Ref Api, RouteKey: c}
  Link:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: HTTP_PROXY, ConnectionType: VPC_LINK, IntegrationUri: x, TimeoutInMillis: 10}
`
	api, notes, err := Parse([]byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if route, ok := api.Routes["$connect"]; !ok || route.Integration.Kind != Unsupported || len(api.Routes) != 1 {
		t.Errorf("routes: %+v", api.Routes)
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{
		"Transform MyMacro is not carried out",
		"Nested: nested templates are not read",
		"Fn::ForEach::Topics: is not supported",
		"line 8: Api: API keys of authorizers are not checked",
		"Api: BodyS3Location has no effect here",
		"Connect: AWS_IAM: signatures are not checked here",
		`Connect: Target "nowhere" is no integration of the template: the route fails`,
		"Mine: AuthorizationType AWS_IAM: only $connect is authorized",
		"Api: route $mine: keys of one's own do not begin with $; left out",
		"NoKey: RouteKey: Fn::ImportValue is not supported",
		"NoKey: RouteKey is missing, or not known; left out",
		"NoApi: ApiId: Fn::ImportValue is not supported; left out",
		"Unsure: condition Broken: there is no NoSuch in the template; left out",
		"Link: a VPC link does not exist here: its routes fail",
		"Link: TimeoutInMillis is not between 50 and 29000, as AWS demands",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no note %q", want)
		}
	}
	if len(notes) != 15 {
		t.Errorf("%d notes:\n%s", len(notes), all)
	}
}
