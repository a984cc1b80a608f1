package gatewaytest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
)

// A test looks at the gateway's end of a connection: what the client sends, and what it does when
// the gateway closes.
func Example() {
	gw := gatewaytest.NewServer(nil) // an echo; in a test: gatewaytest.Run(t, nil)
	defer gw.Close()

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, gw.URL, &websocket.DialOptions{HTTPClient: gw.Client()})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := gw.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	c.Write(ctx, websocket.MessageText, []byte("hello"))
	msg, _ := conn.Next(ctx)
	fmt.Printf("gateway got %s\n", msg)
	_, msg, _ = c.Read(ctx)
	fmt.Printf("client got %s\n", msg)

	conn.Close(1001, "Going away")
	_, _, err = c.Read(ctx) // answers the close frame
	fmt.Println("client:", websocket.CloseStatus(err))
	code, reason, _ := conn.Wait(ctx)
	fmt.Println("gateway:", code, reason)
	// Output:
	// gateway got hello
	// client got hello
	// client: StatusGoingAway
	// gateway: 1001 Going away
}

// The routes of an API, with a backend that answers through route responses.
func ExampleConfig_routes() {
	s := gatewaytest.NewServer(&gatewaytest.Config{
		RouteSelection: "$request.body.action",
		RouteResponse:  true,
		Routes: map[string]gatewaytest.Handler{
			"$connect": func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				if ev.QueryStringParameters["token"] != "secret" {
					return &gatewaytest.Response{StatusCode: http.StatusUnauthorized}, nil
				}
				return &gatewaytest.Response{StatusCode: http.StatusOK}, nil
			},
			"ping": func(context.Context, *gatewaytest.Event) (*gatewaytest.Response, error) {
				return &gatewaytest.Response{Body: "pong"}, nil
			},
		},
	})
	defer s.Close()

	ctx := context.Background()
	opts := &websocket.DialOptions{HTTPClient: s.Client()}
	_, resp, _ := websocket.Dial(ctx, s.URL, opts)
	fmt.Println("without a token:", resp.StatusCode)

	c, _, err := websocket.Dial(ctx, s.URL+"?token=secret", opts)
	if err != nil {
		log.Fatal(err)
	}
	c.Write(ctx, websocket.MessageText, []byte(`{"action":"ping"}`))
	_, msg, _ := c.Read(ctx)
	fmt.Printf("ping: %s\n", msg)

	c.Write(ctx, websocket.MessageText, []byte(`{"action":"dance"}`)) // no such route
	_, msg, _ = c.Read(ctx)
	fmt.Printf("dance: %.24s...\n", msg)
	// Output:
	// without a token: 401
	// ping: pong
	// dance: {"message": "Forbidden",...
}

// A function written for AWS Lambda, with types of its own or of
// github.com/aws/aws-lambda-go/events.
func ExampleLambda() {
	type request struct {
		Body           string `json:"body"`
		RequestContext struct {
			RouteKey string `json:"routeKey"`
		} `json:"requestContext"`
	}
	type response struct {
		StatusCode int    `json:"statusCode"`
		Body       string `json:"body"`
	}
	function := func(ctx context.Context, r request) (response, error) {
		return response{200, r.RequestContext.RouteKey + ": " + strings.ToUpper(r.Body)}, nil
	}

	s := gatewaytest.NewServer(&gatewaytest.Config{Backend: gatewaytest.Lambda(function), RouteResponse: true})
	defer s.Close()

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		log.Fatal(err)
	}
	c.Write(ctx, websocket.MessageText, []byte("hello"))
	_, msg, _ := c.Read(ctx)
	fmt.Printf("%s\n", msg)
	// Output:
	// $default: HELLO
}

// A backend sends to its clients through @connections.
func ExampleServer_managementURL() {
	s := gatewaytest.NewServer(nil)
	defer s.Close()

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := s.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	url := s.ManagementURL + "/@connections/" + conn.ID()
	resp, err := s.Client().Post(url, "application/json", strings.NewReader(`{"news":1}`))
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	_, msg, _ := c.Read(ctx)
	fmt.Printf("%s, client got %s\n", resp.Status, msg)
	// Output:
	// 200 OK, client got {"news":1}
}

// What a client does with a connection that ends in the middle of a message.
func ExampleFaults() {
	s := gatewaytest.NewServer(nil)
	defer s.Close()
	s.SetFaults(gatewaytest.Faults{CutOut: 100})

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		log.Fatal(err)
	}
	conn, _ := s.Accept(ctx)
	conn.Send(make([]byte, 1000))
	_, r, err := c.Reader(ctx)
	if err != nil {
		log.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	fmt.Println(n, "bytes of the message, then an error:", err != nil)
	// Output:
	// 96 bytes of the message, then an error: true
}
