package gatewaytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// An Authorizer is a Lambda REQUEST authorizer: a function that decides on a handshake before
// $connect runs, and whose result the events of the connection carry.
type Authorizer struct {
	// Func is the function; see LambdaAuthorizer and InvokeLambdaAuthorizer.
	Func AuthorizerFunc

	// IdentitySources are what a handshake must have, such as "route.request.header.Authorization",
	// "route.request.querystring.token", "stageVariables.tenant" or "context.identity.sourceIp". If
	// one is missing or empty, the answer is 401 and the function is not called.
	IdentitySources []string

	// RawContext leaves numbers and booleans of the function's context in events what they are. By
	// default they become strings, as documented for mapping templates; which of the two proxy
	// events have is not known.
	RawContext bool
}

// An AuthorizerFunc is the function of an Authorizer. An error whose text is "Unauthorized" makes
// the answer to the handshake 401, any other, and a panic, 500. Its context ends with
// Config.IntegrationTimeout.
type AuthorizerFunc func(ctx context.Context, r *AuthorizerRequest) (*AuthorizerResponse, error)

// An AuthorizerRequest is what an AuthorizerFunc gets. Its JSON is the event of a Lambda REQUEST
// authorizer.
type AuthorizerRequest struct {
	// Type is always "REQUEST".
	Type string `json:"type"`

	// MethodARN is arn:aws:execute-api:us-east-1:123456789012:{api}/{stage}/$connect.
	MethodARN string `json:"methodArn"`

	// Headers are those of the handshake, with Connection and Upgrade, which the CONNECT event
	// lacks; of several values the last. MultiValueHeaders has all.
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`

	// QueryStringParameters are those of the URL; of several values the last.
	// MultiValueQueryStringParameters has all.
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`

	// StageVariables are Config.StageVariables.
	StageVariables map[string]string `json:"stageVariables"`

	// RequestContext is that of the CONNECT event.
	RequestContext RequestContext `json:"requestContext"`
}

// An AuthorizerResponse is what an AuthorizerFunc returns; see Allow and Deny. As JSON it has at
// most 8 KB.
type AuthorizerResponse struct {
	// PrincipalID is who the client is. It must not be empty.
	PrincipalID string `json:"principalId"`

	// PolicyDocument decides.
	PolicyDocument Policy `json:"policyDocument"`

	// Context has strings, numbers and booleans for the events of the connection.
	Context map[string]any `json:"context,omitempty"`

	// UsageIdentifierKey is the API key of a usage plan. Nothing looks at it.
	UsageIdentifierKey string `json:"usageIdentifierKey,omitempty"`
}

// A Policy is an IAM policy. It lets a client in if a statement allows execute-api:Invoke on the
// AuthorizerRequest's MethodARN and none denies it.
type Policy struct {
	Version   string      `json:"Version"`   // "2012-10-17"
	Statement []Statement `json:"Statement"` // of which a Deny beats every Allow
}

// A Statement is a statement of a Policy. Actions and resources may contain * and ?.
type Statement struct {
	Effect   string     `json:"Effect"` // Allow or Deny
	Action   StringList `json:"Action"`
	Resource StringList `json:"Resource"`
}

// A StringList is a list that in JSON may also be a single string.
type StringList []string

// UnmarshalJSON takes a string or a list of strings.
func (l *StringList) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*l = StringList{s}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// Allow returns the result of an AuthorizerFunc that lets a client in. Events carry the context,
// which may be nil.
func Allow(principalID string, context map[string]any) *AuthorizerResponse {
	return &AuthorizerResponse{PrincipalID: principalID, PolicyDocument: everything("Allow"), Context: context}
}

// Deny returns the result of an AuthorizerFunc that makes the answer to the handshake 403.
func Deny(principalID string) *AuthorizerResponse {
	return &AuthorizerResponse{PrincipalID: principalID, PolicyDocument: everything("Deny")}
}

func everything(effect string) Policy {
	return Policy{Version: "2012-10-17", Statement: []Statement{
		{Effect: effect, Action: StringList{"execute-api:Invoke"}, Resource: StringList{"*"}},
	}}
}

// allows reports whether the policy allows the action of a handshake on a resource.
func (p Policy) allows(arn string) bool {
	allowed := false
	for _, s := range p.Statement {
		applies := slices.ContainsFunc(s.Action, func(a string) bool { return match(strings.ToLower(a), "execute-api:invoke") }) &&
			slices.ContainsFunc(s.Resource, func(r string) bool { return match(r, arn) })
		switch {
		case !applies:
		case s.Effect == "Deny":
			return false
		case s.Effect == "Allow":
			allowed = true
		}
	}
	return allowed
}

