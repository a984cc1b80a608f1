package gatewaytest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"
)

// The event types, in RequestContext.EventType.
const (
	EventConnect    = "CONNECT"
	EventMessage    = "MESSAGE"
	EventDisconnect = "DISCONNECT"
)

// An Event is what a backend gets: the proxy event of a Lambda integration. Its JSON has the fields
// that the real one has for the same event type, and no others.
type Event struct {
	// Headers are in CONNECT and DISCONNECT events; of several values the last. MultiValueHeaders
	// has all.
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`

	// QueryStringParameters are in CONNECT events; of several values the last.
	// MultiValueQueryStringParameters has all.
	QueryStringParameters           map[string]string   `json:"queryStringParameters,omitempty"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters,omitempty"`

	// StageVariables are Config.StageVariables. That MESSAGE and DISCONNECT events have them, too,
	// is an inference.
	StageVariables map[string]string `json:"stageVariables,omitempty"`

	// RequestContext says where the event comes from.
	RequestContext RequestContext `json:"requestContext"`

	// Body is the message; in MESSAGE events only.
	Body string `json:"body,omitempty"`

	// IsBase64Encoded is always false: messages are text.
	IsBase64Encoded bool `json:"isBase64Encoded"`
}

// MarshalJSON keeps the body of an empty message, and leaves it out elsewhere.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	if e.RequestContext.EventType != EventMessage {
		return json.Marshal(plain(e))
	}
	return json.Marshal(struct {
		plain
		Body string `json:"body"`
	}{plain(e), e.Body})
}

// RequestContext says where an Event comes from. Times are those of the Server.
type RequestContext struct {
	// RouteKey is "$connect", "$disconnect", "$default", or one of Config.Routes.
	RouteKey string `json:"routeKey"`

	// Authorizer is what Config.Authorizer returned.
	Authorizer map[string]any `json:"authorizer,omitempty"`

	// MessageID is another one for each message; in MESSAGE events only.
	MessageID string `json:"messageId,omitempty"`

	// EventType is EventConnect, EventMessage or EventDisconnect.
	EventType string `json:"eventType"`

	// ExtendedRequestID is the same as RequestID, as it was seen to be.
	ExtendedRequestID string `json:"extendedRequestId"`

	// RequestTime is the time of the event: 29/Nov/2023:08:04:01 +0000.
	RequestTime string `json:"requestTime"`

	// MessageDirection is always "IN".
	MessageDirection string `json:"messageDirection"`

	// DisconnectStatusCode and DisconnectReason are those of the close frame, or what stands for
	// it; in DISCONNECT events only.
	DisconnectStatusCode int    `json:"disconnectStatusCode,omitempty"`
	DisconnectReason     string `json:"disconnectReason,omitempty"`

	// Stage is Config.Stage.
	Stage string `json:"stage"`

	// ConnectedAt is when the handshake came in, RequestTimeEpoch the time of the event, in
	// milliseconds.
	ConnectedAt      int64 `json:"connectedAt"`
	RequestTimeEpoch int64 `json:"requestTimeEpoch"`

	// Identity says who the client is.
	Identity Identity `json:"identity"`

	// RequestID is another one for each event.
	RequestID string `json:"requestId"`

	// DomainName is the host and port that the client asked for.
	DomainName string `json:"domainName"`

	// ConnectionID is that of Conn.ID.
	ConnectionID string `json:"connectionId"`

	// APIID is the same for every Server.
	APIID string `json:"apiId"`
}

// MarshalJSON keeps an empty reason in a DISCONNECT event, and leaves it out elsewhere.
func (c RequestContext) MarshalJSON() ([]byte, error) {
	type plain RequestContext
	if c.EventType != EventDisconnect {
		return json.Marshal(plain(c))
	}
	return json.Marshal(struct {
		plain
		DisconnectReason string `json:"disconnectReason"`
	}{plain(c), c.DisconnectReason})
}

// Identity is who made a connection. The Server fills in SourceIP and UserAgent, Config.Identify
// the rest.
type Identity struct {
	SourceIP  string `json:"sourceIp"`            // the client's address, without a port
	UserAgent string `json:"userAgent,omitempty"` // as the handshake had it
	APIKey    string `json:"apiKey,omitempty"`    // the key of the handshake
	APIKeyID  string `json:"apiKeyId,omitempty"`  // the key's id
	AccountID string `json:"accountId,omitempty"` // of the IAM caller
	AccessKey string `json:"accessKey,omitempty"` // that the handshake was signed with
	Caller    string `json:"caller,omitempty"`    // the IAM principal: AIDACKCEVSQ6C2EXAMPLE
	User      string `json:"user,omitempty"`      // likewise
	UserARN   string `json:"userArn,omitempty"`   // arn:aws:iam::123456789012:user/Alice
}

