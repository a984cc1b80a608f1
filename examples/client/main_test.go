package main

import (
	"bytes"
	"context"
	"log"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// A transcript is what the program logs.
type transcript struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	more chan struct{} // has an element after a line
}

func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	select {
	case tr.more <- struct{}{}:
	default:
	}
	return tr.text.Write(p)
}

// wait waits for a text in the log.
func (tr *transcript) wait(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	for {
		tr.mu.Lock()
		found := bytes.Contains(tr.text.Bytes(), []byte(text))
		tr.mu.Unlock()
		if found {
			return
		}
		select {
		case <-tr.more:
		case <-ctx.Done():
			t.Fatalf("no %q in the log", text)
		}
	}
}

func TestRun(t *testing.T) {
	t.Setenv("API_TOKEN", "token")
	out := &transcript{more: make(chan struct{}, 1)}
	log.SetOutput(out)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	gw := gatewaytest.Run(t, &gatewaytest.Config{
		Backend: gatewaytest.Silent,
		Authorize: func(r *http.Request) int {
			if r.Header.Get("Authorization") != "Bearer token" {
				return http.StatusForbidden
			}
			return http.StatusOK
		},
	})
	running, interrupt := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- run(running, gw.URL) }()

	subscribed := func() *gatewaytest.Conn {
		conn, err := gw.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, ctx, conn, `{"action":"subscribe","room":"lobby"}`)
		if err := conn.Send([]byte(`{"event":"subscribed"}`)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	conn := subscribed()
	expect(t, ctx, conn, `{"action":"say","text":"hello"}`)
	if err := conn.Send([]byte("first")); err != nil {
		t.Fatal(err)
	}
	out.wait(t, ctx, "first")
	conn.Drop()
	conn = subscribed() // on the next connection
	if err := conn.Send([]byte("second")); err != nil {
		t.Fatal(err)
	}
	out.wait(t, ctx, "second")

	interrupt()
	// What was written on the connection that was dropped may be unconfirmed, which is no failure
	// of the program. It ends, and closes the connection.
	<-done
	if code, _, err := conn.Wait(ctx); err != nil || code != 1000 {
		t.Errorf("closed with %d, %v", code, err)
	}
}

func TestRunRefused(t *testing.T) {
	gw := gatewaytest.Run(t, nil)
	gw.Refuse(http.StatusForbidden, -1)
	if err := run(t.Context(), gw.URL); err == nil {
		t.Error("no error")
	}
}

func expect(t *testing.T, ctx context.Context, conn *gatewaytest.Conn, want string) {
	t.Helper()
	if msg, err := conn.Next(ctx); err != nil || string(msg) != want {
		t.Fatalf("got %q, %v, want %q", msg, err, want)
	}
}
