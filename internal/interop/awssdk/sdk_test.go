// Package awssdk drives the fake gateway's @connections with AWS's own client. It is a module of
// its own so that the root module does without the SDK.
package awssdk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/coder/websocket"
)

// newClient returns a client as AWS's examples make it: with the https form of the URL, where the
// Server serves that.
func newClient(s *gatewaytest.Server) *api.Client {
	endpoint := s.ManagementURL
	if dial := s.Client().Transport.(*http.Transport).DialTLSContext; dial != nil { // in memory
		endpoint = strings.Replace(endpoint, "http:", "https:", 1)
	}
	return api.New(api.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       "eu-central-1",
		HTTPClient:   s.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, nil
		}),
		RetryMaxAttempts: 1,
	})
}

func connect(t *testing.T, s *gatewaytest.Server) (*websocket.Conn, *string) {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return c, aws.String(s.Conns()[0].ID())
}

func TestConnections(t *testing.T) {
	for name, start := range map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"http": gatewaytest.NewServer, "https": gatewaytest.NewTLSServer, "https in memory": gatewaytest.NewInMemory,
	} {
		t.Run(name, func(t *testing.T) { testConnections(t, start) })
	}
}

func testConnections(t *testing.T, start func(*gatewaytest.Config) *gatewaytest.Server) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	authorized := true
	s := start(&gatewaytest.Config{AuthorizeManagement: func(r *http.Request) int {
		// What the SDK signs arrives as it was signed; the signature itself is for the SDK to know.
		const scope = "/eu-central-1/execute-api/aws4_request"
		if !authorized || !strings.Contains(r.Header.Get("Authorization"), scope) {
			return http.StatusForbidden
		}
		return http.StatusOK
	}})
	defer s.Close()
	client := newClient(s)
	c, id := connect(t, s)

	for _, size := range []int{0, 1, 128 << 10} {
		want := strings.Repeat("x", size)
		if _, err := client.PostToConnection(ctx, &api.PostToConnectionInput{ConnectionId: id, Data: []byte(want)}); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if typ, got, err := c.Read(ctx); err != nil || typ != websocket.MessageText || string(got) != want {
			t.Errorf("%d bytes: got %d as %v, %v", size, len(got), typ, err)
		}
	}

	_, err := client.PostToConnection(ctx, &api.PostToConnectionInput{ConnectionId: id, Data: make([]byte, 128<<10+1)})
	var tooLarge *types.PayloadTooLargeException
	if !errors.As(err, &tooLarge) {
		t.Errorf("too large: %v", err)
	}

	info, err := client.GetConnection(ctx, &api.GetConnectionInput{ConnectionId: id})
	if err != nil {
		t.Fatal(err)
	}
	if ip := aws.ToString(info.Identity.SourceIp); ip != "127.0.0.1" || info.Identity.UserAgent == nil ||
		time.Since(aws.ToTime(info.ConnectedAt)) > time.Minute || info.LastActiveAt.Before(*info.ConnectedAt) {
		t.Errorf("%+v %+v", info, info.Identity)
	}

	authorized = false
	_, err = client.GetConnection(ctx, &api.GetConnectionInput{ConnectionId: id})
	var forbidden *types.ForbiddenException
	if !errors.As(err, &forbidden) {
		t.Errorf("not authorized: %v", err)
	}
	authorized = true

	if _, err := client.DeleteConnection(ctx, &api.DeleteConnectionInput{ConnectionId: id}); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("deleted: %v", err)
	}

	var gone *types.GoneException
	_, err = client.PostToConnection(ctx, &api.PostToConnectionInput{ConnectionId: id, Data: []byte("x")})
	if !errors.As(err, &gone) {
		t.Errorf("POST: %v", err)
	}
	_, err = client.GetConnection(ctx, &api.GetConnectionInput{ConnectionId: id})
	if !errors.As(err, &gone) {
		t.Errorf("GET: %v", err)
	}
	_, err = client.DeleteConnection(ctx, &api.DeleteConnectionInput{ConnectionId: id})
	if !errors.As(err, &gone) {
		t.Errorf("DELETE: %v", err)
	}
}

// A client that does not read makes the backend's posts fail once its buffer is full.
func TestLimitExceeded(t *testing.T) {
	s := gatewaytest.NewServer(nil)
	defer s.Close()
	client := newClient(s)
	_, id := connect(t, s)
	s.Conns()[0].FreezeOut(true)
	for i := range 20 {
		_, err := client.PostToConnection(t.Context(), &api.PostToConnectionInput{ConnectionId: id, Data: make([]byte, 128<<10)})
		if err == nil {
			continue
		}
		var limit *types.LimitExceededException
		if !errors.As(err, &limit) || i < 4 {
			t.Errorf("after %d: %v", i, err)
		}
		return
	}
	t.Error("2.5 MB fit")
}
