// Command call makes calls over routes: each request has an id, and the answer brings it back. A
// call whose connection is lost is sent again on the next one, with the same id.
//
//	go run ./examples/call
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

// run shows three calls: one that is answered, one that fails, and one in flight when its
// connection is lost.
func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	b := newBackend(gatewaytest.NewServer)
	defer b.gateway.Close()
	c, err := dial(ctx, b.gateway.URL, http.DefaultClient)
	if err != nil {
		return err
	}

	sum, err := c.call(ctx, "sum", 1, 2, 3)
	fmt.Fprintln(out, "sum:", sum, err)
	_, err = c.call(ctx, "sum")
	fmt.Fprintln(out, "sum of nothing:", err)

	fmt.Fprintln(out, "-- the connection is lost before the answer --")
	b.dropNext()
	sum, err = c.call(ctx, "sum", 40, 2)
	fmt.Fprintln(out, "sum:", sum, err)
	fmt.Fprintln(out, "computed:", b.computed(), "times")
	return c.close()
}
