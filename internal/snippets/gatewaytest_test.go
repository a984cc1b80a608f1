package snippets

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is virtual: two hours pass in milliseconds
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		gw := gatewaytest.RunInMemory(t, nil)
		c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{HTTPClient: gw.Client()}) // what you test
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()

		first, err := gw.Accept(ctx) // the gateway's end of the connection
		if err != nil {
			t.Fatal(err)
		}
		first.Drop() // TCP RST
		second, err := gw.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(ctx, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if msg, err := second.Next(ctx); err != nil || string(msg) != "hello" {
			t.Errorf("%q, %v", msg, err)
		}
	})
}
