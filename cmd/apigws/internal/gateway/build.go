package gateway

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/apigws/apigws/cmd/apigws/internal/template"
	"github.com/apigws/apigws/gatewaytest"
)

// deployment returns what is served: the routes and what belongs to them, of the template, which
// may be nil, and of the flags.
func (o *routing) deployment(api *template.API, report *reporter) (*gatewaytest.Config, error) {
	cfg := &gatewaytest.Config{
		RouteSelection:     o.selection,
		IntegrationTimeout: o.timeout,
		RouteSettings:      map[string]gatewaytest.RouteSettings{},
		Concurrent:         o.concurrent,
		Subprotocols:       o.subprotocols,
		Stage:              o.stage,
	}
	var err error
	if cfg.StageVariables, err = pairs("--stage-variable", o.variables); err != nil {
		return nil, err
	}
	targets := &targets{report: report}
	if targets.endpoints, err = parseEndpoints(o.lambda); err != nil {
		return nil, err
	}
	if api != nil {
		o.fromTemplate(cfg, api, targets)
	}
	if err := o.fromFlags(cfg, targets); err != nil {
		return nil, err
	}
	if err := o.authorize(cfg, api, targets); err != nil {
		return nil, err
	}
	return cfg, nil
}

// fromTemplate puts in what the template has, but for routes that the flags have.
func (o *routing) fromTemplate(cfg *gatewaytest.Config, api *template.API, targets *targets) {
	if cfg.RouteSelection == "" {
		cfg.RouteSelection = api.RouteSelection
	}
	if cfg.Stage == "" {
		cfg.Stage = api.Stage
	}
	variables := maps.Clone(api.StageVariables)
	if variables == nil {
		variables = map[string]string{}
	}
	maps.Copy(variables, cfg.StageVariables)
	cfg.StageVariables = variables
	cfg.Routes = map[string]gatewaytest.Handler{}
	for _, key := range slices.Sorted(maps.Keys(api.Routes)) {
		if slices.ContainsFunc(o.routes, func(r string) bool { return strings.HasPrefix(r, key+"=") }) {
			continue
		}
		route := api.Routes[key]
		cfg.Routes[key] = targets.integration(key, route.Integration)
		throttle := api.Throttle
		if route.Throttle != nil {
			throttle = *route.Throttle
		}
		s := gatewaytest.RouteSettings{IntegrationTimeout: route.Timeout, RouteResponse: route.Response, Rate: throttle.Rate}
		if s.Rate > 0 {
			s.Burst = throttle.Burst
		}
		cfg.RouteSettings[key] = s
	}
}

// fromFlags puts in what the flags say, in place of what the template has.
func (o *routing) fromFlags(cfg *gatewaytest.Config, targets *targets) error {
	switch {
	case o.demo != "" && (o.demo != "chat" || len(o.routes) > 0 || cfg.Routes != nil):
		return errors.New(`--demo has one value, chat, and goes without --route and --template`)
	case o.demo != "":
		cfg.Backend = o.chat.handle
	}
	for _, r := range o.routes {
		key, target, ok := strings.Cut(r, "=")
		if !ok || key == "" {
			return fmt.Errorf("--route %q: want KEY=TARGET", r)
		}
		h, err := targets.flag(key, target)
		if err != nil {
			return fmt.Errorf("--route %s: %w", key, err)
		}
		if cfg.Routes == nil {
			cfg.Routes = map[string]gatewaytest.Handler{}
		}
		cfg.Routes[key] = h
		cfg.RouteSettings[key] = gatewaytest.RouteSettings{RouteResponse: target == "echo"}
	}
	for _, key := range o.responses {
		if cfg.Routes[key] == nil {
			return fmt.Errorf("--route-response %s: there is no such route", key)
		}
		s := cfg.RouteSettings[key]
		s.RouteResponse = true
		cfg.RouteSettings[key] = s
	}
	return nil
}

// authorize decides who may connect.
func (o *routing) authorize(cfg *gatewaytest.Config, api *template.API, targets *targets) error {
	a := &template.Authorizer{}
	switch name, ok := strings.CutPrefix(o.authorizer, "lambda:"); {
	case ok && name != "":
		a.Function = name
	case o.authorizer != "" && o.authorizer != "none":
		return fmt.Errorf("--authorizer %q: want lambda:NAME, or none", o.authorizer)
	case o.authorizer == "" && api != nil && api.Authorizer != nil:
		*a = *api.Authorizer
	}
	if len(o.identity) > 0 {
		a.Identity = o.identity
	}
	if a.Function != "" {
		f, err := targets.authorizer(a.Function)
		if err != nil {
			return err
		}
		cfg.Authorizer = &gatewaytest.Authorizer{Func: f, IdentitySources: a.Identity}
	} else if len(o.identity) > 0 {
		return errors.New("--identity-source goes with an authorizer")
	}
	if len(o.apiKeys) > 0 || api != nil && api.Routes["$connect"].APIKey {
		cfg.Authorize = checkAPIKey(o.apiKeys)
	}
	return nil
}

// checkAPIKey refuses handshakes without an API key; without keys to compare with, any will do. The
// real gateway's answer is 403, an inference.
func checkAPIKey(keys []string) func(*http.Request) int {
	return func(r *http.Request) int {
		key := r.Header.Get("X-Api-Key")
		known := slices.ContainsFunc(keys, func(k string) bool {
			return subtle.ConstantTimeCompare([]byte(k), []byte(key)) == 1
		})
		if key == "" || len(keys) > 0 && !known {
			return http.StatusForbidden
		}
		return 0
	}
}

// pairs takes apart the values of a flag that are NAME=VALUE.
func pairs(flag string, values []string) (map[string]string, error) {
	m := map[string]string{}
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s %q: want NAME=VALUE", flag, v)
		}
		m[name] = value
	}
	return m, nil
}
