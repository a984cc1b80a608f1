package apigws_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// inBubble runs f in a synctest bubble with a fake gateway in memory.
func inBubble(t *testing.T, cfg *gatewaytest.Config, f func(t *testing.T, gw *gatewaytest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(cfg)
		defer gw.Close()
		f(t, gw)
	})
}

// dial connects a client and closes it when the test ends.
func dial(t *testing.T, gw *gatewaytest.Server, opts *apigws.Options) *apigws.Client {
	t.Helper()
	var o apigws.Options
	if opts != nil {
		o = *opts
	}
	o.HTTPClient = gw.Client()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	c, err := apigws.Dial(ctx, gw.URL, &o)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestEcho(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		if err := c.Write(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		got, err := c.Read(t.Context())
		if err != nil || string(got) != "hello" {
			t.Fatalf("Read = %q, %v", got, err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", c.Stats())
	})
}
