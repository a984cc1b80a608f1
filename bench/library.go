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
	// dial connects and starts what keeps the connection alive, with a PING
	// every ping. Each message that arrives is passed to received, in the way
	// that costs this library least.
	dial func(ctx context.Context, url string, ping time.Duration, received func([]byte)) (conn, error)
}

// A conn is a connection of a library. write may be called concurrently.
type conn interface {
	write(p []byte) error
	close()
}

var libraries = []library{
	{"apigws", dialApigws},
	{"coder", dialCoder},
	{"nhooyr", dialNhooyr},
	{"gorilla", dialGorilla},
	{"gws", dialGWS},
}

var insecure = &tls.Config{InsecureSkipVerify: true} // see newCertificate

func httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: insecure}}
}

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
