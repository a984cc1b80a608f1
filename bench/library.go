package main

import (
	"context"
	"crypto/tls"
	"net"
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
	dial func(ctx context.Context, url string, s settings, received func([]byte)) (conn, error)
}

// settings are what a measurement wants of a connection.
type settings struct {
	interval, timeout time.Duration // of PINGs
	over              net.Conn      // if not nil, in place of a new TCP connection
}

// usual is far beyond the end of a measurement: nothing but the work is measured then.
var usual = settings{interval: 55 * time.Second, timeout: 10 * time.Second}

// dialNet returns nil for the library's own way to make a TCP connection.
func (s settings) dialNet() func(context.Context, string, string) (net.Conn, error) {
	if s.over == nil {
		return nil
	}
	return func(context.Context, string, string) (net.Conn, error) { return s.over, nil }
}

// httpClient makes the handshakes of the libraries that want an http.Client.
func (s settings) httpClient() *http.Client {
	if s.over == nil {
		return sharedHTTP
	}
	return &http.Client{Transport: &http.Transport{DialContext: s.dialNet()}}
}

// A conn is a connection of a library. write may be called concurrently.
type conn interface {
	write(p []byte) error
	// lost is closed when the connection is found to be broken.
	lost() <-chan struct{}
	close()
}

// The names that figures are compared by.
const (
	ours    = "apigws"
	coder   = "coder"
	gorilla = "gorilla"
	gwsName = "gws"
)

// libraries are those of each scenario.
var libraries = []library{
	{ours, dialApigws},
	{coder, dialCoder},
	{"nhooyr", dialNhooyr},
	{gorilla, dialGorilla},
	{gwsName, dialGWS},
}

// Libraries used in another way, for the scenarios in which that makes a difference.
var (
	floor       = library{"floor", dialFloor}
	readInto    = library{"apigws ReadInto", dialReadInto}
	gwsCopying  = library{"gws copying", dialGWSCopying}
	gwsChecking = library{"gws checking", dialGWSChecking}
	unread      = library{"apigws, unread", dialUnread}
)

// contestants are all that appear in the tables of throughput, in the order of their columns.
var contestants = []library{
	floor, libraries[0], readInto, gwsChecking, gwsCopying, libraries[4], libraries[3], libraries[1], libraries[2],
}

// receivers are those of the scenarios in which messages arrive: all.
var receivers = contestants

// withFloor are those of the scenarios in which nothing arrives that could be copied or lent.
var withFloor = append([]library{floor}, libraries...)

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
