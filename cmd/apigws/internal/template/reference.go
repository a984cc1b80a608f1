package template

import (
	"fmt"
	"strings"
)

// section returns a mapping at the top of the template, or nil.
func (e *evaluator) section(name string) map[string]any {
	m, _ := e.doc.root[name].(map[string]any)
	return m
}

func (e *evaluator) resourceType(id string) string {
	r, _ := e.section("Resources")[id].(map[string]any)
	t, _ := r["Type"].(string)
	return t
}

func (e *evaluator) isFunction(id string) bool {
	t := e.resourceType(id)
	return t == "AWS::Serverless::Function" || t == "AWS::Lambda::Function"
}

func (e *evaluator) hasName(name string) bool {
	return e.section("Parameters")[name] != nil || e.section("Resources")[name] != nil || strings.Contains(name, "::")
}

// functionARN returns the ARN that a function gets here. Its last part is the logical id, by which
// sam local start-lambda knows it, too.
func functionARN(id string) string { return "arn:aws:lambda:us-east-1:123456789012:function:" + id }

// ref returns the value of a parameter, or what stands for a resource: its logical id, if not said
// otherwise here.
func (e *evaluator) ref(name string) (any, error) {
	if v, ok := pseudo[name]; ok {
		return v, nil
	}
	if def, ok := e.section("Parameters")[name].(map[string]any); ok {
		return e.parameter(name, def)
	}
	switch e.resourceType(name) {
	case "AWS::ApiGatewayV2::Stage":
		return e.property(name, "StageName")
	case "AWS::Lambda::Alias", "AWS::Lambda::Version":
		f, err := e.property(name, "FunctionName")
		if err != nil {
			return nil, err
		}
		return functionARN(functionName(f)), nil
	case "":
		return e.generated(name)
	}
	return name, nil
}

func (e *evaluator) parameter(name string, def map[string]any) (any, error) {
	if v, ok := e.parameters[name]; ok {
		return listParameter(v, def), nil
	}
	if v, ok := def["Default"].(string); ok {
		return listParameter(v, def), nil
	}
	return nil, fmt.Errorf("parameter %s has no default: give it with --parameter %s=VALUE", name, name)
}

func listParameter(v string, def map[string]any) any {
	if t, _ := def["Type"].(string); t != "CommaDelimitedList" && !strings.HasPrefix(t, "List<") {
		return v
	}
	var list []any
	for e := range strings.SplitSeq(v, ",") {
		list = append(list, strings.TrimSpace(e))
	}
	return list
}

// generated returns what stands for a resource that SAM makes of another one, such as
// MyFunction.Alias and MyApiaRoute.
func (e *evaluator) generated(name string) (any, error) {
	if id, attribute, ok := strings.Cut(name, "."); ok && e.isFunction(id) && (attribute == "Alias" || attribute == "Version") {
		return functionARN(id), nil
	}
	of := ""
	for id := range e.section("Resources") {
		if len(id) > len(of) && strings.HasPrefix(name, id) && strings.HasPrefix(e.resourceType(id), "AWS::Serverless::") {
			of = id
		}
	}
	switch {
	case of != "" && e.isFunction(of):
		return functionARN(of), nil // Version, or Alias and its name
	case of != "":
		return name, nil
	}
	return nil, fmt.Errorf("there is no %s in the template", name)
}

func (e *evaluator) getAtt(id, attribute string) (any, error) {
	t := e.resourceType(id)
	switch {
	case t == "":
		return nil, fmt.Errorf("there is no %s in the template", id)
	case attribute == "Arn" && e.isFunction(id):
		return functionARN(id), nil
	case t == "AWS::Lambda::Alias" || t == "AWS::Lambda::Version":
		return e.ref(id)
	case strings.HasPrefix(t, "AWS::ApiGatewayV2::") && strings.HasSuffix(attribute, "Id"):
		return id, nil
	}
	return nil, fmt.Errorf("%s.%s is known to AWS only", id, attribute)
}

// property returns a property of a resource as a text.
func (e *evaluator) property(id, name string) (string, error) {
	r, _ := e.section("Resources")[id].(map[string]any)
	props, _ := r["Properties"].(map[string]any)
	v, err := e.eval(props[name])
	if err != nil {
		return "", err
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s has no %s", id, name)
	}
	return text, nil
}

// functionName finds the name of a function in its ARN, in the URI of an integration, or in a bare
// name. A version or an alias is dropped: a local endpoint has one of each function.
func functionName(uri string) string {
	name := uri
	if _, after, ok := strings.Cut(name, "/functions/"); ok {
		name = after
	}
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, "/invocations")
	if i := strings.IndexByte(name, ':'); i >= 0 {
		name = name[:i]
	}
	return name
}
