package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// A library is a WebSocket client, used as its documentation says: with a
// goroutine that reads and one that sends PINGs, unless it does so itself.
type library struct {
	name string
	// dial connects and starts what keeps the connection alive: a PING each
	// interval, and a deadline for its PONG that is timeout later. Each message
	// that arrives is passed to received, on one goroutine, and may be used
	// until received returns.
	dial func(ctx context.Context, url string, k keepalive, received func([]byte)) (conn, error)
}

type keepalive struct{ interval, timeout time.Duration }

// usual is far beyond the end of a measurement: nothing but the work is
// measured then.
var usual = keepalive{55 * time.Second, 10 * time.Second}

// A conn is a connection of a library. write may be called concurrently.
type conn interface {
	write(p []byte) error
	// lost is closed when the connection is found to be broken.
	lost() <-chan struct{}
	close()
}

// The names, and the two that the others are compared with.
const (
	ours    = "apigws"
	coder   = "coder"
	gorilla = "gorilla"
)

var libraries = []library{
	{ours, dialApigws},
	{coder, dialCoder},
	{"nhooyr", dialNhooyr},
	{gorilla, dialGorilla},
	{"gws", dialGWS},
}

// insecure trusts the server's certificate, see newCertificate.
var insecure = &tls.Config{InsecureSkipVerify: true}

// sharedHTTP makes the handshakes of the libraries that want an http.Client:
// one for all connections, as a service would have it.
var sharedHTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: insecure}}

// every calls f each interval until stop is closed.
func every(interval time.Duration, stop <-chan struct{}, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-stop:
			return
		}
	}
}
