package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-demo"}, &out); err != nil {
		t.Fatalf("%v after:\n%s", err, out.String())
	}
	rest := out.String()
	for _, want := range []string{ // in this order
		"msg=subscribed connection=1 missed=0s\n",
		"> GET /healthz \n< 200 OK\nok\n",
		"> POST /orders book\n< 201 Created\n",
		"msg=subscribed connection=2 missed=",
		"> POST /orders pencil\n< 201 Created\n",
		"> GET /metrics \n< 200 OK\n",
		"\napigws_connections_lost_total{cause=\"network\",client=\"orders\"} 1\n",
		"\napigws_connects_total{client=\"orders\",outcome=\"connected\"} 2\n",
		"msg=\"shutting down\"\n",
		"msg=closed sent=4 received=4\n",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %q, or not there, in:\n%s", want, out.String())
		}
		rest = after
	}
}

// start opens a service in a bubble.
func start(t *testing.T) (*service, *backend) {
	return startWith(t, newBackend(gatewaytest.NewInMemory))
}

func startWith(t *testing.T, b *backend) (*service, *backend) {
	s, err := open(t.Context(), config{
		url:    b.gateway.URL,
		client: b.gateway.Client(),
		grace:  5 * time.Second,
		log:    slog.New(slog.DiscardHandler),
		drop:   b.drop,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		b.gateway.Close()
	})
	return s, b
}

func (s *service) call(method, path, body string) int {
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code
}

func TestHealthz(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := start(t)
		want := func(status int) {
			t.Helper()
			synctest.Wait()
			if got := s.call("GET", "/healthz", ""); got != status {
				t.Fatalf("/healthz: %d, want %d", got, status)
			}
		}
		want(http.StatusOK)

		b.gateway.Refuse(http.StatusServiceUnavailable, -1)
		if got := s.call("POST", "/debug/drop", ""); got != http.StatusNoContent {
			t.Fatalf("/debug/drop: %d", got)
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		want(http.StatusOK)
		time.Sleep(time.Nanosecond)
		want(http.StatusServiceUnavailable)

		b.gateway.Refuse(0, 0)
		time.Sleep(30 * time.Second) // the longest wait between attempts
		want(http.StatusOK)
	})
}

func TestOrderWaitsForTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := start(t)
		b.gateway.Refuse(http.StatusServiceUnavailable, 1)
		b.drop()
		if got := s.call("POST", "/orders", "book"); got != http.StatusCreated {
			t.Fatalf("an order during a break: %d, want %d", got, http.StatusCreated)
		}
		if got := s.ws.Stats().Generation; got != 2 {
			t.Fatalf("connection %d, want 2", got)
		}
	})
}

// The real gateway may run the integration of one message beside that of the
// next: here "subscribe" takes a second, as in a cold start, and holds up
// nothing that follows it.
func TestOrderDoesNotOvertakeTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := startWith(t, newBackend(func(cfg *gatewaytest.Config) *gatewaytest.Server {
			subscribe := cfg.Routes["subscribe"]
			cfg.Routes["subscribe"] = func(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				time.AfterFunc(time.Second, func() { subscribe(ctx, ev) })
				return nil, nil
			}
			return gatewaytest.NewInMemory(cfg)
		}))
		for range 2 {
			if got := s.call("POST", "/orders", "book"); got != http.StatusCreated {
				t.Fatalf("on connection %d: %d, want %d", s.ws.Stats().Generation, got, http.StatusCreated)
			}
			b.drop()
			synctest.Wait()
		}
	})
}

// What comes before the answer to "subscribe" is not lost.
func TestEventBeforeSubscribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *backend
		b = newBackend(func(cfg *gatewaytest.Config) *gatewaytest.Server {
			subscribe := cfg.Routes["subscribe"]
			cfg.Routes["subscribe"] = func(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				if err := b.gateway.Post(ev.RequestContext.ConnectionID, []byte(`{"action":"order","id":"early"}`)); err != nil {
					return nil, err
				}
				return subscribe(ctx, ev)
			}
			return gatewaytest.NewInMemory(cfg)
		})
		s, _ := startWith(t, b)
		confirmed := make(chan struct{})
		s.mu.Lock()
		s.pending["early"] = confirmed
		s.mu.Unlock()
		b.drop()
		select {
		case <-confirmed:
		case <-time.After(time.Minute):
			t.Error("the event was lost")
		}
	})
}

func TestOrderFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*backend)
		want int
	}{
		{"no connection", func(b *backend) { b.gateway.Hold(true); b.drop() }, http.StatusServiceUnavailable},
		{"no event", func(b *backend) { b.gateway.Conns()[0].FreezeIn(true) }, http.StatusGatewayTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := start(t)
				tt.do(b)
				synctest.Wait()
				begun := time.Now()
				if got := s.call("POST", "/orders", "book"); got != tt.want {
					t.Errorf("%d, want %d", got, tt.want)
				}
				if took := time.Since(begun); took != 10*time.Second {
					t.Errorf("after %v, want 10s", took)
				}
				if len(s.pending) != 0 {
					t.Errorf("%d orders are still pending", len(s.pending))
				}
			})
		})
	}
}

// A gateway that will never let the service in again ends it, so that whoever
// supervises it hears of it.
func TestServeEndsWithTheClient(t *testing.T) {
	b := newBackend(gatewaytest.NewServer)
	defer b.gateway.Close()
	s, err := open(t.Context(), config{url: b.gateway.URL, log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.gateway.Refuse(http.StatusNotFound, -1)
	listener := httptest.NewUnstartedServer(nil).Listener
	b.drop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var refused *apigws.HandshakeError
	if err := s.serve(ctx, listener); !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound {
		t.Fatalf("%v, want the refusal with 404", err)
	}
}
