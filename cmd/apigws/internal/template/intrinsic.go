package template

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What a template gets for the pseudo parameters: there is no account behind a local gateway.
var pseudo = map[string]any{
	"AWS::AccountId":        "123456789012",
	"AWS::NotificationARNs": []any{},
	"AWS::NoValue":          nil,
	"AWS::Partition":        "aws",
	"AWS::Region":           "us-east-1",
	"AWS::StackId":          "arn:aws:cloudformation:us-east-1:123456789012:stack/local/1",
	"AWS::StackName":        "local",
	"AWS::URLSuffix":        "amazonaws.com",
}

// An evaluator carries out the intrinsic functions of a template.
type evaluator struct {
	doc        *document
	parameters map[string]string // in place of their defaults
	depth      int               // of eval
}

// eval returns a value with its intrinsic functions carried out. Keys whose value is AWS::NoValue
// are gone.
func (e *evaluator) eval(v any) (any, error) {
	e.depth++
	defer func() { e.depth-- }()
	if e.depth > 100 {
		return nil, errors.New("intrinsic functions refer to each other without end")
	}
	switch v := v.(type) {
	case []any:
		list := make([]any, 0, len(v))
		for _, element := range v {
			r, err := e.eval(element)
			if err != nil {
				return nil, err
			}
			if r != nil {
				list = append(list, r)
			}
		}
		return list, nil
	case map[string]any:
		if name, arg, ok := intrinsic(v); ok {
			return e.call(name, arg)
		}
		m := make(map[string]any, len(v))
		for k, element := range v {
			r, err := e.eval(element)
			if err != nil {
				return nil, err
			}
			if r != nil {
				m[k] = r
			}
		}
		return m, nil
	}
	return v, nil
}

// intrinsic reports whether a mapping is the call of an intrinsic function.
func intrinsic(m map[string]any) (name string, arg any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for k, v := range m {
		name, arg = k, v
	}
	_, isString := arg.(string)
	return name, arg, strings.HasPrefix(name, "Fn::") || isString && (name == "Ref" || name == "Condition")
}

func (e *evaluator) call(name string, arg any) (any, error) {
	// These do not evaluate all of their arguments.
	switch name {
	case "Fn::If":
		return e.ifElse(arg)
	case "Condition":
		b, err := e.condition(arg.(string))
		return strconv.FormatBool(b), err
	case "Fn::Sub":
		return e.sub(arg)
	}
	arg, err := e.eval(arg)
	if err != nil {
		return nil, err
	}
	list, _ := arg.([]any)
	switch name {
	case "Ref":
		return e.ref(arg.(string))
	case "Fn::GetAtt":
		if text, ok := arg.(string); ok {
			id, attribute, _ := strings.Cut(text, ".")
			return e.getAtt(id, attribute)
		}
		if s, ok := texts(list); ok && len(s) == 2 {
			return e.getAtt(s[0], s[1])
		}
	case "Fn::Join":
		if len(list) == 2 {
			separator, ok1 := list[0].(string)
			parts, _ := list[1].([]any)
			if s, ok2 := texts(parts); ok1 && ok2 {
				return strings.Join(s, separator), nil
			}
		}
	case "Fn::Split":
		if s, ok := texts(list); ok && len(s) == 2 {
			var parts []any
			for part := range strings.SplitSeq(s[1], s[0]) {
				parts = append(parts, part)
			}
			return parts, nil
		}
	case "Fn::Select":
		if len(list) == 2 {
			text, _ := list[0].(string)
			from, _ := list[1].([]any)
			if i, err := strconv.Atoi(text); err == nil && i >= 0 && i < len(from) {
				return from[i], nil
			}
		}
	case "Fn::FindInMap":
		if s, ok := texts(list); ok && len(s) == 3 {
			return e.findInMap(s)
		}
	case "Fn::Equals":
		if s, ok := texts(list); ok && len(s) == 2 {
			return strconv.FormatBool(s[0] == s[1]), nil
		}
	case "Fn::Not", "Fn::And", "Fn::Or":
		if s, ok := texts(list); ok && len(s) > 0 {
			return logic(name, s), nil
		}
	default:
		return nil, fmt.Errorf("%s is not supported", name)
	}
	return nil, fmt.Errorf("%s: wrong arguments", name)
}

func texts(list []any) ([]string, bool) {
	s := make([]string, len(list))
	for i, e := range list {
		var ok bool
		if s[i], ok = e.(string); !ok {
			return nil, false
		}
	}
	return s, true
}

func logic(name string, values []string) string {
	result := name != "Fn::Or"
	for _, v := range values {
		switch name {
		case "Fn::Not":
			result = v != "true"
		case "Fn::And":
			result = result && v == "true"
		case "Fn::Or":
			result = result || v == "true"
		}
	}
	return strconv.FormatBool(result)
}

func (e *evaluator) ifElse(arg any) (any, error) {
	list, _ := arg.([]any)
	if len(list) == 3 {
		if name, ok := list[0].(string); ok {
			yes, err := e.condition(name)
			if err != nil {
				return nil, err
			}
			if yes {
				return e.eval(list[1])
			}
			return e.eval(list[2])
		}
	}
	return nil, errors.New("Fn::If: wrong arguments")
}

func (e *evaluator) condition(name string) (bool, error) {
	def, ok := e.section("Conditions")[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %q", name)
	}
	v, err := e.eval(def)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	return v == "true", nil
}

func (e *evaluator) findInMap(path []string) (any, error) {
	var v any = e.section("Mappings")
	for _, key := range path {
		m, _ := v.(map[string]any)
		if v = m[key]; v == nil {
			return nil, fmt.Errorf("Fn::FindInMap: there is no %s", strings.Join(path, "/"))
		}
	}
	return v, nil
}

// sub replaces ${Name}, ${Name.Attribute} and the names of the mapping that may come with the text.
// ${!x} stays as ${x}.
func (e *evaluator) sub(arg any) (any, error) {
	text, ok := arg.(string)
	var names map[string]any
	if list, _ := arg.([]any); len(list) == 2 {
		text, ok = list[0].(string)
		names, _ = list[1].(map[string]any)
	}
	if !ok {
		return nil, errors.New("Fn::Sub: wrong arguments")
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("Fn::Sub: a ${ has no }")
		}
		text = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			b.WriteString("${" + literal + "}")
			continue
		}
		v, err := e.subName(strings.TrimSpace(name), names)
		if err != nil {
			return nil, err
		}
		b.WriteString(v)
	}
}

func (e *evaluator) subName(name string, names map[string]any) (string, error) {
	var (
		v   any
		err error
	)
	if own, ok := names[name]; ok {
		v, err = e.eval(own)
	} else if id, attribute, ok := strings.Cut(name, "."); ok && !e.hasName(name) {
		v, err = e.getAtt(id, attribute)
	} else {
		v, err = e.ref(name)
	}
	if err != nil {
		return "", err
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("Fn::Sub: %s is not a text", name)
	}
	return text, nil
}
