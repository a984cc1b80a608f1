package template

import (
	"reflect"
	"strings"
	"testing"
)

const names = `
Parameters:
  Text: {Type: String, Default: hello}
  List: {Type: CommaDelimitedList, Default: 'a, b'}
  Needed: {Type: String}
Mappings: {Map: {us-east-1: {size: small, sizes: [s, m]}}}
Conditions:
  Yes: !Equals [!Ref Text, hello]
  No: !Not [!Condition Yes]
  Both: !And [!Condition Yes, !Condition No]
  Either: !Or [!Condition Yes, !Condition No]
  Loop: !Condition Loop
Resources:
  F: {Type: AWS::Lambda::Function}
  SF: {Type: AWS::Serverless::Function}
  Live: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !GetAtt F.Arn, Name: live}}
  V: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref F}}
  Api: {Type: AWS::ApiGatewayV2::Api}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {StageName: !Ref Text}}
  Table: {Type: AWS::DynamoDB::Table}
`

func TestIntrinsics(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:"
	tests := []struct {
		yaml string
		want any // an error: what it says
	}{
		{"plain", "plain"}, {"12", "12"}, {"true", "true"}, {"'!Ref X'", "!Ref X"},
		{"!Ref Text", "hello"}, {"{Ref: Text}", "hello"}, {"!Ref List", []any{"a", "b"}},
		{"!Ref AWS::Region", "us-east-1"}, {"!Ref Api", "Api"}, {"!Ref Stage", "hello"},
		{"!Ref F", "F"}, {"!Ref Live", arn + "F"}, {"!Ref V", arn + "F"}, {"!Ref SF.Alias", arn + "SF"}, {"!Ref SFAliaslive", arn + "SF"},
		{"!GetAtt F.Arn", arn + "F"}, {"!GetAtt [SF, Arn]", arn + "SF"}, {"!GetAtt Live.AliasArn", arn + "F"}, {"!GetAtt Api.ApiId", "Api"},
		{"!Sub 'a ${Text} ${AWS::Region} ${F.Arn} ${!kept}'", "a hello us-east-1 " + arn + "F ${kept}"},
		{"!Sub ['${x}-${Text}', {x: !Ref F}]", "F-hello"},
		{"!Join ['-', [a, !Ref Text]]", "a-hello"}, {"!Join [',', !Ref List]", "a,b"},
		{"!Split [',', 'a,b']", []any{"a", "b"}}, {"!Select [1, !Split [',', 'a,b']]", "b"},
		{"!FindInMap [Map, !Ref AWS::Region, size]", "small"},
		{"!If [Yes, a, b]", "a"}, {"!If [No, a, b]", "b"}, {"!If [Both, a, b]", "b"}, {"!If [Either, a, b]", "a"},
		{"[a, !If [No, b, !Ref AWS::NoValue]]", []any{"a"}}, {"{a: b, c: !Ref AWS::NoValue}", map[string]any{"a": "b"}},
		{"!Ref Needed", errorText("--parameter Needed=VALUE")}, {"!Ref Nothing", errorText("no Nothing")}, {"!Sub '${Nothing.Arn}'", errorText("no Nothing")},
		{"!GetAtt Table.StreamArn", errorText("known to AWS only")}, {"!GetAtt F", errorText("F. is known to AWS only")},
		{"!ImportValue x", errorText("Fn::ImportValue is not supported")}, {"!Sub '${Text'", errorText("has no }")}, {"!Sub '${List}'", errorText("not a text")},
		{"!Sub [a]", errorText("Fn::Sub: wrong")}, {"!Join [a]", errorText("Fn::Join: wrong")}, {"!Join ['', [[a]]]", errorText("Fn::Join: wrong")},
		{"!Select [2, [a, b]]", errorText("Fn::Select: wrong")}, {"!Select [-1, [a]]", errorText("Fn::Select: wrong")},
		{"!FindInMap [Map, x, y]", errorText("no Map/x/y")}, {"!If [Nope, a, b]", errorText(`no condition "Nope"`)}, {"!If [Yes]", errorText("Fn::If: wrong")},
		{"!If [Loop, a, b]", errorText("without end")}, {"!Split [a]", errorText("Fn::Split: wrong")}, {"!GetAtt [a]", errorText("Fn::GetAtt: wrong")},
	}
	for _, tt := range tests {
		doc, err := parse([]byte(names + "V: " + tt.yaml + "\n"))
		if err != nil {
			t.Fatalf("%s: %v", tt.yaml, err)
		}
		p := &evaluator{doc: doc}
		got, err := p.eval(doc.root["V"])
		if want, ok := tt.want.(errorText); ok {
			if err == nil || !strings.Contains(err.Error(), string(want)) {
				t.Errorf("%s: %v, want %s", tt.yaml, err, want)
			}
		} else if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.yaml, got, err, tt.want)
		}
	}
}

type errorText string

func TestFunctionName(t *testing.T) {
	for _, tt := range [][2]string{
		{"hello", "hello"},
		{"arn:aws:lambda:us-east-1:1:function:hello", "hello"},
		{"arn:aws:lambda:us-east-1:1:function:hello:live", "hello"},
		{"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:1:function:hello/invocations", "hello"},
		{"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:1:function:${stageVariables.f}:live/invocations", "${stageVariables.f}"},
	} {
		if got := functionName(tt[0]); got != tt[1] {
			t.Errorf("%s: %s, want %s", tt[0], got, tt[1])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(names)
	f.Add("{\"Resources\": {\"A\": {\"Type\": \"AWS::Serverless::WebSocketApi\"}}}")
	f.Add("Resources: {A: {Type: 'AWS::Serverless::WebSocketApi', Properties: {RouteSelectionExpression: $a, Routes: {x: {FunctionArn: y}}}}}")
	f.Fuzz(func(t *testing.T, text string) {
		Parse([]byte(text), Options{}) // must not panic, nor take for ever
	})
}
