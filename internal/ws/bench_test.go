package ws

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

var sizes = []struct {
	name string
	n    int
}{{"128B", 128}, {"4KiB", 4 << 10}, {"64KiB", 64 << 10}}

// BenchmarkNext reads messages that are there already, each into memory of its own, and checks that
// text is UTF-8: here, with gobwas/ws and with coder/websocket.
func BenchmarkNext(b *testing.B) {
	for _, size := range sizes {
		ascii := strings.Repeat("x", size.n)
		for _, c := range []struct{ name, frame string }{
			{"ascii", frame(finText, ascii)},
			{"greek", frame(finText, strings.Repeat("κόσμε ", size.n/12)+ascii[:size.n%12])},
			{"binary", frame(finBinary, ascii)},
		} {
			bench := func(name string, next func() error) {
				b.Run(size.name+"/"+c.name+"/"+name, func(b *testing.B) {
					b.SetBytes(int64(size.n))
					b.ReportAllocs()
					for b.Loop() {
						if err := next(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			var r Reader
			r.Init(&loop{in: c.frame}, 1<<20)
			bench("apigws", func() error {
				_, err := r.Next()
				return err
			})
			r.Release()

			other := wsutil.Reader{Source: bufio.NewReaderSize(&loop{in: c.frame}, largeBuf), State: gobwas.StateClientSide, CheckUTF8: true}
			bench("gobwas", func() error {
				h, err := other.NextFrame()
				if err != nil {
					return err
				}
				_, err = io.ReadFull(&other, make([]byte, h.Length))
				return err
			})

			conn := coder(b, &loop{in: c.frame})
			bench("coder", func() error { // does not check text
				_, _, err := conn.Read(context.Background())
				return err
			})
			conn.CloseNow()
		}
	}
}

// BenchmarkAppendMessage puts messages into frames, in memory that is there already.
func BenchmarkAppendMessage(b *testing.B) {
	for _, size := range sizes {
		p := []byte(strings.Repeat("x", size.n))
		bench := func(name string, f func()) {
			b.Run(size.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(size.n))
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
			})
		}
		var keys MaskKeys
		buf := make([]byte, 0, 128<<10)
		bench("apigws", func() { AppendMessage(buf, p, 32<<10, &keys) })

		w := &appender{buf: buf}
		bench("gobwas", func() {
			w.buf = w.buf[:0]
			wsutil.WriteClientText(w, p)
		})

		conn := coder(b, strings.NewReader(""))
		bench("coder", func() { conn.Write(context.Background(), websocket.MessageText, p) })
		conn.CloseNow()
	}
}

type appender struct{ buf []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.buf = append(a.buf, p...)
	return len(p), nil
}

// coder returns a connection of coder/websocket that reads from r and writes to nowhere.
func coder(b *testing.B, r io.Reader) *websocket.Conn {
	b.Helper()
	conn, _, err := websocket.Dial(context.Background(), "ws://server/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: upgrader{r}},
	})
	if err != nil {
		b.Fatal(err)
	}
	conn.SetReadLimit(-1)
	return conn
}

// An upgrader answers every handshake, and has the client read from r.
type upgrader struct{ r io.Reader }

func (u upgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	h := http.Header{}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Accept", acceptKey(req.Header.Get("Sec-WebSocket-Key")))
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: h, Body: stream{u.r}}, nil
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

type stream struct{ io.Reader }

func (stream) Write(p []byte) (int, error) { return len(p), nil }
func (stream) Close() error                { return nil }
