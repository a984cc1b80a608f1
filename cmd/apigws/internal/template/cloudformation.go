package template

import (
	"strings"
)

// cloudFormation reads an AWS::ApiGatewayV2::Api and what belongs to it.
func (p *parser) cloudFormation(id string) (*API, error) {
	api := &API{ID: id, Routes: map[string]Route{}}
	for _, r := range p.resources("AWS::ApiGatewayV2::Api") {
		if r.id != id {
			continue
		}
		if api.RouteSelection = r.text("RouteSelectionExpression"); api.RouteSelection == "" {
			return nil, p.errorf(id, "RouteSelectionExpression is missing, or not known")
		}
		r.ignore("ProtocolType", "Name", "Description", "Tags", "Version", "IpAddressType", "DisableSchemaValidation",
			"FailOnWarnings", "DisableExecuteApiEndpoint", "CredentialsArn")
		if r.text("ApiKeySelectionExpression") == "$context.authorizer.usageIdentifierKey" {
			p.note(id, "API keys of authorizers are not checked")
		}
		r.rest()
	}
	integrations := map[string]integration{}
	for _, r := range p.resourcesOf("AWS::ApiGatewayV2::Integration", id) {
		integrations[r.id] = r.integration()
	}
	responses := map[string]bool{}
	for _, r := range p.resourcesOf("AWS::ApiGatewayV2::RouteResponse", id) {
		responses[r.text("RouteId")] = true
		r.ignore("RouteResponseKey")
		r.rest()
	}
	for _, r := range p.resourcesOf("AWS::ApiGatewayV2::Route", id) {
		if err := p.route(api, r, integrations, responses); err != nil {
			return nil, err
		}
	}
	p.stage(api)
	return api, nil
}

// resourcesOf returns the resources of a type that belong to an API.
func (p *parser) resourcesOf(typ, api string) []*resource {
	var of []*resource
	for _, r := range p.resources(typ) {
		if v, err := p.eval(r.props["ApiId"]); err != nil {
			p.note(r.id, "ApiId: %v; left out", err)
		} else if v == api {
			delete(r.props, "ApiId")
			of = append(of, r)
		}
	}
	return of
}

type integration = Route // without what the route itself says

// integration reads an AWS::ApiGatewayV2::Integration.
func (r *resource) integration() integration {
	in := integration{Timeout: r.timeout("TimeoutInMillis")}
	typ, uri := r.text("IntegrationType"), r.text("IntegrationUri")
	method := r.text("IntegrationMethod")
	link := r.text("ConnectionType") == "VPC_LINK"
	switch {
	case typ == "AWS_PROXY" && uri != "":
		in.Integration = Integration{Kind: Lambda, Function: functionName(uri)}
	case (typ == "HTTP_PROXY" || typ == "HTTP") && !link && uri != "":
		in.Integration = Integration{Kind: HTTP, URL: uri, Method: method,
			Parameters: r.variables("RequestParameters")}
	case typ == "MOCK":
		in.Integration.Kind = Mock
		// These choose among answers.
		r.ignore("RequestTemplates", "TemplateSelectionExpression", "PassthroughBehavior")
	case link:
		r.p.note(r.id, "a VPC link does not exist here: its routes fail")
	default:
		r.p.note(r.id, "IntegrationType %s is not supported: its routes fail", typ)
	}
	r.ignore("Description", "CredentialsArn", "ConnectionType", "ConnectionId", "PayloadFormatVersion",
		"ContentHandlingStrategy")
	if typ == "AWS_PROXY" || typ == "HTTP_PROXY" {
		r.ignore("PassthroughBehavior", "TemplateSelectionExpression")
	}
	r.rest()
	return in
}

