package errorframe

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := func(n int) string {
		const rest = `{"message":"","connectionId":"a","requestId":"b"}`
		return strings.Replace(rest, `""`, `"`+strings.Repeat("x", n-len(rest))+`"`, 1)
	}
	for p, want := range map[string]*Frame{
		`{"message": "Forbidden", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"eHrjDEuVPHcFWMg="}`: {
			Message: "Forbidden", ConnectionID: "eHrdFcnvvHcCE-w=", RequestID: "eHrjDEuVPHcFWMg="},
		`{"message":"Internal server error","connectionId":"a","requestId":"b"}`: {
			Message: "Internal server error", ConnectionID: "a", RequestID: "b"},
		"\n { \"requestId\" :\t\"b\" , \"connectionId\" : \"a\" , \"message\" : \"x\" } \r\n": {
			Message: "x", ConnectionID: "a", RequestID: "b"},
		`{"message":"","connectionId":"","requestId":""}`: {},
		long(MaxLen): {Message: strings.Repeat("x", MaxLen-49), ConnectionID: "a", RequestID: "b"},

		long(MaxLen + 1):                     nil,
		`{"message":"x","connectionId":"a"}`: nil,
		`{"message":"x","connectionId":"a","requestId":"b","type":"order"}`: nil,
		`{"message":"x","connectionId":"a","requestid":"b"}`:                nil,
		`{"message":"x","ConnectionId":"a","requestId":"b"}`:                nil,
		`{"Message":"x","connectionId":"a","requestId":"b"}`:                nil,
		`{"message":"x","connectionId":"a","requestId":7}`:                  nil,
		`{"message":"x","connectionId":"a","requestId":null}`:               nil,
		`{"message":"x","connectionId":null,"requestId":"b"}`:               nil,
		`{"message":null,"connectionId":"a","requestId":"b"}`:               nil,
		`[{"message":"x","connectionId":"a","requestId":"b"}]`:              nil,
		`{"message":"x","connectionId":"a","requestId":"b"}{}`:              nil,
		`"message connectionId requestId"`:                                  nil,
		`{"message":`:                                                       nil,
		`hello`:                                                             nil,
		`null`:                                                              nil,
		``:                                                                  nil,
	} {
		got := Parse([]byte(p))
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%.99q is %+v, want %+v", p, got, want)
		}
	}
}

// FuzzGatewayError holds Parse against encoding/json read the slow way.
func FuzzGatewayError(f *testing.F) {
	for _, seed := range []string{
		`{"message": "Forbidden", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"eHrjDEuVPHcFWMg="}`,
		`{"requestId":"","message":"\u0041\n","connectionId":"\ud800"}`,
		` {"message":"a","message":"b","connectionId":"c","requestId":"d"}`,
		`{"message":"a","connectionId":"c","requestId":"d","extra":1}`,
		`{"message":null,"connectionId":"c","requestId":"d"}`,
		`{"Message":"a","connectionid":"c","requestId":"d"}`,
		`[]`, `{`, `null`, "", "\xff", `{"message":{"message":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		before := bytes.Clone(p)
		got := Parse(p)
		if !bytes.Equal(p, before) {
			t.Fatalf("%q was changed into %q", before, p)
		}
		want := reference(p)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Fatalf("%q is %+v, want %+v", p, got, want)
		}
	})
}

// reference says what Parse should.
func reference(p []byte) *Frame {
	var object map[string]any
	if len(p) > MaxLen || json.Unmarshal(p, &object) != nil || len(object) != 3 {
		return nil
	}
	var values []string
	for _, key := range []string{"message", "connectionId", "requestId"} {
		value, ok := object[key].(string)
		if !ok {
			return nil
		}
		values = append(values, value)
	}
	return &Frame{Message: values[0], ConnectionID: values[1], RequestID: values[2]}
}
