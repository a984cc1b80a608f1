// Command resume reads numbered events and misses none: on each new connection it asks for those
// after the last one that it has seen, and it drops those that arrive twice.
//
//	go run ./examples/resume
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run shows a reader whose connection is lost while the backend publishes.
func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	b := newBackend(gatewaytest.NewServer)
	defer b.gateway.Close()

	r, err := dial(ctx, b.gateway.URL, http.DefaultClient)
	if err != nil {
		return err
	}
	show := func(n int) error {
		for range n {
			e, err := r.next(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "event %d: %s\n", e.Seq, e.Text)
		}
		return nil
	}
	b.publish("one")
	if err := show(1); err != nil {
		return err
	}

	fmt.Fprintln(out, "-- the connection is lost, and the gateway admits no other --")
	b.gateway.Hold(true)
	for _, conn := range b.gateway.Conns() {
		conn.Drop()
	}
	b.publish("two")
	b.publish("three")
	fmt.Fprintln(out, "-- the gateway admits connections again --")
	b.gateway.Hold(false)
	if err := show(2); err != nil {
		return err
	}

	b.publish("four")
	if err := show(1); err != nil {
		return err
	}
	return r.client.Close()
}
