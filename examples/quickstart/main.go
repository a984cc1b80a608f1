// Command quickstart connects, sends a message and prints the answer. On the fake gateway that it
// brings along it then loses the connection and reconnects.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -url wss://abc123.execute-api.eu-west-1.amazonaws.com/prod
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	url := flag.String("url", "", "a real gateway, whose backend answers; default: an embedded fake that echoes")
	flag.Parse()
	if err := run(context.Background(), *url, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	print := log.New(out, "", 0).Printf // OnState prints from a goroutine of its own

	// A fake gateway takes the place of a real one if none is given.
	loseConnection := func() {}
	if url == "" {
		gw := gatewaytest.NewServer(nil)
		defer gw.Close()
		url = gw.URL
		loseConnection = func() {
			print("-- the connection is reset --")
			gw.Conns()[0].Drop()
		}
	}

	c, err := apigws.Dial(ctx, url, &apigws.Options{
		OnState: func(_ *apigws.Client, s apigws.StateChange) {
			print("%v -> %v (connection %d)", s.From, s.To, s.Generation)
		},
	})
	if err != nil {
		return err
	}
	defer c.Close()

	for i, text := range []string{"hello", "still there?"} {
		if i > 0 {
			loseConnection()
		}
		// Write waits for an open connection. If the connection is lost just after Write, the
		// message may be lost although Write has returned nil: Flush reports that, and
		// Options.Resend sends the message again.
		if err := c.WriteJSON(ctx, map[string]string{"action": "echo", "text": text}); err != nil {
			return err
		}
		answer, err := c.Read(ctx)
		if err != nil {
			return err
		}
		print("answer: %s", answer)
	}
	return nil
}
