package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/apigws/apigws"
)

type apigwsConn struct {
	ctx    context.Context
	cancel context.CancelFunc
	c      *apigws.Client
	reader sync.WaitGroup
}

// One client for all connections, as a service would have it.
var sharedHTTP = sync.OnceValue(func() *http.Client { return httpClient() })

func dialApigws(ctx context.Context, url string, ping time.Duration, received func([]byte)) (conn, error) {
	return dialApigwsWith(ctx, url, &apigws.Options{
		HTTPClient: sharedHTTP(),
		Keepalive:  apigws.Keepalive{Interval: ping},
	}, received)
}

func dialApigwsWith(ctx context.Context, url string, opts *apigws.Options, received func([]byte)) (*apigwsConn, error) {
	c, err := apigws.Dial(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	a := &apigwsConn{c: c}
	a.ctx, a.cancel = context.WithCancel(ctx)
	if received != nil {
		a.reader.Go(func() {
			for {
				p, err := c.Read(a.ctx)
				if err != nil {
					return
				}
				received(p)
			}
		})
	}
	return a, nil
}

func (a *apigwsConn) write(p []byte) error { return a.c.Write(a.ctx, p) }

func (a *apigwsConn) close() {
	a.cancel()
	a.c.Close()
	a.reader.Wait()
}

func (a *apigwsConn) roundTrip(p []byte) error {
	if err := a.c.Write(a.ctx, p); err != nil {
		return err
	}
	_, err := a.c.Read(a.ctx)
	return err
}