// match reports whether s fits a pattern of IAM, whose * takes slashes, too.
func match(pattern, s string) bool {
	flat := strings.NewReplacer("/", "\x00", "[", `\[`, `\`, `\\`)
	ok, err := path.Match(flat.Replace(pattern), strings.ReplaceAll(s, "/", "\x00"))
	return ok && err == nil
}

// mostAuthorizer is how long an authorizer's result may be, as documented.
const mostAuthorizer = 8 << 10

// parseAuthorizerResponse takes the result of an authorizer's function as the gateway does.
func parseAuthorizerResponse(result []byte) (*AuthorizerResponse, error) {
	if len(result) > mostAuthorizer {
		return nil, errors.New("gatewaytest: the authorizer's result is longer than 8 KB")
	}
	var resp *AuthorizerResponse
	d := json.NewDecoder(strings.NewReader(string(result)))
	d.UseNumber()
	if err := d.Decode(&resp); err != nil {
		return nil, fmt.Errorf("gatewaytest: malformed result of the authorizer: %w", err)
	}
	return resp, nil
}

// check returns what the gateway does not take.
func (r *AuthorizerResponse) check() error {
	if r == nil || r.PrincipalID == "" {
		return errors.New("gatewaytest: the authorizer's result has no principalId")
	}
	for key, v := range r.Context {
		switch v.(type) {
		case map[string]any, []any, nil:
			return fmt.Errorf("gatewaytest: the authorizer's context has an object, an array or null at %q", key)
		}
	}
	return nil
}

// values returns what the events of the connection carry.
func (a *Authorizer) values(r *AuthorizerResponse) map[string]any {
	values := map[string]any{"principalId": r.PrincipalID}
	for key, v := range r.Context {
		if !a.RawContext {
			v = fmt.Sprint(v)
		}
		values[key] = v
	}
	return values
}

// authorize asks the authorizer, and keeps what the events of the connection are to carry. It
// returns the status of a refusal, or 0.
func (t *attempt) authorize() int {
	authorizer := t.a.authorizer
	if authorizer == nil {
		return 0
	}
	ev := t.event()
	for _, source := range authorizer.IdentitySources {
		if v, ok := mapping(source).value(ev); !ok || v == "" {
			return http.StatusUnauthorized
		}
	}
	arn := methodARN(t.s.cfg.Stage)
	resp, err := call(t.s, t.r.Context(), t.a.timeout, "authorizer", authorizer.Func, t.authorizerRequest(arn, ev))
	if err == nil {
		err = resp.check()
	}
	switch {
	case isUnauthorized(err):
		return http.StatusUnauthorized
	case err != nil:
		t.s.log.Info("authorizer failed", "conn", t.id, "error", err)
		return http.StatusInternalServerError
	case !resp.PolicyDocument.allows(arn):
		return http.StatusForbidden
	}
	t.origin.authorizer = authorizer.values(resp)
	return 0
}

// isUnauthorized reports whether a function has failed with "Unauthorized", here or behind
// InvokeLambdaAuthorizer.
func isUnauthorized(err error) bool {
	var f *FunctionError
	return err != nil && err.Error() == "Unauthorized" || errors.As(err, &f) && f.Message == "Unauthorized"
}

func (t *attempt) authorizerRequest(arn string, ev *Event) *AuthorizerRequest {
	req := &AuthorizerRequest{
		Type:                            "REQUEST",
		MethodARN:                       arn,
		Headers:                         ev.Headers,
		MultiValueHeaders:               ev.MultiValueHeaders,
		QueryStringParameters:           ev.QueryStringParameters,
		MultiValueQueryStringParameters: ev.MultiValueQueryStringParameters,
		StageVariables:                  t.a.stageVariables(),
		RequestContext:                  ev.RequestContext,
	}
	for name, value := range map[string]string{
		"Connection":     t.r.Header.Get("Connection"),
		"Upgrade":        t.r.Header.Get("Upgrade"),
		"content-length": "0",
	} {
		req.Headers[name], req.MultiValueHeaders[name] = value, []string{value}
	}
	return req
}

// methodARN is the ARN of the handshake, with the account of AWS's examples.
func methodARN(stage string) string {
	return "arn:aws:execute-api:us-east-1:123456789012:" + apiID + "/" + stage + "/$connect"
}
