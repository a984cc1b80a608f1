// Package template reads a WebSocket API out of a SAM or CloudFormation template.
//
// It reads AWS::Serverless::WebSocketApi and the resources of AWS::ApiGatewayV2, in YAML with the
// short and the long form of the intrinsic functions, or in JSON. Everything else in the template
// (tables, buckets, permissions) is passed over. What belongs to the API and has no effect here is
// named in a note.
package template

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options say how to read a template.
type Options struct {
	API        string            // the logical id of the API; "": the only one
	Stage      string            // the name of the stage; "": the first by logical id
	Parameters map[string]string // values of parameters, in place of their defaults
	NoAuth     bool              // do not read the authorization of $connect
}

// An API is a WebSocket API as a template describes it.
type API struct {
	ID             string // the logical id
	RouteSelection string // the route selection expression
	Stage          string // its name; "" where the template has no stage
	StageVariables map[string]string
	Routes         map[string]Route // by route key
	Authorizer     *Authorizer      // of $connect; nil: none
	Throttle       Throttle         // of the routes that have none of their own
}

// A Route is where the events of one route key go.
type Route struct {
	Integration Integration   // what handles them
	Timeout     time.Duration // of the integration; 0: the default
	Response    bool          // what the integration answers is sent to the client
	APIKey      bool          // an API key is required
	Throttle    *Throttle     // nil: that of the API
}

// A Throttle is a limit of a stage on a route. 0: none.
type Throttle struct {
	Rate  float64 // a second
	Burst int
}

// Kind says what is behind a route.
type Kind int

// The kinds of an Integration.
const (
	Unsupported Kind = iota // something that does not exist here
	Lambda                  // Integration.Function
	HTTP                    // Integration.URL
	Mock                    // nothing: every event succeeds
)

// An Integration is what handles the events of a route.
type Integration struct {
	Kind       Kind              // which of the others are set
	Function   string            // of Lambda: a name
	URL        string            // of HTTP
	Method     string            // of HTTP; "": not said
	Parameters map[string]string // of HTTP: the data mapping of the request
}

// An Authorizer is the Lambda REQUEST authorizer of $connect.
type Authorizer struct {
	Function string   // a name
	Identity []string // identity sources, such as "route.request.header.Authorization"
}

// A parser reads one template.
type parser struct {
	*evaluator
	opts  Options
	notes []note
}

type note struct {
	line int // 0: not known
	text string
}

// Parse reads the API. The notes say, in the order of the template, what of it was not understood
// or has no effect. An error says that there is no API, or that going on would not be safe: an
// authorizer that is left out would let everybody in.
func Parse(data []byte, opts Options) (api *API, notes []string, err error) {
	doc, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	p := &parser{evaluator: &evaluator{doc: doc, parameters: opts.Parameters}, opts: opts}
	p.others()
	api, err = p.api()
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(p.notes, func(a, b note) int { return cmp.Compare(a.line, b.line) })
	for _, n := range p.notes {
		if n.line > 0 {
			n.text = fmt.Sprintf("line %d: %s", n.line, n.text)
		}
		notes = append(notes, n.text)
	}
	return api, notes, nil
}

// note says that something of a resource has no effect.
func (p *parser) note(id, format string, args ...any) {
	p.notes = append(p.notes, note{p.doc.lines[id], id + ": " + fmt.Sprintf(format, args...)})
}

// errorf is an error about a resource.
func (p *parser) errorf(id, format string, args ...any) error {
	err := fmt.Errorf(id+": "+format, args...)
	if line := p.doc.lines[id]; line > 0 {
		err = fmt.Errorf("line %d: %w", line, err)
	}
	return err
}

// others notes the parts of a template in which an API may hide.
func (p *parser) others() {
	for _, id := range slices.Sorted(maps.Keys(p.section("Resources"))) {
		switch t := p.resourceType(id); {
		case t == "AWS::CloudFormation::Stack" || t == "AWS::Serverless::Application":
			p.note(id, "nested templates are not read")
		case strings.HasPrefix(id, "Fn::"):
			p.note(id, "is not supported")
		}
	}
	if p.doc.root["Transform"] != nil {
		transforms, _ := p.doc.root["Transform"].([]any)
		if transforms == nil {
			transforms = []any{p.doc.root["Transform"]}
		}
		for _, t := range transforms {
			if t != "AWS::Serverless-2016-10-31" && t != "AWS::LanguageExtensions" {
				p.notes = append(p.notes, note{text: fmt.Sprintf("Transform %v is not carried out", t)})
			}
		}
	}
}

// api finds the API and reads it.
func (p *parser) api() (*API, error) {
	var ids []string
	for _, r := range p.resources("AWS::Serverless::WebSocketApi") {
		ids = append(ids, r.id)
	}
	for _, r := range p.resources("AWS::ApiGatewayV2::Api") {
		if v, err := p.eval(r.props["ProtocolType"]); err == nil && v == "WEBSOCKET" {
			ids = append(ids, r.id)
		}
	}
	slices.Sort(ids)
	switch {
	case p.opts.API != "" && slices.Contains(ids, p.opts.API):
		ids = []string{p.opts.API}
	case p.opts.API != "":
		return nil, fmt.Errorf("the template has no WebSocket API %q; it has: %s", p.opts.API, strings.Join(ids, ", "))
	case len(ids) == 0:
		return nil, errors.New("the template has no WebSocket API: no AWS::Serverless::WebSocketApi, and no " +
			"AWS::ApiGatewayV2::Api with ProtocolType WEBSOCKET")
	case len(ids) > 1:
		return nil, fmt.Errorf("the template has several WebSocket APIs; choose one with --api: %s", strings.Join(ids, ", "))
	}
	var (
		api *API
		err error
	)
	if p.resourceType(ids[0]) == "AWS::Serverless::WebSocketApi" {
		api, err = p.serverless(ids[0])
	} else {
		api, err = p.cloudFormation(ids[0])
	}
	if err != nil {
		return nil, err
	}
	p.finish(api)
	return api, nil
}

// finish does what the two kinds of API have in common.
func (p *parser) finish(api *API) {
	for key, route := range api.Routes {
		if strings.HasPrefix(key, "$") && key != "$connect" && key != "$disconnect" && key != "$default" {
			p.note(api.ID, "route %s: keys of one's own do not begin with $; left out", key)
			delete(api.Routes, key)
			continue
		}
		route.Integration.Function = stageVariables(route.Integration.Function, api.StageVariables)
		route.Integration.URL = stageVariables(route.Integration.URL, api.StageVariables)
		api.Routes[key] = route
	}
	if a := api.Authorizer; a != nil {
		a.Function = stageVariables(a.Function, api.StageVariables)
	}
	if len(api.Routes) == 0 {
		p.note(api.ID, "the API has no routes")
	}
}

// stageVariables replaces ${stageVariables.NAME}.
func stageVariables(text string, variables map[string]string) string {
	for name, value := range variables {
		text = strings.ReplaceAll(text, "${stageVariables."+name+"}", value)
	}
	return text
}
