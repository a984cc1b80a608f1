package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

func newServer() *gatewaytest.Server {
	h := gatewaytest.Lambda(handle)
	return gatewaytest.NewInMemory(&gatewaytest.Config{
		Routes:        map[string]gatewaytest.Handler{"$connect": h, "$disconnect": h, "$default": h, "sum": h},
		RouteResponse: true,
	})
}

func TestSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		defer s.Close()
		ctx := t.Context()
		c, err := apigws.Dial(ctx, s.URL, &apigws.Options{
			HTTPClient: s.Client(),
			Prepare: func(r *http.Request) error {
				r.URL.RawQuery = url.Values{"token": {"secret"}}.Encode()
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()

		ask := func(question, answer string) {
			t.Helper()
			if err := c.Write(ctx, []byte(question)); err != nil {
				t.Fatal(err)
			}
			got, err := c.Read(ctx)
			if err != nil || !strings.Contains(string(got), answer) {
				t.Fatalf("%s: got %s, %v, want %s", question, got, err, answer)
			}
		}
		ask(`{"action":"sum","terms":[1,2,3]}`, `{"sum":6}`)
		ask(`{"action":"dance"}`, `{"error":"what?"}`)
		ask(`{"action":"sum","terms":"many"}`, "Internal server error")

		// An hour later, and after a break, it is the same to the backend.
		time.Sleep(time.Hour)
		s.Conns()[0].Drop()
		time.Sleep(time.Minute)
		ask(`{"action":"sum","terms":[4]}`, `{"sum":4}`)
		if n := s.Stats().Accepted; n < 2 {
			t.Errorf("%d connections, want one more than before the break", n)
		}
	})
}

func TestNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := apigws.Dial(ctx, s.URL, &apigws.Options{HTTPClient: s.Client()})
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v, want status 401", err)
		}
	})
}
