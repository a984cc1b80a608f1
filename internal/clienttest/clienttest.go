// Package clienttest has helpers for tests that drive a client against the fake gateway, most of
// them in a bubble of testing/synctest.
package clienttest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// limit ends waits that should be over long before. A test in a bubble that waits for ever is not
// found out while any timer runs.
const limit = time.Hour

// Bubble runs f in a bubble of testing/synctest with a fake gateway in memory. The gateway is
// closed after the clients that Dial has made.
func Bubble(t *testing.T, cfg *gatewaytest.Config, f func(t *testing.T, gw *gatewaytest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, gatewaytest.RunInMemory(t, cfg)) })
}

// Silent returns the configuration of a gateway whose backend answers nothing.
func Silent() *gatewaytest.Config { return &gatewaytest.Config{Backend: gatewaytest.Silent} }

// Dial connects a client and closes it when the test ends. Without an HTTPClient, opts uses that of
// gw.
func Dial(t *testing.T, gw *gatewaytest.Server, opts *apigws.Options) *apigws.Client {
	t.Helper()
	c, err := TryDial(t, gw, limit, opts)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return c
}

// TryDial is Dial where that may fail.
func TryDial(t *testing.T, gw *gatewaytest.Server, limit time.Duration, opts *apigws.Options) (*apigws.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := apigws.Dial(ctx, gw.URL, Options(gw, opts))
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// New makes a client that connects in the background, and closes it when the test ends.
func New(t *testing.T, gw *gatewaytest.Server, opts *apigws.Options) *apigws.Client {
	t.Helper()
	c, err := apigws.New(gw.URL, Options(gw, opts))
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Options returns a copy of opts, which may be nil, that reaches gw.
func Options(gw *gatewaytest.Server, opts *apigws.Options) *apigws.Options {
	var o apigws.Options
	if opts != nil {
		o = *opts
	}
	if o.HTTPClient == nil {
		o.HTTPClient = gw.Client()
	}
	return &o
}

// Sleep lets time pass, and then everything happen that follows from it.
func Sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Read returns the next message.
func Read(t *testing.T, c *apigws.Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	p, err := c.Read(ctx)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return string(p)
}

// Write sends messages, one after the other. It may be called on any goroutine.
func Write(t *testing.T, c *apigws.Client, msgs ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for _, msg := range msgs {
		if err := c.Write(ctx, []byte(msg)); err != nil {
			t.Errorf("Write(%.40q): %v", msg, err)
		}
	}
}

// Rotate replaces the connection. It may be called on any goroutine.
func Rotate(t *testing.T, c *apigws.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := c.Rotate(ctx); err != nil {
		t.Errorf("Rotate: %v", err)
	}
}

// Only returns the gateway's end of the one open connection.
func Only(t *testing.T, gw *gatewaytest.Server) *gatewaytest.Conn {
	t.Helper()
	conns := gw.Conns()
	if len(conns) != 1 {
		t.Fatalf("%d connections are open, want 1", len(conns))
	}
	return conns[0]
}

// Accepted checks how many connections there have been.
func Accepted(t *testing.T, gw *gatewaytest.Server, want int) {
	t.Helper()
	if got := gw.Stats().Accepted; got != want {
		t.Fatalf("the gateway has accepted %d connections, want %d", got, want)
	}
}

// InState checks the state of a client.
func InState(t *testing.T, c *apigws.Client, want apigws.State) {
	t.Helper()
	if got := c.State(); got != want {
		t.Fatalf("state is %v, want %v", got, want)
	}
}

// Equal checks that two lists print alike.
func Equal[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// Texts returns the messages that came in on a connection.
func Texts(conn *gatewaytest.Conn) []string {
	var all []string
	for _, p := range conn.Received() {
		all = append(all, string(p))
	}
	return all
}

// Received returns the messages that came in on all connections, connection by connection. The
// gateway knows the last 1,000 that have ended.
func Received(gw *gatewaytest.Server) []string {
	var all []string
	for _, conn := range gw.AllConns() {
		all = append(all, Texts(conn)...)
	}
	return all
}

// Numbered returns prefix0, prefix1, ...
func Numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

// Goroutines counts the goroutines in bubbles. runtime.NumGoroutine would also count what the
// runtime and earlier tests are busy with.
func Goroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for line := range strings.Lines(string(stacks)) {
		if strings.HasPrefix(line, "goroutine ") && strings.Contains(line, "synctest bubble") {
			n++
		}
	}
	return n
}

// Firsts leaves out repetitions.
func Firsts(all []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}
