package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/apigws/apigws"
	promapigws "github.com/apigws/apigws/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type config struct {
	url    string
	client *http.Client // nil: the default
	grace  time.Duration
	log    *slog.Logger
	drop   func() // resets the connection; nil with a real gateway
}

// A service forwards orders to the gateway and receives the orders of all services.
type service struct {
	config
	ws     *apigws.Client
	health health
	reader sync.WaitGroup

	mu      sync.Mutex
	pending map[string]chan struct{} // by the ID of the order; closed when its event is here
}

// An order is what goes to the gateway and, as an event, comes back: that, not
// the success of a Write, proves that the backend has dealt with it.
type order struct {
	Action string `json:"action"`
	ID     string `json:"id"`
	Item   string `json:"item"`
}

// open connects. It returns when the subscription is made for the first time,
// so nothing is served before; a gateway that is down holds up the start until
// ctx ends.
func open(ctx context.Context, cfg config) (*service, error) {
	s := &service{config: cfg, pending: make(map[string]chan struct{})}
	ws, err := apigws.Dial(ctx, cfg.url, &apigws.Options{
		HTTPClient: cfg.client,
		Logger:     cfg.log,
		OnConnect:  s.subscribe,
		OnState:    s.health.note,
	})
	if err != nil {
		return nil, err
	}
	s.ws = ws
	// Not ctx: shutting down begins when ctx ends, and until the client is
	// closed, what arrives is still wanted.
	s.reader.Go(func() { s.receive(context.WithoutCancel(ctx)) })
	return s, nil
}

// subscribe runs on each new connection before anything else is written to
// it: the backend knows subscribers by their connectionId, which is new. It
// returns when the backend has answered. Before that an order could overtake
// the subscription, for the gateway may start the backend for both at once.
func (s *service) subscribe(ctx context.Context, conn *apigws.Conn) error {
	if err := conn.WriteJSON(ctx, map[string]string{"action": "subscribe"}); err != nil {
		return err
	}
	for {
		msg, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if s.handle(msg) == "subscribed" {
			break
		}
	}
	s.log.Info("subscribed", "connection", conn.Generation(), "missed", conn.Gap().Round(time.Millisecond))
	return nil
}

func (s *service) receive(ctx context.Context) {
	for msg, err := range s.ws.Messages(ctx) {
		if err == nil {
			s.handle(msg)
		} else if !errors.Is(err, apigws.ErrClosed) {
			s.log.Error("reading", "error", err)
		}
	}
}

// handle deals with a message of the backend and returns its action.
func (s *service) handle(msg []byte) (action string) {
	var o order
	if err := json.Unmarshal(msg, &o); err != nil {
		s.log.Warn("not JSON", "error", err)
		return ""
	}
	switch o.Action {
	case "order":
		s.log.Info("order confirmed", "item", o.Item)
		s.mu.Lock()
		defer s.mu.Unlock()
		if confirmed := s.pending[o.ID]; confirmed != nil {
			close(confirmed)
			delete(s.pending, o.ID)
		}
	case "subscribed":
	default: // an error frame of the gateway, perhaps
		s.log.Warn("unexpected", "message", string(msg))
	}
	return o.Action
}

// close ends the client.
func (s *service) close() error {
	err := s.ws.Close()
	s.reader.Wait()
	stats := s.ws.Stats()
	s.log.Info("closed", "sent", stats.MessagesSent, "received", stats.MessagesReceived)
	if errors.Is(err, apigws.ErrUnconfirmed) {
		// Messages of which the gateway has not proven that it has them. That
		// is no failure here: whoever posted one was told by its event, or by
		// its absence.
		s.log.Info("not every message was confirmed by the gateway itself", "error", err)
		return nil
	}
	return err
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if down := s.health.down(); down > s.grace {
			http.Error(w, fmt.Sprintf("not connected for %v", down.Round(time.Second)), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("POST /orders", s.postOrder)
	if s.drop != nil {
		mux.HandleFunc("POST /debug/drop", func(w http.ResponseWriter, r *http.Request) {
			s.drop()
			w.WriteHeader(http.StatusNoContent)
		})
	}
	return mux
}

// metrics serves what docs/metrics.md lists; its alerts and its dashboard work with it. A service
// that has metrics of its own registers the collector beside them.
func (s *service) metrics() http.Handler {
	collector := promapigws.NewCollector()
	collector.Add("orders", s.ws)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// postOrder passes the body on as an order and waits until its event arrives. Write waits for a
// connection with a subscription. If the connection is lost just after Write, the order may be lost
// although Write has returned nil: then its event does not arrive.
func (s *service) postOrder(w http.ResponseWriter, r *http.Request) {
	item, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()

	o := order{Action: "order", ID: rand.Text(), Item: string(item)}
	confirmed := make(chan struct{})
	s.mu.Lock()
	s.pending[o.ID] = confirmed
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.pending, o.ID)
		s.mu.Unlock()
	}()

	err = s.ws.WriteJSON(ctx, o)
	switch {
	case errors.Is(err, apigws.ErrNotSent):
		http.Error(w, "not sent, try again", http.StatusServiceUnavailable)
		return
	case err != nil: // it may have arrived
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	select {
	case <-confirmed:
		w.WriteHeader(http.StatusCreated)
	case <-ctx.Done():
		http.Error(w, "sent, but not confirmed", http.StatusGatewayTimeout)
	}
}

// A health knows since when the connection is down.
type health struct {
	mu    sync.Mutex
	since time.Time // zero: it is not
}

func (h *health) note(_ *apigws.Client, s apigws.StateChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case s.To == apigws.StateOpen:
		h.since = time.Time{}
	case h.since.IsZero():
		h.since = time.Now()
	}
}

func (h *health) down() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		return 0
	}
	return time.Since(h.since)
}
