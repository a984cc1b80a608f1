package gatewaytest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// Whatever a client sends, it gets whole frames, a close frame at most once and last, and then the
// end.
func FuzzFrames(f *testing.F) {
	masked := func(frames ...ws.Frame) (b []byte) {
		for _, f := range frames {
			b = append(b, ws.MustCompileFrame(ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4}))...)
		}
		return b
	}
	f.Add(masked(ws.NewTextFrame([]byte("hello")), ws.NewPingFrame([]byte("x")), ws.NewCloseFrame([]byte{3, 232})))
	f.Add(masked(ws.NewFrame(ws.OpText, false, []byte("hel")), ws.NewFrame(ws.OpContinuation, true, []byte("lo"))))
	f.Add(masked(ws.NewBinaryFrame([]byte("hello")), ws.NewTextFrame([]byte("more"))))
	f.Add([]byte{0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte("0\x02008\x03000")) // a close frame right behind a breach of the protocol
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			go c.Write(data)
			time.Sleep(3 * time.Minute) // the idle cut at the latest
			synctest.Wait()
			if len(s.Conns()) != 0 {
				t.Fatal("still open")
			}
			for closed := false; ; {
				f, err := c.read()
				if err != nil {
					if f.Header.Length > 0 || !closed {
						t.Fatalf("ended without a close frame or in a frame: %v", err)
					}
					return
				}
				if closed {
					t.Fatalf("frame %v after the close frame", f.Header)
				}
				if err := ws.CheckHeader(f.Header, ws.StateClientSide); err != nil {
					t.Fatal(err)
				}
				closed = f.Header.OpCode == ws.OpClose
			}
		})
	})
}
