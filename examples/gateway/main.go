// Command gateway serves a fake API Gateway WebSocket API, for clients in any language:
//
//	go run ./examples/gateway -addr 127.0.0.1:8080
//
// It prints the URL to dial on standard output and a log of events on standard error, and runs
// until it is interrupted. The backend is an echo, or with -backend chat a room in which everybody
// gets what anybody says. Below the same URL, with http in place of ws, it serves @connections:
// what is sent by
//
//	curl -d hello http://127.0.0.1:8080/prod/@connections/{id}
//
// arrives at the client whose id is in the log.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	backend := flag.String("backend", "echo", "echo or chat")
	idle := flag.Duration("idle", 2*time.Minute, "how long a connection may be silent; AWS documents 10m; negative: for ever")
	lifetime := flag.Duration("lifetime", 2*time.Hour, "how long a connection may last; negative: for ever")
	flag.Parse()

	cfg := &gatewaytest.Config{
		Addr:     *addr,
		Idle:     *idle,
		Lifetime: *lifetime,
		Discard:  true, // it may run for long
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	switch *backend {
	case "echo":
	case "chat":
		cfg.Backend = new(chat).handle
	default:
		fmt.Fprintf(os.Stderr, "gateway: no backend %q\n", *backend)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := gatewaytest.NewServer(cfg)
	defer s.Close()
	fmt.Println(s.URL)
	<-ctx.Done()
}
