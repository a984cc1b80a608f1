package gatewaytest_test

import (
	"bufio"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// BenchmarkEcho sends messages of 100 bytes and reads them back, on 1,000 connections at once that
// each wait for an answer before the next message: through the echo, and through a Handler with a
// route response. Its clients know as little of WebSocket as they can, so that the time is the
// gateway's.
func BenchmarkEcho(b *testing.B) {
	respond := func(cfg *gatewaytest.Config) *gatewaytest.Config {
		cfg.Discard, cfg.Idle = true, -1
		return cfg
	}
	networks := map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"tcp": gatewaytest.NewServer, "memory": gatewaytest.NewInMemory,
	}
	for _, network := range []string{"tcp", "memory"} {
		b.Run(network+"/echo", func(b *testing.B) {
			benchmarkEcho(b, networks[network](respond(&gatewaytest.Config{})))
		})
		b.Run(network+"/handler", func(b *testing.B) {
			routes := map[string]gatewaytest.Handler{"$default": answer(strings.Repeat("x", 100))}
			benchmarkEcho(b, networks[network](respond(&gatewaytest.Config{Routes: routes, RouteResponse: true})))
		})
	}
}

func benchmarkEcho(b *testing.B, s *gatewaytest.Server) {
	defer s.Close()
	const conns = 1000
	message := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(strings.Repeat("x", 100)))))
	answer := 2 + 100 // header and payload
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range conns {
		conn, _, _, err := dialer(s).Dial(b.Context(), s.URL)
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
	b.ReportAllocs()
	b.ResetTimer()
	close(start)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkSilentConnections opens b.N connections in memory and reports what each of them takes,
// both ends and the line between them included. Run it with -benchtime 10000x.
func BenchmarkSilentConnections(b *testing.B) {
	s := gatewaytest.NewInMemory(nil)
	defer s.Close()
	before := inUse()
	d := dialer(s)
	for range b.N {
		conn, _, _, err := d.Dial(b.Context(), s.URL)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
	}
	b.StopTimer()
	b.ReportMetric(float64(inUse()-before)/float64(b.N), "B/connection")
}

// inUse returns how many bytes of heap and stacks are in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
