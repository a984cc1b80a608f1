package gatewaytest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// $disconnect gets code and reason, after everything else.
func TestDisconnect(t *testing.T) {
	tests := map[string]struct {
		end    func(*client, *gatewaytest.Server)
		code   int
		reason string
	}{
		"client": {func(c *client, _ *gatewaytest.Server) {
			c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "tired")))
		}, 4001, "tired"},
		"no status": {func(c *client, _ *gatewaytest.Server) { c.send(ws.NewCloseFrame(nil)) },
			1005, "Client-side close frame status not set"},
		"broken":  {func(c *client, _ *gatewaytest.Server) { c.Close() }, 1006, ""},
		"dropped": {func(_ *client, s *gatewaytest.Server) { s.Conns()[0].Drop() }, 1006, ""},
		"idle":    {func(*client, *gatewaytest.Server) { sleep(3 * time.Minute) }, 1001, "Going away"},
		"deleted": {func(c *client, s *gatewaytest.Server) { call(c.t, s, "DELETE", "/@connections/"+c.id, "") },
			1000, "Connection Closed Normally"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var last *gatewaytest.Event
			handled := 0
			cfg := &gatewaytest.Config{Backend: func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				if ev.RequestContext.EventType == gatewaytest.EventMessage {
					time.Sleep(time.Second) // so that the end comes while it runs
				}
				handled++
				last = ev
				return nil, nil
			}}
			bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				c.text("one")
				c.text("two")
				synctest.Wait()
				test.end(c, s)
				sleep(time.Minute)
				rc := last.RequestContext
				if rc.EventType != gatewaytest.EventDisconnect || rc.DisconnectStatusCode != test.code || rc.DisconnectReason != test.reason {
					t.Errorf("%+v", rc)
				}
				if handled != 4 {
					t.Errorf("%d events", handled)
				}
			})
		})
	}
}

// The JSON of the events: all fields, and no others.
func TestEvents(t *testing.T) {
	var r recorder
	cfg := &gatewaytest.Config{
		Backend:        r.handle,
		StageVariables: map[string]string{"color": "blue"},
		Identify:       func(_ *http.Request, id *gatewaytest.Identity) { id.UserARN = "arn:aws:iam::1:user/a" },
		Authorizer: &gatewaytest.Authorizer{
			Func: func(context.Context, *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
				return gatewaytest.Allow("me", nil), nil
			},
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		d := dialer(s)
		d.Header = ws.HandshakeHeaderHTTP{"User-Agent": {"test/1"}, "X-Many": {"a", "b"}}
		time.Sleep(1500 * time.Millisecond)
		conn, _, _, err := d.Dial(t.Context(), s.URL+"?q=1&q=2&r=%20")
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, Conn: conn, id: s.Conns()[0].ID()}
		time.Sleep(time.Second)
		c.text("€")
		c.send(ws.NewCloseFrame(nil))
		synctest.Wait()

		authorizer := `"authorizer":{"principalId":"me"},`
		context := func(route, more, typ, more2 string, after int) string {
			return fmt.Sprintf(`"requestContext":{"routeKey":"%s",%s%s"eventType":"%s","extendedRequestId":"ID",`+
				`"requestTime":"01/Jan/2000:00:00:0%d +0000","messageDirection":"IN",%s"stage":"prod",`+
				`"connectedAt":946684801500,"requestTimeEpoch":9466848%02d500,`+
				`"identity":{"sourceIp":"127.0.0.1","userAgent":"test/1","userArn":"arn:aws:iam::1:user/a"},"requestId":"ID","domainName":"127.0.0.1",`+
				`"connectionId":"%s","apiId":"a1b2c3d4e5"`, route, authorizer, more, typ, after, more2, after, c.id)
		}
		variables := `"stageVariables":{"color":"blue"},`
		want := []string{
			`{"headers":{"Host":"127.0.0.1","Sec-WebSocket-Key":"KEY","Sec-WebSocket-Version":"13","User-Agent":"test/1",` +
				`"X-Amzn-Trace-Id":"TRACE","X-Forwarded-For":"127.0.0.1","X-Forwarded-Port":"443",` +
				`"X-Forwarded-Proto":"https","X-Many":"b"},` +
				`"multiValueHeaders":{"Host":["127.0.0.1"],"Sec-WebSocket-Key":["KEY"],"Sec-WebSocket-Version":["13"],` +
				`"User-Agent":["test/1"],"X-Amzn-Trace-Id":["TRACE"],"X-Forwarded-For":["127.0.0.1"],` +
				`"X-Forwarded-Port":["443"],"X-Forwarded-Proto":["https"],"X-Many":["a","b"]},` +
				`"queryStringParameters":{"q":"2","r":" "},"multiValueQueryStringParameters":{"q":["1","2"],"r":[" "]},` + variables +
				context("$connect", "", "CONNECT", "", 1) + `},"isBase64Encoded":false}`,
			`{` + variables + context("$default", `"messageId":"ID",`, "MESSAGE", "", 2) + `},"isBase64Encoded":false,"body":"€"}`,
			`{"headers":{"Host":"127.0.0.1","X-Forwarded-For":"","x-api-key":"","x-restapi":""},` +
				`"multiValueHeaders":{"Host":["127.0.0.1"],"X-Forwarded-For":[""],"x-api-key":[""],"x-restapi":[""]},` + variables +
				context("$disconnect", "", "DISCONNECT", `"disconnectStatusCode":1005,`, 2) +
				`,"disconnectReason":"Client-side close frame status not set"},"isBase64Encoded":false}`,
		}
		ids := regexp.MustCompile(`("(extendedRequestId|requestId|messageId)":)"[\w-]{15}="`)
		key := regexp.MustCompile(`[\w+/]{22}==`)
		// The hour zero of the bubble and 1.5 s.
		trace := regexp.MustCompile(`Root=1-386d4381-[0-9a-f]{24}`)
		for i, got := range r.events {
			got = trace.ReplaceAllString(got, "TRACE")
			got = ids.ReplaceAllString(got, `$1"ID"`)
			got = key.ReplaceAllString(got, "KEY")
			if got != want[i] {
				t.Errorf("got  %s\nwant %s", got, want[i])
			}
		}
	})
	t.Run("sparse", func(t *testing.T) {
		var r recorder
		bubble(t, &gatewaytest.Config{Backend: r.handle}, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.text("")
			synctest.Wait()
			c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
			synctest.Wait()
			for i, wants := range [][]string{
				{`!queryString`, `!authorizer`, `!userAgent`, `!userArn`, `!stageVariables`, `!"body"`, `!messageId`, `!disconnect`},
				{`"body":""`, `!eaders"`, `!disconnect`},
				{`"disconnectReason":""`, `"disconnectStatusCode":1000`, `!"body"`, `!messageId`},
			} {
				for _, want := range wants {
					text, absent := strings.CutPrefix(want, "!")
					if strings.Contains(r.events[i], text) == absent {
						t.Errorf("want %s in %s", want, r.events[i])
					}
				}
			}
		})
	})
}

