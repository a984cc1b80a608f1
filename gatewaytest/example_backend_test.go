package gatewaytest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
)

// ask sends a message to a Server and returns the answer.
func ask(s *gatewaytest.Server, message string) string {
	ctx := context.Background()
	c, resp, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		return resp.Status
	}
	defer c.CloseNow()
	c.Write(ctx, websocket.MessageText, []byte(message))
	_, answer, err := c.Read(ctx)
	if err != nil {
		log.Fatal(err)
	}
	return string(answer)
}

// A function in AWS's runtime interface emulator, here a stand-in for it.
func ExampleInvokeLambda() {
	emulator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"statusCode":200,"body":"`+r.URL.Path+`"}`)
	}))
	defer emulator.Close()

	gw := gatewaytest.NewServer(&gatewaytest.Config{
		Routes:        map[string]gatewaytest.Handler{"$default": gatewaytest.InvokeLambda(emulator.URL, "function")},
		RouteResponse: true,
	})
	defer gw.Close()
	fmt.Println(ask(gw, "hello"))
	// Output:
	// /2015-03-31/functions/function/invocations
}

// A backend behind an HTTP proxy integration learns the connectionId from a header.
func ExampleHTTPProxy() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s, connection known: %t", body, r.Header.Get("connectionId") != "")
	}))
	defer backend.Close()

	proxy := gatewaytest.HTTPProxy(backend.URL, map[string]string{
		"integration.request.header.connectionId": "context.connectionId",
	})
	gw := gatewaytest.NewServer(&gatewaytest.Config{
		Routes:        map[string]gatewaytest.Handler{"$default": proxy},
		RouteResponse: true,
	})
	defer gw.Close()
	fmt.Println(ask(gw, "hello"))
	// Output:
	// hello, connection known: true
}

// A Lambda authorizer decides on the handshake, and its context is in the events.
func ExampleAuthorizer() {
	authorize := func(_ context.Context, r *gatewaytest.AuthorizerRequest) (*gatewaytest.AuthorizerResponse, error) {
		switch r.QueryStringParameters["token"] {
		case "alice":
			return gatewaytest.Allow("alice", map[string]any{"room": "blue"}), nil
		case "mallory":
			return gatewaytest.Deny("mallory"), nil // 403
		}
		return nil, errors.New("Unauthorized") // 401
	}
	gw := gatewaytest.NewServer(&gatewaytest.Config{
		Authorizer: &gatewaytest.Authorizer{
			Func:            authorize,
			IdentitySources: []string{"route.request.querystring.token"}, // 401 without
		},
		RouteResponse: true,
		Backend: func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
			who := ev.RequestContext.Authorizer
			return &gatewaytest.Response{Body: fmt.Sprint(who["principalId"], " in ", who["room"])}, nil
		},
	})
	defer gw.Close()
	url := gw.URL
	for _, query := range []string{"", "?token=eve", "?token=mallory", "?token=alice"} {
		gw.URL = url + query
		fmt.Println(ask(gw, "hello"))
	}
	// Output:
	// 401 Unauthorized
	// 401 Unauthorized
	// 403 Forbidden
	// alice in blue
}

// Another deployment takes effect at once, and connections stay.
func ExampleServer_Deploy() {
	backend := func(version string) *gatewaytest.Config {
		return &gatewaytest.Config{
			Routes: map[string]gatewaytest.Handler{
				"$default": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
					return &gatewaytest.Response{Body: version}, nil
				},
			},
			RouteResponse: true,
		}
	}
	gw := gatewaytest.NewServer(backend("old"))
	defer gw.Close()
	fmt.Println(ask(gw, "which?"))
	gw.Deploy(backend("new"))
	fmt.Println(ask(gw, "which?"))
	// Output:
	// old
	// new
}

// A program is told what happens.
func ExampleConfig_observe() {
	gw := gatewaytest.NewServer(&gatewaytest.Config{
		Observe: func(o gatewaytest.Observation) {
			fmt.Println(strings.TrimSpace(fmt.Sprintf("%s %s", o.Kind, o.Data)))
		},
	})
	ask(gw, "hello")
	gw.Close() // returns when Observe has been told of everything
	// Output:
	// connected
	// received hello
	// responded hello
	// closed
}
