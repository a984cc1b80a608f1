package apigws_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/gobwas/ws"
)

// Benchmarks of this package alone, and exact limits on its allocations. How
// it compares with other clients is measured in the module bench.

// rawServer accepts WebSocket connections on loopback and lets serve have the
// bytes, so that the peer allocates nothing while a client is measured.
func rawServer(tb testing.TB, serve func(net.Conn)) (url string) {
	tb.Helper()
	var served sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1) // before the client knows that it is connected, and may end the test
		defer served.Done()
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			tb.Error(err)
			return
		}
		defer conn.Close()
		serve(conn)
	}))
	tb.Cleanup(func() {
		srv.Close()
		served.Wait()
	})
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

// sink reads and forgets.
func sink(conn net.Conn) { io.Copy(io.Discard, conn) }

// flood sends messages of n bytes as fast as they are taken.
func flood(n int) func(net.Conn) {
	frame, err := ws.CompileFrame(ws.NewTextFrame(bytes.Repeat([]byte("x"), n)))
	if err != nil {
		panic(err)
	}
	block := bytes.Repeat(frame, max(1, 64<<10/len(frame)))
	return func(conn net.Conn) {
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}
}

// echo sends back every frame that arrives, unmasked; n is its payload's size.
func echo(n int) func(net.Conn) {
	return func(conn net.Conn) {
		in := make([]byte, 6+n) // masked, of less than 126 bytes
		out := make([]byte, 2+n)
		for {
			if _, err := io.ReadFull(conn, in); err != nil {
				return
			}
			out[0], out[1] = in[0], in[1]&^0x80
			copy(out[2:], in[6:])
			ws.Cipher(out[2:], [4]byte(in[2:6]), 0)
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}
}

func dialRaw(tb testing.TB, url string) *apigws.Client {
	tb.Helper()
	c, err := apigws.Dial(context.Background(), url, &apigws.Options{
		CloseTimeout: time.Millisecond, // these peers answer no CLOSE
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{128, 4 << 10, 64 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			c := dialRaw(b, rawServer(b, flood(size)))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Read(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{128, 4 << 10, 64 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			c := dialRaw(b, rawServer(b, sink))
			p := bytes.Repeat([]byte("x"), size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Write(context.Background(), p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSend64Writers(b *testing.B) {
	c := dialRaw(b, rawServer(b, sink))
	p := bytes.Repeat([]byte("x"), 128)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	b.SetParallelism(64) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.Write(context.Background(), p); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkEcho(b *testing.B) {
	const size = 120
	c := dialRaw(b, rawServer(b, echo(size)))
	p := bytes.Repeat([]byte("x"), size)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Write(context.Background(), p); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func sizeName(n int) string {
	switch n {
	case 128:
		return "128B"
	case 4 << 10:
		return "4KiB"
	default:
		return "64KiB"
	}
}

func TestAllocationsPerMessage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context()) // as users have: one that can be cancelled
	defer cancel()
	p := bytes.Repeat([]byte("x"), 128)

	t.Run("Write", func(t *testing.T) {
		c := dialRaw(t, rawServer(t, sink))
		if n := testing.AllocsPerRun(10_000, func() {
			if err := c.Write(ctx, p); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Write allocates %v times a message, want 0", n)
		}
	})
	t.Run("Read", func(t *testing.T) {
		c := dialRaw(t, rawServer(t, flood(128)))
		if n := testing.AllocsPerRun(10_000, func() {
			if _, err := c.Read(ctx); err != nil {
				t.Fatal(err)
			}
		}); n > 1 {
			t.Errorf("Read allocates %v times a message, want 1 at most", n)
		}
	})
	t.Run("ReadInto", func(t *testing.T) {
		c := dialRaw(t, rawServer(t, flood(128)))
		buf := make([]byte, 0, 128)
		read := func() {
			var err error
			if buf, err = c.ReadInto(ctx, buf); err != nil || len(buf) != 128 {
				t.Fatal(len(buf), err)
			}
		}
		for range 1000 { // until the memory that is given back is what is used
			read()
		}
		if n := testing.AllocsPerRun(10_000, read); n != 0 {
			t.Errorf("ReadInto allocates %v times a message, want 0", n)
		}
	})
}
