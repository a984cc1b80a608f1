package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/cenkalti/backoff/v4"
)

// The main job: connect once, then read and write for as long as the service
// lives. The gateway here is a fake one, which echoes.
func Example() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := apigws.Dial(ctx, gw.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	if err := c.Write(ctx, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	for msg, err := range c.Messages(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", msg)
		break
	}
	// Output: hello
}

// What the backend keyed to the old connectionId is set up again on each new
// connection, before anything else is written to it.
func ExampleOptions_onConnect() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{
		OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			return conn.WriteJSON(ctx, map[string]string{"action": "subscribe", "room": "lobby"})
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	for range 2 {
		msg, err := c.Read(ctx) // the echo of the subscription
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", msg)
		gw.Conns()[0].Drop() // the path breaks
	}
	// Output:
	// {"action":"subscribe","room":"lobby"}
	// {"action":"subscribe","room":"lobby"}
}

// A token that expires is fetched anew for every handshake.
func ExampleOptions_prepare() {
	gw := gatewaytest.NewServer(&gatewaytest.Config{
		Authorize: func(r *http.Request) int {
			if r.URL.Query().Get("token") != "token-1" {
				return http.StatusForbidden
			}
			return 0
		},
	})
	defer gw.Close()

	issued := 0
	c, err := apigws.Dial(context.Background(), gw.URL, &apigws.Options{
		Prepare: func(req *http.Request) error {
			issued++
			q := req.URL.Query()
			q.Set("token", fmt.Sprintf("token-%d", issued))
			req.URL.RawQuery = q.Encode()
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.State())
	// Output: open
}

// The article's way of keeping a connection: a message at intervals, for paths
// on which PINGs do not count. The answers stay out of Read.
func ExampleKeepalive() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()

	c, err := apigws.Dial(context.Background(), gw.URL, &apigws.Options{
		Keepalive: apigws.Keepalive{
			Interval: 55 * time.Second,
			Message:  []byte(`{"action":"ping"}`),
			IsReply:  func(p []byte) bool { return strings.Contains(string(p), `"ping"`) },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	if err := c.Write(context.Background(), []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := c.Read(context.Background())
	fmt.Printf("%s %v\n", msg, err)
	// Output: hello <nil>
}

// Any policy of backoff/v4 plugs in. Its own exponential one gives up after 15
// minutes unless it is told not to.
func ExampleReconnect() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()

	c, err := apigws.Dial(context.Background(), gw.URL, &apigws.Options{
		Reconnect: apigws.Reconnect{
			Backoff: func() backoff.BackOff {
				return backoff.NewExponentialBackOff(
					backoff.WithMaxInterval(time.Minute),
					backoff.WithMaxElapsedTime(0),
				)
			},
			Fleet: 5000, // so many instances may lose their connections at once
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.State())
	// Output: open
}

// What went wrong, and what it means.
func ExampleHandshakeError() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	gw.Refuse(http.StatusForbidden, -1)

	_, err := apigws.Dial(context.Background(), gw.URL, nil)
	var refused *apigws.HandshakeError
	if errors.As(err, &refused) {
		fmt.Println(refused.StatusCode, apigws.Retryable(err))
	}
	// Output: 403 false
}

// Flush tells whether the gateway has everything that was written.
func ExampleClient_Flush() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	ctx := context.Background()
	c, err := apigws.Dial(ctx, gw.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	for _, s := range []string{"one", "two", "three"} {
		if err := c.Write(ctx, []byte(s)); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(c.Flush(ctx), gw.Stats().Messages)
	// Output: <nil> 3
}

// Rotate renews the connection without a gap, for example with a new token.
func ExampleClient_Rotate() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	ctx := context.Background()
	c, err := apigws.Dial(ctx, gw.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	err = c.Rotate(ctx)
	s := c.Stats()
	fmt.Println(err, s.Generation, s.Rotations)
	// Output: <nil> 2 1
}

// A token is replaced: Rotate makes the next connection with the new one, before the old connection
// is closed.
func ExampleClient_Rotate_token() {
	gw := gatewaytest.NewServer(&gatewaytest.Config{
		Authorize: func(r *http.Request) int {
			fmt.Println("handshake with", r.Header.Get("Authorization"))
			return http.StatusOK
		},
	})
	defer gw.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	var token atomic.Value // set by whatever fetches tokens
	token.Store("token-1")
	c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{
		Prepare: func(req *http.Request) error {
			req.Header.Set("Authorization", token.Load().(string))
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	token.Store("token-2") // token-1 is about to expire
	if err := c.Rotate(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// handshake with token-1
	// handshake with token-2
}

// OnConnect can wait for the backend's answer before anybody else uses the
// connection.
func ExampleConn() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()

	c, err := apigws.Dial(context.Background(), gw.URL, &apigws.Options{
		OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
			if err := conn.Write(ctx, []byte("subscribe")); err != nil {
				return err
			}
			answer, err := conn.Read(ctx) // the fake echoes
			fmt.Printf("connection %d: %s\n", conn.Generation(), answer)
			return err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	// Output: connection 1: subscribe
}

// What a client does can be watched.
func ExampleStateChange() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()

	c, err := apigws.Dial(context.Background(), gw.URL, &apigws.Options{
		OnState: func(_ *apigws.Client, s apigws.StateChange) { fmt.Println(s.From, "->", s.To) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Close() // returns when OnState has been told of everything
	// Output:
	// connecting -> open
	// open -> closed
}

// Stats is a snapshot, to be logged or exported.
func ExampleStats() {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	ctx := context.Background()
	c, err := apigws.Dial(ctx, gw.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	if err := c.Write(ctx, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := c.Read(ctx); err != nil {
		fmt.Println(err)
		return
	}
	s := c.Stats()
	fmt.Println(s.State, s.Connects, s.MessagesSent, s.MessagesReceived, s.BytesReceived)
	// Output: open 1 1 1 5
}