// route reads an AWS::ApiGatewayV2::Route.
func (p *parser) route(api *API, r *resource, integrations map[string]integration, responses map[string]bool) error {
	key := r.text("RouteKey")
	if key == "" {
		p.note(r.id, "RouteKey is missing, or not known; left out")
		return nil
	}
	target := r.text("Target")
	route, ok := integrations[strings.TrimPrefix(target, "integrations/")]
	if !ok {
		p.note(r.id, "Target %q is no integration of the template: the route fails", target)
	}
	p.response(r, &route, responses[r.id])
	route.APIKey = r.bool("ApiKeyRequired")
	if err := p.authorization(api, r, key); err != nil {
		return err
	}
	r.ignore("OperationName", "RequestParameters")
	r.rest()
	if _, twice := api.Routes[key]; twice {
		return p.errorf(r.id, "there are two routes %s", key)
	}
	api.Routes[key] = route
	return nil
}

// response decides whether a route has a route response. As the developer guide has it, that takes
// a selection expression of the route and the resource.
func (p *parser) response(r *resource, route *Route, exists bool) {
	expression := r.text("RouteResponseSelectionExpression")
	route.Response = exists && expression != ""
	switch {
	case exists && expression == "":
		p.note(r.id, "has a route response and no RouteResponseSelectionExpression: clients get no answer")
	case !exists && expression != "":
		p.note(r.id, "has a RouteResponseSelectionExpression and no AWS::ApiGatewayV2::RouteResponse: "+
			"clients get no answer")
	}
}

// authorization reads who may use a route.
func (p *parser) authorization(api *API, r *resource, key string) error {
	typ, id := r.text("AuthorizationType"), r.text("AuthorizerId")
	switch {
	case p.opts.NoAuth || typ == "" || typ == "NONE":
		return nil
	case key != "$connect":
		p.note(r.id, "AuthorizationType %s: only $connect is authorized", typ)
		return nil
	case typ == "AWS_IAM":
		p.note(r.id, "AWS_IAM: signatures are not checked here")
		return nil
	case typ != "CUSTOM":
		return p.errorf(r.id, "AuthorizationType %q is not supported; to go on without it: --authorizer none", typ)
	}
	for _, a := range p.resourcesOf("AWS::ApiGatewayV2::Authorizer", api.ID) {
		if a.id != id {
			continue
		}
		uri := a.text("AuthorizerUri")
		if typ := a.text("AuthorizerType"); typ != "REQUEST" || uri == "" {
			return p.errorf(id, "the authorizer has no AuthorizerUri that is known here, or is not of type REQUEST; "+
				"to go on without it: --authorizer none, or --authorizer lambda:NAME")
		}
		api.Authorizer = &Authorizer{Function: functionName(uri), Identity: a.texts("IdentitySource")}
		a.ignore("Name", "AuthorizerCredentialsArn", "AuthorizerResultTtlInSeconds")
		a.rest()
		return nil
	}
	return p.errorf(r.id, "the template has no authorizer %q; to go on without it: --authorizer none, or lambda:NAME", id)
}

// stage reads the stage that was asked for, or the first.
func (p *parser) stage(api *API) {
	var chosen *resource
	var names []string
	for _, r := range p.resourcesOf("AWS::ApiGatewayV2::Stage", api.ID) {
		name := r.text("StageName")
		names = append(names, name)
		if chosen == nil && (p.opts.Stage == "" || p.opts.Stage == name) {
			chosen, api.Stage = r, name
		}
	}
	switch {
	case chosen == nil && p.opts.Stage != "" && len(names) > 0:
		p.note(api.ID, "the template has no stage %q; it has: %s", p.opts.Stage, strings.Join(names, ", "))
		return
	case chosen == nil:
		return
	case p.opts.Stage == "" && len(names) > 1:
		p.note(chosen.id, "of the stages %s this one is served; choose with --stage", strings.Join(names, ", "))
	}
	api.StageVariables = chosen.variables("StageVariables")
	chosen.settings(api)
	chosen.ignore("DeploymentId", "Description", "AutoDeploy", "Tags", "AccessLogSettings", "ClientCertificateId",
		"AccessPolicyId")
	chosen.rest()
}
