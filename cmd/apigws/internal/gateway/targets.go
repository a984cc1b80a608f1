package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/apigws/apigws/cmd/apigws/internal/template"
	"github.com/apigws/apigws/gatewaytest"
)

// An endpoint is where functions are called.
type endpoint struct {
	url      string
	function string // the name by which it knows the function; "": its own
}

// parseEndpoints takes the values of --lambda, by the name of the function; "": all others.
func parseEndpoints(values []string) (map[string]endpoint, error) {
	all := map[string]endpoint{}
	for _, v := range values {
		name, target, named := strings.Cut(v, "=")
		if !named || strings.Contains(name, "://") {
			name, target = "", v
		}
		u, err := url.Parse(target)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("--lambda %q: want an http or https URL, or NAME=URL", v)
		}
		e := endpoint{url: u.Scheme + "://" + u.Host}
		path := strings.Trim(u.Path, "/")
		function, ok := strings.CutPrefix(path, "2015-03-31/functions/")
		function = strings.TrimSuffix(function, "/invocations")
		switch {
		case path == "" && name != "":
			e.function = "function" // the only one that AWS's emulator has
		case path != "" && (!ok || function == "" || strings.Contains(function, "/")):
			return nil, fmt.Errorf("--lambda %q: the URL has no path, or /2015-03-31/functions/NAME/invocations", v)
		case path != "":
			e.function = function
		}
		all[name] = e
	}
	return all, nil
}

// targets makes Handlers.
type targets struct {
	endpoints map[string]endpoint // by function
	report    *reporter
}

// integration returns the Handler of a route of the template. What cannot be served fails when it
// is asked, and the others are served.
func (t *targets) integration(key string, in template.Integration) gatewaytest.Handler {
	var h gatewaytest.Handler
	err := errors.New("the integration of the template is not supported")
	switch in.Kind {
	case template.Lambda:
		h, err = t.lambda(key, in.Function)
	case template.HTTP:
		h, err = t.http(key, in.URL, in.Parameters)
	case template.Mock:
		h, err = mock, nil
	}
	if err == nil {
		return h
	}
	if in.Kind != template.Unsupported { // which the notes of the template have told
		t.report.warn("route %s: %v; it fails", key, err)
	}
	return t.report.failures(key, func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
		return nil, err
	})
}

// flag returns the Handler of a --route.
func (t *targets) flag(key, target string) (gatewaytest.Handler, error) {
	name, isLambda := strings.CutPrefix(target, "lambda:")
	switch {
	case target == "echo":
		return echo, nil
	case target == "mock":
		return mock, nil
	case isLambda && name != "":
		return t.lambda(key, name)
	case strings.HasPrefix(target, "http://"), strings.HasPrefix(target, "https://"):
		return t.http(key, target, nil)
	}
	return nil, fmt.Errorf("no target %q: want lambda:NAME, http://..., echo or mock", target)
}

func (t *targets) endpoint(function string) (endpoint, error) {
	e, ok := t.endpoints[function]
	if !ok {
		e, ok = t.endpoints[""]
	}
	if !ok {
		return e, fmt.Errorf("function %s is nowhere: give --lambda URL, or --lambda %s=URL", function, function)
	}
	if e.function == "" {
		e.function = function
	}
	return e, nil
}

func (t *targets) lambda(key, function string) (gatewaytest.Handler, error) {
	e, err := t.endpoint(function)
	if err != nil {
		return nil, err
	}
	return t.report.failures(key, gatewaytest.InvokeLambda(e.url, e.function)), nil
}

func (t *targets) authorizer(function string) (gatewaytest.AuthorizerFunc, error) {
	e, err := t.endpoint(function)
	if err != nil {
		return nil, err
	}
	f := gatewaytest.InvokeLambdaAuthorizer(e.url, e.function)
	return func(ctx context.Context, r *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
		resp, err := f(ctx, r)
		refusal := (*gatewaytest.FunctionError)(nil)
		if err != nil && !(errors.As(err, &refusal) && refusal.Message == "Unauthorized") {
			t.report.failed("authorizer", err)
		}
		return resp, err
	}, nil
}

func (t *targets) http(key, target string, parameters map[string]string) (h gatewaytest.Handler, err error) {
	err = withoutPanic(func() {
		h = gatewaytest.HTTPProxy(target, parameters)
	})
	return t.report.failures(key, h), err
}

// echo sends a message back, by way of its route response.
func echo(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	return &gatewaytest.Response{StatusCode: 200, Body: ev.Body}, nil
}

// mock succeeds.
func mock(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) { return nil, nil }

// withoutPanic returns what f panics with as an error: gatewaytest panics where a configuration
// makes no sense.
func withoutPanic(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			text := strings.TrimPrefix(fmt.Sprint(p), "gatewaytest: ")
			err = errors.New(strings.TrimPrefix(text, "Config."))
		}
	}()
	f()
	return nil
}
