package campaign

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// FuzzServerBytes sends arbitrary bytes to a client. Whatever they do to the
// connection, the client must be well on the next one.
func FuzzServerBytes(f *testing.F) {
	frame := func(first byte, payload string) []byte {
		return append([]byte{first, byte(len(payload))}, payload...)
	}
	for _, seed := range [][]byte{
		frame(0x81, "hello"),
		frame(0x01, "half"),
		frame(0x80, "a continuation of nothing"),
		frame(0x82, "\xff\xfe"),
		frame(0x89, "ping"),
		slices.Concat(frame(0x8a, "1"), frame(0x8a, "2"), frame(0x8a, "0"), frame(0x8a, "99999999999999999999")),
		frame(0x88, ""),
		frame(0x88, "\x03\xe8bye"),
		frame(0x88, "\x03"),
		frame(0x88, "\x03\xf1too large"),
		frame(0xf1, "reserved bits"),
		frame(0x83, "a reserved opcode"),
		{0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'},
		{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'},
		{0x81, 0x85, 1, 2, 3, 4, 'm', 'a', 's', 'k', 'd'},
		[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, resend bool) {
		synctest.Test(t, func(t *testing.T) {
			gw := gatewaytest.NewInMemory(nil)
			defer gw.Close()
			var opts apigws.Options
			if resend {
				opts.Resend = 1 << 10
			}
			c := clienttest.Dial(t, gw, &opts)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			found := make(chan struct{})
			go func() {
				defer close(found)
				for p, err := range c.Messages(ctx) {
					if err != nil {
						return
					}
					if bytes.Equal(p, []byte("the end")) {
						found <- struct{}{}
						return
					}
				}
			}()
			conn := gw.Conns()[0]
			clienttest.Write(t, c, "before")
			if err := conn.SendRaw(data); err != nil {
				t.Fatal(err)
			}
			clienttest.Write(t, c, "after")
			time.Sleep(2 * time.Minute)
			// Bytes may have promised a frame of exabytes: only a break helps.
			conn.Drop()
			time.Sleep(time.Minute)
			clienttest.Write(t, c, "the end")
			if _, ok := <-found; !ok {
				t.Errorf("the client is %v (%v) and does not get through", c.State(), c.Err())
			}
			if n := len(gw.Conns()); n != 1 {
				t.Errorf("%d connections at the end: %v", n, slices.Collect(maps.Keys(gw.Stats().Closed)))
			}
		})
	})
}
