// Command client is the program of the README: it connects with a token, subscribes on each new
// connection, and logs what arrives until it is interrupted.
//
//	API_URL=wss://abc123.execute-api.eu-west-1.amazonaws.com/prod API_TOKEN=... go run ./examples/client
package main

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/apigws/apigws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv("API_URL")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) error {
	dialing, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := apigws.Dial(dialing, url, &apigws.Options{
		Prepare: func(req *http.Request) error { // before each handshake: a fresh token
			req.Header.Set("Authorization", "Bearer "+os.Getenv("API_TOKEN"))
			return nil
		},
		OnConnect: func(ctx context.Context, conn *apigws.Conn) error { // on each new connection
			if err := conn.Write(ctx, []byte(`{"action":"subscribe","room":"lobby"}`)); err != nil {
				return err
			}
			_, err := conn.ReadMatch(ctx, func(msg []byte) bool {
				return bytes.Contains(msg, []byte(`"subscribed"`))
			})
			return err
		},
	})
	if err != nil {
		return err
	}
	if err := c.Write(ctx, []byte(`{"action":"say","text":"hello"}`)); err != nil {
		return errors.Join(err, c.Close())
	}
	for msg, err := range c.Messages(ctx) {
		if err != nil {
			log.Print(err) // a message over the size limit, or why the loop ends
			continue
		}
		log.Printf("%s", msg)
	}
	// Err is nil unless a failure has ended the client. Close returns nil if the gateway
	// has acknowledged everything that was written.
	return errors.Join(c.Err(), c.Close())
}
