package template

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A resource is one of a template, or a part of one, with the properties that have not been read
// yet.
type resource struct {
	p     *parser
	id    string
	where string // of a part: in front of its property names
	props map[string]any
}

// resources returns those of a type that exist under the template's conditions, by logical id.
func (p *parser) resources(typ string) []*resource {
	var found []*resource
	all := p.section("Resources")
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if p.resourceType(id) != typ {
			continue
		}
		r, _ := all[id].(map[string]any)
		if name, ok := r["Condition"].(string); ok {
			exists, err := p.condition(name)
			if err != nil {
				p.note(id, "%v; left out", err)
			}
			if !exists {
				continue
			}
		}
		props, _ := r["Properties"].(map[string]any)
		found = append(found, &resource{p: p, id: id, props: maps.Clone(props)})
	}
	return found
}

// value takes a property. Nil: it is not there, or what it is cannot be known, which is noted.
func (r *resource) value(name string) any {
	raw, ok := r.props[name]
	if !ok {
		return nil
	}
	delete(r.props, name)
	v, err := r.p.eval(raw)
	if err != nil {
		r.p.note(r.id, "%s%s: %v", r.where, name, err)
		return nil
	}
	return v
}

func (r *resource) text(name string) string {
	v := r.value(name)
	s, ok := v.(string)
	if v != nil && !ok {
		r.p.note(r.id, "%s%s is not a text", r.where, name)
	}
	return s
}

func (r *resource) bool(name string) bool { return strings.EqualFold(r.text(name), "true") }

// number takes a property that is a number, 0 if it is not there.
func (r *resource) number(name string) float64 {
	s := r.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		r.p.note(r.id, "%s%s is not a number", r.where, name)
		return 0
	}
	return n
}

// timeout takes a property in milliseconds.
func (r *resource) timeout(name string) time.Duration {
	ms := r.number(name)
	if ms != 0 && (ms < 50 || ms > 29000) {
		r.p.note(r.id, "%s%s is not between 50 and 29000, as AWS demands", r.where, name)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// texts takes a list of texts; a single text is a list of one.
func (r *resource) texts(name string) []string {
	v := r.value(name)
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, _ := v.([]any)
	s, ok := texts(list)
	if !ok {
		r.p.note(r.id, "%s%s is not a list of texts", r.where, name)
		return nil
	}
	return s
}

// variables takes a mapping of texts.
func (r *resource) variables(name string) map[string]string {
	part := r.part(name)
	if part == nil {
		return nil
	}
	m := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(part.props)) {
		m[k] = part.text(k)
	}
	return m
}

// part takes a property that is a mapping. Nil: it is not there.
func (r *resource) part(name string) *resource {
	raw, ok := r.props[name]
	if !ok {
		return nil
	}
	delete(r.props, name)
	m, ok := raw.(map[string]any)
	if _, _, call := intrinsic(m); call {
		v, err := r.p.eval(raw)
		if err != nil {
			r.p.note(r.id, "%s%s: %v", r.where, name, err)
			return nil
		}
		m, ok = v.(map[string]any)
		ok = ok || v == nil
	}
	if !ok {
		r.p.note(r.id, "%s%s is not a mapping", r.where, name)
	}
	if m == nil {
		return nil
	}
	return &resource{p: r.p, id: r.id, where: r.where + name + ".", props: maps.Clone(m)}
}

// ignore takes properties that make no difference to a local gateway.
func (r *resource) ignore(names ...string) {
	for _, name := range names {
		delete(r.props, name)
	}
}

// rest notes the properties that nobody has taken.
func (r *resource) rest() {
	for _, name := range slices.Sorted(maps.Keys(r.props)) {
		r.p.note(r.id, "%s%s has no effect here", r.where, name)
	}
}

// throttle reads the part of a stage's settings that limits a route.
func (r *resource) throttle() Throttle {
	t := Throttle{Rate: r.number("ThrottlingRateLimit"), Burst: int(r.number("ThrottlingBurstLimit"))}
	r.ignore("DataTraceEnabled", "DetailedMetricsEnabled", "LoggingLevel")
	r.rest()
	return t
}

// settings reads DefaultRouteSettings and RouteSettings, once the routes are known.
func (r *resource) settings(api *API) {
	if d := r.part("DefaultRouteSettings"); d != nil {
		api.Throttle = d.throttle()
	}
	all := r.part("RouteSettings")
	if all == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(all.props)) {
		one := all.part(key)
		if one == nil {
			continue
		}
		t := one.throttle()
		if route, ok := api.Routes[key]; ok {
			route.Throttle = &t
			api.Routes[key] = route
		} else {
			r.p.note(r.id, "RouteSettings: there is no route %s", key)
		}
	}
}
