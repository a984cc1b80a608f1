package apigws_test

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// What waits in the kernel is bounded before OnConnect writes.
func TestSendBufferIsBounded(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	var socket *net.TCPConn
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		socket, _ = conn.(*net.TCPConn)
		return conn, err
	}}
	var limit int
	c, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{
		HTTPClient: &http.Client{Transport: transport},
		OnConnect: func(context.Context, *apigws.Conn) error {
			raw, err := socket.SyscallConn()
			if err != nil {
				return err
			}
			return raw.Control(func(fd uintptr) {
				const notSentLowat = 25 // TCP_NOTSENT_LOWAT; package syscall has no name for it
				limit, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowat)
			})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if limit != 16<<10 {
		t.Errorf("%d bytes may wait, want 16 KiB", limit)
	}
}
