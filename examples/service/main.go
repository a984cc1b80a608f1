// Command service is an HTTP service that holds a connection to a WebSocket
// API, as one would run it in production: /healthz, /metrics, graceful
// shutdown, and a subscription that comes back with the connection.
//
//	go run -C examples/service . -demo   # tells its story and ends
//	go run -C examples/service .         # then, from another terminal:
//	curl -d book http://127.0.0.1:8081/orders       # to the gateway and back
//	curl -X POST http://127.0.0.1:8081/debug/drop   # resets the connection; watch the log
//	curl http://127.0.0.1:8081/healthz
//	curl http://127.0.0.1:8081/metrics
//
// It is a module of its own because its metrics need Prometheus' library.
//
// With -url it connects to a real gateway, whose backend answers
// {"action":"subscribe"} with {"action":"subscribed"} and sends each "order" to
// all subscribers; without, to an embedded fake.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

// run serves until ctx ends, which is how SIGTERM arrives here.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	url := flags.String("url", "", "a real gateway; default: an embedded fake")
	addr := flags.String("addr", "127.0.0.1:8081", "where to serve HTTP")
	grace := flags.Duration("grace", 5*time.Second, "/healthz fails when the connection is down for longer")
	demo := flags.Bool("demo", false, "serve on a free port, tell the story, end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *demo {
		if *url != "" {
			return errors.New("-demo resets connections: it cannot be used with -url")
		}
		*addr = "127.0.0.1:0"
	}

	out = &lockedWriter{w: out} // the log and the demo share it
	cfg := config{url: *url, grace: *grace, log: slog.New(slog.NewTextHandler(out, nil))}
	if *url == "" {
		b := newBackend(gatewaytest.NewServer)
		defer b.gateway.Close()
		cfg.url, cfg.client, cfg.drop = b.gateway.URL, b.gateway.Client(), b.drop
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	s, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	if *demo {
		return tell(ctx, s, listener, out)
	}
	cfg.log.Info("serving", "addr", listener.Addr().String())
	return s.serve(ctx, listener)
}

// serve answers HTTP until ctx ends, and then shuts down in the order in which
// nothing is lost: requests under way first, for they may still write; then
// the client, which has the gateway confirm what was written.
func (s *service) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	var err error
	select {
	case err = <-failed:
	case <-s.ws.Done(): // a permanent failure, such as a 403: the supervisor starts the service again
		err = s.ws.Err()
	case <-ctx.Done():
		s.log.Info("shutting down")
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(grace), s.close())
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
