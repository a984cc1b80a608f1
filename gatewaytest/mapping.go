package gatewaytest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// A mapping is a data mapping expression: where an integration or an authorizer takes a value from.
type mapping string

var mappingSyntax = regexp.MustCompile(
	`^(route\.request\.(header|querystring)\.[\w.$-]+|(stageVariables|context)\.[\w.$-]+|route\.request\.body\..+|'.*')$`)

func (m mapping) check() error {
	if !mappingSyntax.MatchString(string(m)) {
		return fmt.Errorf("%q: want route.request.header.NAME, route.request.querystring.NAME, route.request.body.PATH, "+
			"stageVariables.NAME, context.NAME or 'TEXT'", string(m))
	}
	if path, ok := strings.CutPrefix(string(m), "route.request.body."); ok {
		if _, err := parsePath("." + path); err != nil {
			return err
		}
	}
	return nil
}

// value returns what the mapping gives for an event, and whether there is such a value.
func (m mapping) value(ev *Event) (string, bool) {
	if text, ok := strings.CutPrefix(string(m), "'"); ok {
		return strings.TrimSuffix(text, "'"), true
	}
	rest := strings.TrimPrefix(string(m), "route.request.")
	source, name, _ := strings.Cut(rest, ".")
	switch source {
	case "header":
		for k, v := range ev.Headers {
			if strings.EqualFold(k, name) {
				return v, true
			}
		}
		return "", false
	case "querystring":
		v, ok := ev.QueryStringParameters[name]
		return v, ok
	case "stageVariables":
		v, ok := ev.StageVariables[name]
		return v, ok
	case "body":
		path, _ := parsePath("." + name)
		return path.text([]byte(ev.Body))
	default: // context
		b, err := json.Marshal(ev.RequestContext)
		if err != nil {
			return "", false
		}
		path, _ := parsePath("." + name)
		return path.text(b)
	}
}