// An origin is what the events of a connection have in common.
type origin struct {
	host        string
	identity    Identity
	authorizer  map[string]any
	connectedAt time.Time // when the handshake came in
}

func newOrigin(a *api, r *http.Request) origin {
	ip, _, _ := net.SplitHostPort(r.RemoteAddr) // net/http takes it from a TCP address
	o := origin{host: r.Host, identity: Identity{SourceIP: ip, UserAgent: r.UserAgent()}, connectedAt: time.Now()}
	if a.identify != nil {
		a.identify(r, &o.identity)
	}
	return o
}

// apiID is the same for each Server: nothing depends on it.
const apiID = "a1b2c3d4e5"

// newEvent returns what all events of a connection contain.
func newEvent(a *api, typ, route, connectionID string, o origin) *Event {
	now := time.Now().UTC()
	requestID := newID()
	return &Event{StageVariables: maps.Clone(a.variables), RequestContext: RequestContext{
		RouteKey:          route,
		Authorizer:        maps.Clone(o.authorizer),
		EventType:         typ,
		ExtendedRequestID: requestID, // seen to be the same
		RequestTime:       now.Format("02/Jan/2006:15:04:05 -0700"),
		MessageDirection:  "IN",
		Stage:             a.stage,
		ConnectedAt:       o.connectedAt.UnixMilli(),
		RequestTimeEpoch:  now.UnixMilli(),
		Identity:          o.identity,
		RequestID:         requestID,
		DomainName:        o.host,
		ConnectionID:      connectionID,
		APIID:             apiID,
	}}
}

// event returns that of $connect.
func (t *attempt) event() *Event {
	r, o := t.r, t.origin
	ev := newEvent(t.a, EventConnect, "$connect", t.id, o)
	ev.Headers, ev.MultiValueHeaders = map[string]string{}, map[string][]string{}
	set := func(name string, values ...string) {
		// Of several values the single-value form has the last, as with REST APIs.
		ev.Headers[name], ev.MultiValueHeaders[name] = values[len(values)-1], values
	}
	for name, values := range r.Header {
		if name == "Connection" || name == "Upgrade" {
			continue
		}
		if spelling, ok := webSocketHeaders[name]; ok {
			name = spelling
		}
		set(name, values...)
	}
	// As behind the real gateway, whatever this one listens on.
	set("Host", r.Host)
	set("X-Forwarded-For", o.identity.SourceIP)
	set("X-Forwarded-Port", "443")
	set("X-Forwarded-Proto", "https")
	set("X-Amzn-Trace-Id", newTraceID(ev.RequestContext.RequestTimeEpoch))
	query := r.URL.Query()
	ev.QueryStringParameters, ev.MultiValueQueryStringParameters = lastValues(query), query
	return ev
}

// webSocketHeaders gives back their spelling to the headers that net/http spells otherwise.
var webSocketHeaders = map[string]string{
	"Sec-Websocket-Extensions": "Sec-WebSocket-Extensions",
	"Sec-Websocket-Key":        "Sec-WebSocket-Key",
	"Sec-Websocket-Protocol":   "Sec-WebSocket-Protocol",
	"Sec-Websocket-Version":    "Sec-WebSocket-Version",
}

func lastValues(q url.Values) map[string]string {
	last := make(map[string]string, len(q))
	for k, v := range q {
		last[k] = v[len(v)-1]
	}
	return last
}

func (q *tasks) messageEvent(a *api, route string, data []byte) *Event {
	ev := newEvent(a, EventMessage, route, q.c.id, q.c.origin)
	ev.RequestContext.MessageID = newID()
	ev.Body = string(data)
	return ev
}

func (q *tasks) disconnectEvent(a *api, code int, reason string) *Event {
	ev := newEvent(a, EventDisconnect, "$disconnect", q.c.id, q.c.origin)
	ev.RequestContext.DisconnectStatusCode, ev.RequestContext.DisconnectReason = code, reason
	ev.Headers = map[string]string{"Host": q.c.origin.host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
	ev.MultiValueHeaders = map[string][]string{}
	for k, v := range ev.Headers {
		ev.MultiValueHeaders[k] = []string{v}
	}
	return ev
}

// newID returns an id as the gateway makes them for connections, requests and messages: 16
// characters of the base64url alphabet, the last of them "=".
func newID() string {
	var b [11]byte
	rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}

// newTraceID returns the id of an X-Ray trace that begins at a time in milliseconds.
func newTraceID(ms int64) string {
	var b [12]byte
	rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%x", ms/1000, b)
}
