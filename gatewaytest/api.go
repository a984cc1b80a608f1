package gatewaytest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An api is what is deployed on a Server. It does not change: Server.Deploy puts another in its
// place.
type api struct {
	echo          bool // messages go back, no Handler is called
	custom        bool // there are routes for selector to find
	selector      selector
	routes        map[string]*route // $connect, $default and all that have a Handler
	authorizeFunc func(*http.Request) int
	authorizer    *Authorizer
	identify      func(*http.Request, *Identity)
	stage         string
	variables     map[string]string
	subprotocols  []string
	timeout       time.Duration // of the authorizer
}

// A route is a route key with what belongs to it.
type route struct {
	key     string
	handler Handler // nil: none
	timeout time.Duration
	respond bool
	limit   bucket
	limited string // the text of the error frame
}

// Deploy puts another API in the place of the one that the Server has, as a deployment to the stage
// does: Backend, Routes, RouteSettings, RouteSelection, RouteResponse, IntegrationTimeout,
// Authorize, Authorizer, Identify, StageVariables and Subprotocols of cfg. Its other fields are not
// looked at. Open connections stay, and whatever comes in on them from now on is for the new
// routes; what is being handled goes on. What the real gateway does to connections when it is
// deployed anew is not known.
//
// Deploy panics, and changes nothing, if cfg makes no sense.
func (s *Server) Deploy(cfg *Config) {
	c := cfg.withDefaults()
	c.Stage = s.cfg.Stage
	s.api.Store(newAPI(&c))
}

// RouteSettings are what one route has of its own; see Config.RouteSettings.
type RouteSettings struct {
	// IntegrationTimeout takes the place of Config.IntegrationTimeout. 0: it does not.
	IntegrationTimeout time.Duration

	// RouteResponse gives the route a route response, whatever Config.RouteResponse is.
	RouteResponse bool

	// Rate is how many events a second the route takes, of all connections together, and Burst how
	// many at once after a pause; 0: as many as in a second. More are throttled: the answer to a
	// handshake is 429, and a message gets an error frame. Rate 0: no limit.
	Rate  float64
	Burst int

	// Throttled is the text in the error frame. Default: "Too Many Requests". The real one is not
	// known.
	Throttled string
}

// newAPI panics if the Config does not make sense.
func newAPI(cfg *Config) *api {
	a := &api{
		routes:        map[string]*route{},
		authorizeFunc: cfg.Authorize,
		identify:      cfg.Identify,
		stage:         cfg.Stage,
		variables:     maps.Clone(cfg.StageVariables),
		subprotocols:  slices.Clone(cfg.Subprotocols),
		timeout:       cfg.IntegrationTimeout,
	}
	handlers := cfg.Routes
	switch {
	case cfg.Backend != nil && cfg.Routes != nil:
		panic("gatewaytest: Config has both Backend and Routes")
	case cfg.Backend != nil:
		handlers = map[string]Handler{"$connect": cfg.Backend, "$disconnect": cfg.Backend, "$default": cfg.Backend}
	case cfg.Routes == nil:
		a.echo = true
	}
	var err error
	if a.selector, err = parseSelector(cfg.RouteSelection); err != nil {
		panic(fmt.Sprintf("gatewaytest: Config.RouteSelection: %v", err))
	}
	if cfg.Authorizer != nil {
		a.authorizer = cfg.Authorizer.clone()
	}
	for key, h := range handlers {
		checkRoute(key, h)
		a.routes[key] = cfg.newRoute(key, h)
		a.custom = a.custom || !strings.HasPrefix(key, "$")
	}
	// So that they can have settings without a Handler.
	for _, key := range []string{"$connect", "$default"} {
		if a.routes[key] == nil {
			a.routes[key] = cfg.newRoute(key, nil)
		}
	}
	for key, settings := range cfg.RouteSettings {
		if a.routes[key] == nil {
			panic(fmt.Sprintf("gatewaytest: Config.RouteSettings: no route %q", key))
		}
		settings.check(key)
	}
	return a
}

func checkRoute(key string, h Handler) {
	switch {
	case h == nil:
		panic(fmt.Sprintf("gatewaytest: Config.Routes: route %q has no Handler", key))
	case key == "":
		panic("gatewaytest: Config.Routes: an empty route key")
	case strings.HasPrefix(key, "$") && key != "$connect" && key != "$disconnect" && key != "$default":
		panic(fmt.Sprintf("gatewaytest: Config.Routes: there is no route %q; keys with $ are reserved", key))
	}
}

func (s RouteSettings) check(key string) {
	field := ""
	switch {
	case s.IntegrationTimeout < 0:
		field = "IntegrationTimeout"
	case s.Rate < 0:
		field = "Rate"
	case s.Burst < 0 || s.Burst > 0 && s.Rate == 0:
		field = "Burst"
	}
	if field != "" {
		panic(fmt.Sprintf("gatewaytest: Config.RouteSettings[%q].%s makes no sense", key, field))
	}
}

func (cfg *Config) newRoute(key string, h Handler) *route {
	settings := cfg.RouteSettings[key]
	r := &route{
		key:     key,
		handler: h,
		timeout: settings.IntegrationTimeout,
		respond: settings.RouteResponse || cfg.RouteResponse,
		limit:   bucket{rate: settings.Rate, burst: float64(settings.Burst)},
		limited: settings.Throttled,
	}
	orDefault(&r.timeout, cfg.IntegrationTimeout)
	orDefault(&r.limited, "Too Many Requests")
	return r
}

// forMessage returns the route of a message.
func (a *api) forMessage(data []byte) *route {
	if a.custom {
		// $connect and $disconnect are not for messages to choose.
		if key, ok := a.selector.key(data); ok && !strings.HasPrefix(key, "$") {
			if r := a.routes[key]; r != nil {
				return r
			}
		}
	}
	return a.routes["$default"]
}

// stageVariables returns a copy: events belong to Handlers.
func (a *api) stageVariables() map[string]string {
	if v := maps.Clone(a.variables); v != nil {
		return v
	}
	return map[string]string{}
}

func (a *Authorizer) clone() *Authorizer {
	if a.Func == nil {
		panic("gatewaytest: Config.Authorizer has no Func")
	}
	for _, source := range a.IdentitySources {
		if err := mapping(source).check(); err != nil || source[0] == '\'' {
			panic(fmt.Sprintf("gatewaytest: Config.Authorizer.IdentitySources: %v", err))
		}
	}
	c := *a
	c.IdentitySources = slices.Clone(a.IdentitySources)
	return &c
}

// subprotocol returns what the gateway chooses for a handshake, or "".
func (a *api) subprotocol(r *http.Request) string {
	var offered []string
	for _, header := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(header, ",") {
			offered = append(offered, strings.TrimSpace(p))
		}
	}
	for _, p := range a.subprotocols {
		if slices.Contains(offered, p) {
			return p
		}
	}
	return ""
}
