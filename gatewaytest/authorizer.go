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

// An Authorizer is a Lambda REQUEST authorizer: a function that decides on a handshake before $connect runs, and whose
// result the events of the connection carry.
type Authorizer struct {
	// Func is the function; see LambdaAuthorizer and InvokeLambdaAuthorizer.
	Func AuthorizerFunc

	// IdentitySources are what a handshake must have, such as "route.request.header.Authorization",
	// "route.request.querystring.token", "stageVariables.tenant" or "context.identity.sourceIp". If one is missing or
	// empty, the answer is 401 and the function is not called.
	IdentitySources []string

	// RawContext leaves numbers and booleans of the function's context in events what they are. By default they become
	// strings, as documented for mapping templates; which of the two proxy events have is not known.
	RawContext bool
}

// An AuthorizerFunc is the function of an Authorizer. An error whose text is "Unauthorized" makes the answer to the
// handshake 401, any other, and a panic, 500. Its context ends with Config.IntegrationTimeout.
type AuthorizerFunc func(ctx context.Context, r *AuthorizerRequest) (*AuthorizerResponse, error)

// An AuthorizerRequest is what an AuthorizerFunc gets. Its JSON is the event of a Lambda REQUEST authorizer.
type AuthorizerRequest struct {
	Type                            string              `json:"type"`      // always REQUEST
	MethodARN                       string              `json:"methodArn"` // arn:aws:execute-api:us-east-1:123456789012:{api}/{stage}/$connect
	Headers                         map[string]string   `json:"headers"`   // of several values the last; with Connection and Upgrade, which the CONNECT event lacks
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"` // of several values the last
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`
	StageVariables                  map[string]string   `json:"stageVariables"` // Config.StageVariables
	RequestContext                  RequestContext      `json:"requestContext"`
}

// An AuthorizerResponse is what an AuthorizerFunc returns; see Allow and Deny. As JSON it has at most 8 KB.
type AuthorizerResponse struct {
	PrincipalID        string         `json:"principalId"` // must not be empty
	PolicyDocument     Policy         `json:"policyDocument"`
	Context            map[string]any `json:"context,omitempty"` // strings, numbers and booleans
	UsageIdentifierKey string         `json:"usageIdentifierKey,omitempty"`
}

// A Policy is an IAM policy. It lets a client in if a statement allows execute-api:Invoke on the AuthorizerRequest's
// MethodARN and none denies it.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
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

// Allow returns the result of an AuthorizerFunc that lets a client in. Events carry the context, which may be nil.
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

// authorize asks the authorizer about a handshake. It returns what the events of the connection carry, and the status
// of a refusal, or 0.
func (s *Server) authorize(a *api, r *http.Request, id string, o origin) (map[string]any, int) {
	if a.authorizer == nil {
		return nil, 0
	}
	ev := s.connectEvent(a, r, id, o)
	for _, source := range a.authorizer.IdentitySources {
		if v, ok := mapping(source).value(ev); !ok || v == "" {
			return nil, http.StatusUnauthorized
		}
	}
	resp, err := call(s, r.Context(), a.timeout, "authorizer", a.authorizer.Func, s.authorizerRequest(a, r, ev))
	if err == nil {
		err = resp.check()
	}
	switch {
	case err != nil && err.Error() == "Unauthorized", isUnauthorized(err):
		return nil, http.StatusUnauthorized
	case err != nil:
		s.log.Info("authorizer failed", "conn", id, "error", err)
		return nil, http.StatusInternalServerError
	case !resp.PolicyDocument.allows(methodARN(s.cfg.Stage)):
		return nil, http.StatusForbidden
	}
	return a.authorizer.values(resp), 0
}

// isUnauthorized reports whether a function that was called by InvokeLambdaAuthorizer has failed with "Unauthorized".
func isUnauthorized(err error) bool {
	var f *FunctionError
	return errors.As(err, &f) && f.Message == "Unauthorized"
}

func (s *Server) authorizerRequest(a *api, r *http.Request, ev *Event) *AuthorizerRequest {
	req := &AuthorizerRequest{
		Type:                            "REQUEST",
		MethodARN:                       methodARN(s.cfg.Stage),
		Headers:                         ev.Headers,
		MultiValueHeaders:               ev.MultiValueHeaders,
		QueryStringParameters:           ev.QueryStringParameters,
		MultiValueQueryStringParameters: ev.MultiValueQueryStringParameters,
		StageVariables:                  a.stageVariables(),
		RequestContext:                  ev.RequestContext,
	}
	for name, value := range map[string]string{
		"Connection": r.Header.Get("Connection"), "Upgrade": r.Header.Get("Upgrade"), "content-length": "0",
	} {
		req.Headers[name], req.MultiValueHeaders[name] = value, []string{value}
	}
	return req
}

// methodARN is the ARN of the handshake, with the account of AWS's examples.
func methodARN(stage string) string {
	return "arn:aws:execute-api:us-east-1:123456789012:" + apiID + "/" + stage + "/$connect"
}
