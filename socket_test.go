package apigws_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// A connection that is given up is reset: what the kernel holds must not arrive later.
func TestConnectionGivenUpIsReset(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	u, err := url.Parse(gw.URL)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	host := u.Host
	u.Host = relay.Addr().String()
	ended := make(chan error, 1)
	go func() {
		client, err := relay.Accept()
		if err != nil {
			ended <- nil
			return
		}
		defer client.Close()
		gateway, err := net.Dial("tcp", host)
		if err != nil {
			ended <- nil
			return
		}
		defer gateway.Close()
		go io.Copy(client, gateway)
		_, err = io.Copy(gateway, client)
		ended <- err
	}()
	c, err := apigws.Dial(t.Context(), u.String(), &apigws.Options{
		OnConnect: func(context.Context, *apigws.Conn) error { return errors.New("given up") },
		Reconnect: apigws.Reconnect{Disabled: true},
	})
	if err == nil {
		c.Close()
		t.Error("nothing failed")
	}
	if err := <-ended; err == nil {
		t.Error("the gateway has read up to a proper end, or there was no connection")
	}
}
