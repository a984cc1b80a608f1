package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// tell serves, calls the service as its users would, and shuts it down.
func tell(ctx context.Context, s *service, listener net.Listener, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener) }()

	err := story(ctx, "http://"+listener.Addr().String(), out)
	cancel() // as SIGTERM does
	if served := <-ended; err == nil {
		err = served
	}
	return err
}

func story(ctx context.Context, base string, out io.Writer) error {
	for _, call := range []struct{ method, path, body string }{
		{"GET", "/healthz", ""},
		{"POST", "/orders", "book"},
		{"POST", "/debug/drop", ""},
		{"POST", "/orders", "pencil"}, // waits for the new connection and its subscription
		{"GET", "/healthz", ""},
		{"GET", "/metrics", ""},
	} {
		req, err := http.NewRequestWithContext(ctx, call.method, base+call.path, strings.NewReader(call.body))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		// One Fprint: the service logs to the same writer.
		fmt.Fprintf(out, "> %s %s %s\n< %s\n%s", call.method, call.path, call.body, resp.Status, answer)
		if resp.StatusCode >= 300 {
			return fmt.Errorf("%s %s: %s", call.method, call.path, resp.Status)
		}
	}
	return nil
}
