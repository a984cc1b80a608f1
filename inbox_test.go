package apigws_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// More messages than an inbox holds, in one packet, must wake a Read that
// waits: the reader of the connection waits for room then, not for bytes.
func TestMoreThanAnInboxInOnePacket(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := dial(t, gw, nil)
		write(t, c, "x") // the first message of a connection is announced in any case
		read(t, c)
		const n = 170 // of 3 bytes: within the smallest buffer
		got := make(chan int)
		go func() {
			count := 0
			for range n {
				if p, err := c.Read(t.Context()); err != nil || string(p) != "x" {
					break
				}
				count++
			}
			got <- count
		}()
		synctest.Wait() // Read waits
		start := time.Now()
		if err := gw.Conns()[0].SendRaw(bytes.Repeat([]byte{0x81, 1, 'x'}, n)); err != nil {
			t.Fatal(err)
		}
		if count := <-got; count != n {
			t.Errorf("%d messages read, want %d", count, n)
		}
		if took := time.Since(start); took != 0 { // in the end, a rotation would make room
			t.Errorf("read after %v, want at once", took)
		}
	})
}
