package template

import (
	"maps"
	"slices"
	"strings"
)

// serverless reads an AWS::Serverless::WebSocketApi.
func (p *parser) serverless(id string) (*API, error) {
	api := &API{ID: id, Routes: map[string]Route{}}
	responses := map[string]bool{}
	for _, r := range p.resourcesOf("AWS::ApiGatewayV2::RouteResponse", id) {
		responses[r.text("RouteId")] = true
	}
	for _, r := range p.resources("AWS::Serverless::WebSocketApi") {
		if r.id != id {
			continue
		}
		r.props = p.withGlobals(r.props)
		if api.RouteSelection = r.text("RouteSelectionExpression"); api.RouteSelection == "" {
			return nil, p.errorf(id, "RouteSelectionExpression is missing, or not known")
		}
		if api.Stage = r.text("StageName"); api.Stage == "" {
			api.Stage = "default" // which is what SAM makes of it
		}
		api.StageVariables = r.variables("StageVariables")
		if err := p.serverlessAuth(api, r.part("Auth")); err != nil {
			return nil, err
		}
		routes := r.part("Routes")
		if routes == nil {
			return nil, p.errorf(id, "Routes is missing")
		}
		for _, key := range slices.Sorted(maps.Keys(routes.props)) {
			if one := routes.part(key); one != nil {
				p.serverlessRoute(api, key, one, responses)
			}
		}
		r.settings(api)
		r.ignore("Name", "Description", "Tags", "PropagateTags", "AccessLogSettings", "Domain", "IpAddressType",
			"DisableExecuteApiEndpoint", "DisableSchemaValidation", "FailOnWarnings")
		if r.text("ApiKeySelectionExpression") == "$context.authorizer.usageIdentifierKey" {
			p.note(id, "API keys of authorizers are not checked")
		}
		r.rest()
	}
	return api, nil
}

// withGlobals puts the template's Globals under the properties of an API.
func (p *parser) withGlobals(props map[string]any) map[string]any {
	globals, ok := p.section("Globals")["WebSocketApi"].(map[string]any)
	if !ok {
		return props
	}
	merged, _ := overlay(globals, props).(map[string]any)
	return merged
}

// overlay merges as SAM does: mappings by key, and of all else the second. (SAM puts lists one
// after the other, but what is read here has none.)
func overlay(under, over any) any {
	m1, ok1 := under.(map[string]any)
	m2, ok2 := over.(map[string]any)
	_, _, call1 := intrinsic(m1)
	if _, _, call2 := intrinsic(m2); !ok1 || !ok2 || call1 || call2 {
		return over
	}
	merged := maps.Clone(m1)
	for k, v := range m2 {
		if below, ok := merged[k]; ok {
			v = overlay(below, v)
		}
		merged[k] = v
	}
	return merged
}

func (p *parser) serverlessAuth(api *API, auth *resource) error {
	if auth == nil || p.opts.NoAuth {
		return nil
	}
	switch typ := auth.text("AuthType"); typ {
	case "", "NONE":
	case "AWS_IAM":
		p.note(api.ID, "AWS_IAM: signatures are not checked here")
	case "CUSTOM":
		arn := auth.text("AuthArn")
		if arn == "" {
			return p.errorf(api.ID, "Auth.AuthArn is missing, or not known; to go on without the authorizer: "+
				"--authorizer none, or --authorizer lambda:NAME")
		}
		api.Authorizer = &Authorizer{Function: functionName(arn), Identity: auth.texts("IdentitySource")}
	default:
		return p.errorf(api.ID, "Auth.AuthType %q is not supported; to go on without it: --authorizer none", typ)
	}
	auth.ignore("InvokeRole", "Name", "IdentitySource", "AuthArn")
	auth.rest()
	return nil
}

func (p *parser) serverlessRoute(api *API, key string, r *resource, responses map[string]bool) {
	route := Route{Timeout: r.timeout("IntegrationTimeout"), APIKey: r.bool("ApiKeyRequired")}
	if arn := r.text("FunctionArn"); arn != "" {
		route.Integration = Integration{Kind: Lambda, Function: functionName(arn)}
	} else {
		p.note(api.ID, "%sFunctionArn is missing, or not known: the route fails", r.where)
	}
	p.response(r, &route, responses[api.ID+alphanumeric(key)+"Route"])
	r.ignore("OperationName", "RequestParameters")
	r.rest()
	api.Routes[key] = route
}

// alphanumeric leaves out what SAM leaves out of a route key in the logical id of the resource that
// it makes.
func alphanumeric(key string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return -1
	}, key)
}
