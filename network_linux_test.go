package apigws_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apigws/apigws"
)

// On a socket of the kernel, little waits unsent, and what waits when the client gives a connection
// up is dropped: the peer meets a reset.
func TestNetworkReset(t *testing.T) {
	ended := make(chan error, 1)
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
		_, err = io.Copy(io.Discard, conn)
		ended <- err
	}))
	defer peer.Close()
	var socket *net.TCPConn
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		socket, _ = conn.(*net.TCPConn)
		return conn, err
	}}
	c, err := apigws.Dial(t.Context(), strings.Replace(peer.URL, "http", "ws", 1), &apigws.Options{
		HTTPClient:   &http.Client{Transport: transport},
		CloseTimeout: time.Millisecond, // the peer answers no CLOSE
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		const notSentLowat = 25 // TCP_NOTSENT_LOWAT; package syscall has no name for it
		if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, notSentLowat); err != nil || got != 16<<10 {
			t.Errorf("the kernel may hold %d bytes unsent, %v", got, err)
		}
	})
	c.Close()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, want a reset", err)
	}
}
