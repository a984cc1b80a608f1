package gatewaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// routes finds the handler of an event.
type routes struct {
	handlers map[string]Handler
	selector []selectorPart
	echo     bool // in place of all handlers
}

// newRoutes panics if the Config does not make sense.
func newRoutes(cfg *Config) routes {
	switch {
	case cfg.Backend != nil && cfg.Routes != nil:
		panic("gatewaytest: Config has both Backend and Routes")
	case cfg.Backend != nil:
		b := cfg.Backend
		return routes{handlers: map[string]Handler{"$connect": b, "$disconnect": b, "$default": b}}
	case cfg.Routes == nil:
		return routes{echo: true}
	}
	selector, err := parseSelector(cfg.RouteSelection)
	if err != nil {
		panic(fmt.Sprintf("gatewaytest: Config.RouteSelection: %v", err))
	}
	return routes{handlers: cfg.Routes, selector: selector}
}

// forMessage returns the route key and the handler of a message; nil if no route takes it.
func (r *routes) forMessage(data []byte) (string, Handler) {
	// $connect and $disconnect are not for messages to choose.
	if key, ok := r.selectKey(data); ok && !strings.HasPrefix(key, "$") {
		if h := r.handlers[key]; h != nil {
			return key, h
		}
	}
	return "$default", r.handlers["$default"]
}

// A selectorPart is literal text, or the path of a value in the body.
type selectorPart struct {
	literal string
	path    []string
}

const requestBody = "request.body."

// parseSelector takes "$request.body.a.b", or text with "${request.body.a.b}" in it.
func parseSelector(expr string) ([]selectorPart, error) {
	if path, ok := strings.CutPrefix(expr, "$"+requestBody); ok {
		return []selectorPart{{path: strings.Split(path, ".")}}, nil
	}
	var parts []selectorPart
	for rest := expr; rest != ""; {
		literal, after, ok := strings.Cut(rest, "${")
		if literal != "" {
			parts = append(parts, selectorPart{literal: literal})
		}
		if !ok {
			break
		}
		variable, tail, closed := strings.Cut(after, "}")
		path, body := strings.CutPrefix(variable, requestBody)
		if !closed || !body || path == "" {
			return nil, fmt.Errorf("%q: want $request.body.path or ${request.body.path}", expr)
		}
		parts = append(parts, selectorPart{path: strings.Split(path, ".")})
		rest = tail
	}
	return parts, nil
}

// selectKey evaluates the route selection expression. It reports whether all of its values are there.
func (r *routes) selectKey(data []byte) (string, bool) {
	if len(r.selector) == 0 || !json.Valid(data) { // a Decoder does not see what follows the value
		return "", false
	}
	var body any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // numbers as they are written: 21000000, not 2.1e+07
	if d.Decode(&body) != nil {
		return "", false
	}
	var key strings.Builder
	for _, part := range r.selector {
		if part.path == nil {
			key.WriteString(part.literal)
			continue
		}
		value := body
		for _, name := range part.path {
			object, _ := value.(map[string]any)
			value = object[name]
		}
		switch value := value.(type) {
		case string:
			key.WriteString(value)
		case bool, json.Number:
			fmt.Fprint(&key, value)
		default:
			return "", false
		}
	}
	return key.String(), true
}
