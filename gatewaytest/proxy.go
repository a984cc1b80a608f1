package gatewaytest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// HTTPProxy returns a Handler that sends events to a URL as an HTTP proxy integration does: a POST
// whose body is the message, and whose answer's status and body are the result. On $connect the
// request has the headers, Sec-WebSocket-Key and its like included, and the query of the handshake.
//
// By itself the backend does not learn which connection it serves. Parameters, which may be nil,
// add that: a data mapping such as {"integration.request.header.connectionId":
// "context.connectionId"}. The keys are integration.request.header.NAME and
// integration.request.querystring.NAME; the values route.request.header.NAME,
// route.request.querystring.NAME, route.request.body.PATH, stageVariables.NAME, context.NAME and
// 'TEXT'. A value that is not there adds nothing. HTTPProxy panics if one of them is malformed.
//
// The Content-Type is application/json unless a parameter sets it, an inference.
func HTTPProxy(target string, parameters map[string]string) Handler {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		panic(fmt.Sprintf("gatewaytest: HTTPProxy: %q is not an http or https URL", target))
	}
	for to, from := range parameters {
		if err := checkParameter(to, mapping(from)); err != nil {
			panic(fmt.Sprintf("gatewaytest: HTTPProxy: %v", err))
		}
	}
	parameters = maps.Clone(parameters)
	return func(ctx context.Context, ev *Event) (*Response, error) {
		req, err := proxyRequest(ctx, u, parameters, ev)
		if err != nil {
			return nil, err
		}
		resp, err := backends.Do(req)
		if err != nil {
			return nil, err
		}
		body, err := readAll(resp)
		if err != nil {
			return nil, err
		}
		headers := map[string]string{}
		for name := range resp.Header {
			headers[name] = resp.Header.Get(name)
		}
		return &Response{StatusCode: resp.StatusCode, Headers: headers, Body: string(body)}, nil
	}
}

const (
	toHeader = "integration.request.header."
	toQuery  = "integration.request.querystring."
)

func checkParameter(to string, from mapping) error {
	if len(to) <= len(toHeader) || !strings.HasPrefix(to, toHeader) && (!strings.HasPrefix(to, toQuery) || to == toQuery) {
		return fmt.Errorf("%q: want %sNAME or %sNAME", to, toHeader, toQuery)
	}
	return from.check()
}

func proxyRequest(ctx context.Context, target *url.URL, parameters map[string]string, ev *Event) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(ev.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	query := req.URL.Query()
	if ev.RequestContext.EventType == EventConnect {
		for name, values := range ev.MultiValueHeaders {
			if name != "Host" {
				req.Header[name] = values
			}
		}
		for name, values := range ev.MultiValueQueryStringParameters {
			query[name] = append(query[name], values...)
		}
	}
	for to, from := range parameters {
		value, ok := mapping(from).value(ev)
		if !ok {
			continue
		}
		if name, ok := strings.CutPrefix(to, toHeader); ok {
			req.Header.Set(name, value)
			// The gateway's own spelling of the WebSocket headers is not the one that Set uses.
			if spelling := webSocketHeaders[http.CanonicalHeaderKey(name)]; spelling != "" {
				delete(req.Header, spelling)
			}
		} else {
			query.Set(strings.TrimPrefix(to, toQuery), value)
		}
	}
	req.URL.RawQuery = query.Encode()
	return req, nil
}
