package template

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, name string, opts Options) (*API, []string) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	api, notes, err := Parse(data, opts)
	if err != nil {
		t.Fatal(err)
	}
	return api, notes
}

func lambda(name string) Integration { return Integration{Kind: Lambda, Function: name} }

func TestChat(t *testing.T) {
	api, notes := read(t, "chat.yaml", Options{})
	want := &API{
		ID: "ChatApi", RouteSelection: "$request.body.message", Stage: "Prod",
		Routes: map[string]Route{
			"$connect":    {Integration: lambda("OnConnectFunction")},
			"$disconnect": {Integration: lambda("OnDisconnectFunction")},
			"sendmessage": {Integration: lambda("SendMessageFunction"), Timeout: 5 * time.Second},
		},
	}
	if !reflect.DeepEqual(api, want) {
		t.Errorf("got  %+v\nwant %+v", api, want)
	}
	if len(notes) != 0 {
		t.Errorf("notes: %q", notes)
	}
}

func TestAuthorizerAndResponses(t *testing.T) {
	api, notes := read(t, "authorizer.yaml", Options{Parameters: map[string]string{"AuthorizerName": "authorize"}})
	want := &API{
		ID: "Api", RouteSelection: "${request.body.service}/${request.body.action}", Stage: "prod",
		StageVariables: map[string]string{"function": "echo-function", "color": "blue"},
		Authorizer:     &Authorizer{Function: "authorize", Identity: []string{"route.request.querystring.token"}},
		Throttle:       Throttle{Rate: 100, Burst: 50},
		Routes: map[string]Route{
			"$connect": {Integration: Integration{Kind: Mock}},
			"$default": {Integration: Integration{
				Kind: HTTP, URL: "http://127.0.0.1:9000/events", Method: "POST",
				Parameters: map[string]string{"integration.request.header.connection": "context.connectionId"},
			}},
			"queue": {},
			"test/echo": {Integration: lambda("echo-function"), Timeout: 10 * time.Second, Response: true,
				Throttle: &Throttle{Rate: 5}},
		},
	}
	if !reflect.DeepEqual(api, want) {
		t.Errorf("got  %+v\nwant %+v", api, want)
	}
	wantNotes := []string{
		"line 59: Default: has a RouteResponseSelectionExpression and no AWS::ApiGatewayV2::RouteResponse: clients get no answer",
		"line 74: Queue: RequestModels has no effect here",
		"line 81: QueueIntegration: IntegrationType AWS is not supported: its routes fail",
		"line 91: Prod: of the stages prod, staging this one is served; choose with --stage",
		"line 91: Prod: RouteSettings: there is no route none",
	}
	if !slices.Equal(notes, wantNotes) {
		t.Errorf("notes:\n%s\nwant:\n%s", strings.Join(notes, "\n"), strings.Join(wantNotes, "\n"))
	}
}

func TestOptions(t *testing.T) {
	parameters := map[string]string{"AuthorizerName": "authorize", "Environment": "beta"}
	api, _ := read(t, "authorizer.yaml", Options{Stage: "staging", NoAuth: true, API: "Api", Parameters: parameters})
	if api.Stage != "staging" || api.StageVariables != nil || api.Authorizer != nil {
		t.Errorf("stage %q, variables %v, authorizer %v", api.Stage, api.StageVariables, api.Authorizer)
	}
	if _, ok := api.Routes["beta"]; !ok {
		t.Error("the route whose condition holds is missing")
	}
	_, notes := read(t, "authorizer.yaml", Options{Stage: "other", Parameters: parameters})
	if want := `Api: the template has no stage "other"; it has: prod, staging`; !strings.Contains(strings.Join(notes, "\n"), want) {
		t.Errorf("notes: %q, want %s", notes, want)
	}
}

func TestServerless(t *testing.T) {
	api, notes := read(t, "serverless.yaml", Options{})
	want := &API{
		ID: "Api", RouteSelection: "$request.body.action", Stage: "v1",
		StageVariables: map[string]string{"table": "connections", "color": "blue"},
		Authorizer:     &Authorizer{Function: "Authorize", Identity: []string{"route.request.header.Authorization"}},
		Routes: map[string]Route{
			"$connect": {Integration: lambda("Connect")},
			"$default": {Integration: lambda("Default"), APIKey: true},
			"send-message": {Integration: lambda("Send"), Timeout: 3 * time.Second, Response: true,
				Throttle: &Throttle{Rate: 7, Burst: 3}},
			"quiet": {Integration: lambda("Send")},
		},
	}
	if !reflect.DeepEqual(api, want) {
		t.Errorf("got  %+v\nwant %+v", api, want)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "has a RouteResponseSelectionExpression and no") {
		t.Errorf("notes: %q", notes)
	}
}

// The name of an authorizer's function may be in a stage variable, too.
func TestAuthorizerStageVariable(t *testing.T) {
	api, _, err := Parse([]byte(`
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageVariables: {auth: my-authorizer}
      Auth: {AuthType: CUSTOM, AuthArn: 'arn:aws:lambda:us-east-1:1:function:${stageVariables.auth}'}
      Routes: {a: {FunctionArn: f}}
`), Options{})
	if err != nil || api.Authorizer.Function != "my-authorizer" {
		t.Errorf("%+v, %v", api, err)
	}
}

// JSON with tabs, which is no YAML.
func TestJSON(t *testing.T) {
	api, notes, err := Parse([]byte(`{
	"Resources": {
		"Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {
			"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}},
		"In": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {"ApiId": {"Ref": "Api"},
			"IntegrationType": "AWS_PROXY", "TimeoutInMillis": 1500,
			"IntegrationUri": {"Fn::Join": ["", ["arn:aws:apigateway:", {"Ref": "AWS::Region"},
				":lambda:path/2015-03-31/functions/", {"Fn::GetAtt": ["F", "Arn"]}, "/invocations"]]}}},
		"R": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"ApiId": {"Ref": "Api"}, "RouteKey": "$default",
			"ApiKeyRequired": true, "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "In"}]]}}},
		"F": {"Type": "AWS::Lambda::Function", "Properties": {}}
	}
}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Route{Integration: lambda("F"), Timeout: 1500 * time.Millisecond, APIKey: true}
	if got := api.Routes["$default"]; !reflect.DeepEqual(got, want) || api.Stage != "" {
		t.Errorf("got %+v, stage %q", got, api.Stage)
	}
	if len(notes) != 0 {
		t.Errorf("notes: %q", notes)
	}
}
