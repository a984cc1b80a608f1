package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A document is a template as plain values: string for every scalar, []any, map[string]any, nil. A
// short tag such as !Sub has become its long form, {"Fn::Sub": ...}.
type document struct {
	root  map[string]any
	lines map[string]int // of each resource, by logical id; empty for JSON
}

// mostNodes bounds what aliases can expand a document to.
const mostNodes = 1 << 20

func parse(data []byte) (*document, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) && json.Valid(data) {
		return parseJSON(data)
	}
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return nil, errors.New("the template is empty")
	}
	c := converter{doc: &document{lines: map[string]int{}}}
	v, err := c.value(n.Content[0], 0, "")
	if err != nil {
		return nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the template is not a mapping")
	}
	c.doc.root = root
	return c.doc, nil
}

// parseJSON is apart from YAML because JSON may be indented with tabs.
func parseJSON(data []byte) (*document, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	scalars(root)
	return &document{root: root}, nil
}

// scalars turns numbers and booleans into strings, in place.
func scalars(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = scalars(e)
		}
	case []any:
		for i, e := range v {
			v[i] = scalars(e)
		}
	case json.Number, bool:
		return fmt.Sprint(v)
	}
	return v
}

type converter struct {
	doc   *document
	nodes int
}

// value converts a node. Path is where it is: "" is the root, "Resources" the mapping below it.
func (c *converter) value(n *yaml.Node, depth int, path string) (any, error) {
	if c.nodes++; c.nodes > mostNodes {
		return nil, fmt.Errorf("line %d: the template is too large", n.Line)
	}
	if depth > 100 {
		return nil, fmt.Errorf("line %d: the template is nested too deeply", n.Line)
	}
	v, err := c.untagged(n, depth, path)
	if err != nil {
		return nil, err
	}
	tag := n.Tag
	switch {
	case n.Kind == yaml.AliasNode, strings.HasPrefix(tag, "!!"), !strings.HasPrefix(tag, "!"), tag == "!":
		return v, nil
	case tag == "!Ref", tag == "!Condition":
		return map[string]any{tag[1:]: v}, nil
	default:
		return map[string]any{"Fn::" + tag[1:]: v}, nil
	}
}

func (c *converter) untagged(n *yaml.Node, depth int, path string) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1, path)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			v, err := c.value(e, depth+1, "-")
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	default:
		return c.mapping(n, depth, path)
	}
}

func (c *converter) mapping(n *yaml.Node, depth int, path string) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	merged := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		below := "-"
		if depth == 0 {
			below = key.Value
		}
		v, err := c.value(n.Content[i+1], depth+1, below)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			merge(merged, v)
			continue
		}
		if _, twice := m[key.Value]; twice {
			return nil, fmt.Errorf("line %d: key %q is there twice", key.Line, key.Value)
		}
		if path == "Resources" && depth == 1 {
			c.doc.lines[key.Value] = key.Line
		}
		m[key.Value] = v
	}
	for k, v := range merged {
		if _, ok := m[k]; !ok {
			m[k] = v
		}
	}
	return m, nil
}

// merge takes in the value of a merge key "<<": a mapping, or a list of them of which the first has
// precedence.
func merge(into map[string]any, v any) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, e := range list {
		m, _ := e.(map[string]any)
		for k, v := range m {
			if _, ok := into[k]; !ok {
				into[k] = v
			}
		}
	}
}
