package gatewaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A selector is a route selection expression.
type selector []selectorPart

// A selectorPart is text, or the path of a value in the body.
type selectorPart struct {
	text string
	path jsonPath // if not nil
}

// parseSelector takes what the developer guide shows: "$request.body.action",
// "${request.body.action}", several of them with text around them, text alone, and a dollar sign
// behind a backslash.
func parseSelector(expr string) (selector, error) {
	const body = "request.body"
	var (
		parts selector
		text  strings.Builder
	)
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, selectorPart{text: text.String()})
			text.Reset()
		}
	}
	for rest := expr; rest != ""; {
		if after, ok := strings.CutPrefix(rest, `\$`); ok {
			text.WriteByte('$')
			rest = after
			continue
		}
		variable, ok := strings.CutPrefix(rest, "$")
		if !ok {
			text.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		if after, ok := strings.CutPrefix(variable, "{"); ok {
			if variable, rest, ok = strings.Cut(after, "}"); !ok {
				return nil, fmt.Errorf("%q: no } behind ${", expr)
			}
		} else {
			n := strings.IndexFunc(variable, func(r rune) bool { return strings.ContainsRune("/ \t{}$\\,;|&=?!", r) })
			if n < 0 {
				n = len(variable)
			}
			variable, rest = variable[:n], variable[n:]
		}
		path, ok := strings.CutPrefix(variable, body)
		if !ok {
			return nil, fmt.Errorf("%q: want $request.body.PATH or ${request.body.PATH}", expr)
		}
		p, err := parsePath(path)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", expr, err)
		}
		flush()
		parts = append(parts, selectorPart{path: p})
	}
	flush()
	return parts, nil
}

// key evaluates the expression on a message. It reports whether the message is JSON.
func (s selector) key(data []byte) (string, bool) {
	body, ok := decode(data)
	if !ok {
		return "", false
	}
	var key strings.Builder
	for _, part := range s {
		if part.path == nil {
			key.WriteString(part.text)
			continue
		}
		if v, ok := part.path.find(body); ok {
			writeText(&key, v, true)
		}
	}
	return key.String(), true
}

// A jsonPath is the part of JSONPath that leads to one value: names and indexes.
type jsonPath []any // string or int

// parsePath takes ".a.b", "['a']", "[0]", "[-1]" and what is made of them.
func parsePath(path string) (jsonPath, error) {
	steps := jsonPath{}
	for rest := path; rest != ""; {
		if name, ok := strings.CutPrefix(rest, "."); ok {
			n := strings.IndexAny(name, ".[")
			if n < 0 {
				n = len(name)
			}
			if n == 0 || name[:n] == "*" {
				return nil, fmt.Errorf("path %q: want names and indexes", path)
			}
			steps = append(steps, name[:n])
			rest = name[n:]
			continue
		}
		inside, ok := strings.CutPrefix(rest, "[")
		if !ok {
			return nil, fmt.Errorf("path %q: want . or [", path)
		}
		if quote := inside[:min(1, len(inside))]; quote == "'" || quote == `"` {
			name, after, ok := strings.Cut(inside[1:], quote+"]")
			if !ok {
				return nil, fmt.Errorf("path %q: no %s]", path, quote)
			}
			steps = append(steps, name)
			rest = after
			continue
		}
		index, after, ok := strings.Cut(inside, "]")
		i, err := strconv.Atoi(index)
		if !ok || err != nil {
			return nil, fmt.Errorf("path %q: want names and indexes", path)
		}
		steps = append(steps, i)
		rest = after
	}
	if len(steps) == 0 {
		return nil, errors.New("no path")
	}
	return steps, nil
}

// find follows the path. It reports whether it leads to a value.
func (p jsonPath) find(value any) (any, bool) {
	for _, step := range p {
		switch step := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			v, ok := object[step]
			if !ok {
				return nil, false
			}
			value = v
		case int:
			array, _ := value.([]any)
			if step < 0 {
				step += len(array)
			}
			if step < 0 || step >= len(array) {
				return nil, false
			}
			value = array[step]
		}
	}
	return value, true
}

// text returns the value in a JSON text that the path leads to, and whether there is one.
func (p jsonPath) text(data []byte) (string, bool) {
	body, ok := decode(data)
	if !ok {
		return "", false
	}
	v, ok := p.find(body)
	if !ok || v == nil {
		return "", false
	}
	var b strings.Builder
	writeText(&b, v, true)
	return b.String(), true
}

// writeText writes a value as the route selection expression has it. The guide has "[item1, item2]"
// for an array; that an object looks likewise, {name=value, ...}, and null like a missing value,
// are inferences.
func writeText(b *strings.Builder, value any, top bool) {
	switch value := value.(type) {
	case nil:
		if !top {
			b.WriteString("null")
		}
	case []any:
		b.WriteByte('[')
		for i, v := range value {
			if i > 0 {
				b.WriteString(", ")
			}
			writeText(b, v, false)
		}
		b.WriteByte(']')
	case map[string]any:
		names := make([]string, 0, len(value))
		for name := range value {
			names = append(names, name)
		}
		slices.Sort(names)
		b.WriteByte('{')
		for i, name := range names {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(name)
			b.WriteByte('=')
			writeText(b, value[name], false)
		}
		b.WriteByte('}')
	default:
		fmt.Fprint(b, value)
	}
}

// decode reports whether data is JSON.
func decode(data []byte) (value any, ok bool) {
	if !json.Valid(data) { // a Decoder does not see what follows the value
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // numbers as they are written: 21000000, not 2.1e+07
	err := d.Decode(&value)
	return value, err == nil
}
