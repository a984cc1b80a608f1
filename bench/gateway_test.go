package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"
)

// BenchmarkGateway compares the fake gateway with a plain echo server made of gorilla/websocket:
// messages of 100 bytes there and back on 1,000 connections at once over loopback, by clients that
// know as little of WebSocket as they can. Both run in the same process as the clients. The figures
// of the two in one run compare; those of different runs depend on the machine and its load.
func BenchmarkGateway(b *testing.B) {
	b.Run("gatewaytest", func(b *testing.B) {
		gw := gatewaytest.NewServer(&gatewaytest.Config{Discard: true, Idle: -1})
		defer gw.Close()
		benchmarkEcho(b, gw.URL)
	})
	b.Run("gorilla", func(b *testing.B) {
		var upgrader websocket.Upgrader
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			for {
				typ, msg, err := conn.ReadMessage()
				if err != nil || conn.WriteMessage(typ, msg) != nil {
					return
				}
			}
		}))
		defer s.Close()
		benchmarkEcho(b, strings.Replace(s.URL, "http", "ws", 1))
	})
}

func benchmarkEcho(b *testing.B, url string) {
	const conns = 1000
	payload := []byte(strings.Repeat("x", 100))
	message := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(payload)))
	answer := len(ws.MustCompileFrame(ws.NewTextFrame(payload)))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range conns {
		conn, _, _, err := ws.Dial(context.Background(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		wg.Go(func() {
			<-start
			in, buf := bufio.NewReader(conn), make([]byte, answer)
			for n := i; n < b.N; n += conns {
				if _, err := conn.Write(message); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(in, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ResetTimer()
	close(start)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