func TestIDs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		var ids []string
		for range 50 {
			id := dial(t, s).id
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`).MatchString(id) || slices.Contains(ids, id) {
				t.Fatal(id)
			}
			ids = append(ids, id)
		}
	})
}

// Lambda goes through JSON, for types that have nothing to do with this package.
func TestLambda(t *testing.T) {
	type request struct {
		Body           string
		RequestContext struct{ ConnectionID, EventType, RouteKey string }
	}
	type reply struct {
		StatusCode int    `json:"statusCode"`
		Text       string `json:"body"`
	}
	fn := func(_ context.Context, in request) (reply, error) {
		if in.Body == "fail" {
			return reply{}, errors.New("x")
		}
		return reply{200, in.RequestContext.RouteKey + " " + in.RequestContext.EventType + " " + in.Body}, nil
	}
	cfg := &gatewaytest.Config{Backend: gatewaytest.Lambda(fn), RouteResponse: true}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		c.text("hello")
		c.wantText("$default MESSAGE hello")
		c.text("fail")
		if f, err := c.read(); err != nil || !strings.Contains(string(f.Payload), "Internal server error") {
			t.Errorf("%s, %v", f.Payload, err)
		}
	})

	ctx := context.Background()
	message, connect := &gatewaytest.Event{Body: "x"}, &gatewaytest.Event{}
	connect.RequestContext.EventType = gatewaytest.EventConnect
	null := gatewaytest.Lambda(func(context.Context, request) (any, error) { return nil, nil })
	if resp, err := null(ctx, message); resp != nil || err != nil {
		t.Errorf("null: %v, %v", resp, err)
	}
	if _, err := null(ctx, connect); err == nil {
		t.Error("$connect without a statusCode")
	}
	for name, h := range map[string]gatewaytest.Handler{
		"input does not fit": gatewaytest.Lambda(func(context.Context, struct{ Body int }) (any, error) { return nil, nil }),
		"no proxy response":  gatewaytest.Lambda(func(context.Context, request) (string, error) { return "text", nil }),
		"not JSON":           gatewaytest.Lambda(func(context.Context, request) (func(), error) { return func() {}, nil }),
	} {
		if _, err := h(ctx, message); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
