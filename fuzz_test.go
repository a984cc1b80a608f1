package apigws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/cenkalti/backoff/v4"
)

// FuzzCloseReason ends connections with close frames of any content. The
// client tells their code and reason as they are if they are valid, and is
// back in any case.
func FuzzCloseReason(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3})
	f.Add([]byte{3, 232})
	f.Add([]byte("\x03\xe9Going away"))
	f.Add([]byte("\x03\xf1Max frame length of 32768 has been exceeded."))
	f.Add([]byte("\x03\xed1005 is never sent"))
	f.Add([]byte("\x0f\xa0\xff\xfe no UTF-8 \"quoted\" \r\n\x00"))
	f.Add([]byte("\x00\x00"))
	f.Add(append([]byte("\x0b\xb8"), bytes.Repeat([]byte("x"), 123)...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > 125 {
			return // no control frame is that long
		}
		synctest.Test(t, func(t *testing.T) {
			gw := gatewaytest.NewInMemory(nil)
			defer gw.Close()
			var cause error
			var log bytes.Buffer
			c, err := Dial(t.Context(), gw.URL, &Options{
				HTTPClient: gw.Client(),
				Reconnect:  Reconnect{Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }},
				OnState: func(_ *Client, s StateChange) {
					if s.To == StateBackoff {
						cause = s.Err
					}
				},
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			gw.Conns()[0].SendRaw(append([]byte{0x88, byte(len(payload))}, payload...))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := gw.Stats().Accepted; got != 2 || c.State() != StateOpen {
				t.Fatalf("%v after %d connections, want to be back by one reconnect", c.State(), got)
			}
			if cause == nil || cause.Error() == "" {
				t.Fatal("nothing tells why the connection broke")
			}
			var closed *CloseError
			ok := errors.As(cause, &closed)
			switch {
			case len(payload) == 0:
				if !ok || closed.Code != 1005 || closed.Reason != "" {
					t.Fatalf("an empty close frame: %v", cause)
				}
			case ok:
				if len(payload) < 2 || closed.Code != int(binary.BigEndian.Uint16(payload)) || closed.Reason != string(payload[2:]) {
					t.Fatalf("%q became %v", payload, cause)
				}
			case len(payload) >= 2 && mayBeSent(binary.BigEndian.Uint16(payload)) && utf8.Valid(payload[2:]):
				t.Fatalf("%q is a valid close frame, and became %v", payload, cause)
			}
			// A line of the log stays one line, whatever the gateway says.
			for line := range strings.Lines(log.String()) {
				if !strings.HasPrefix(line, "time=") {
					t.Fatalf("a log line begins with %q", line)
				}
			}
		})
	})
}

// mayBeSent reports whether a close code may stand in a frame (RFC 6455,
// section 7.4, and the registry of IANA).
func mayBeSent(code uint16) bool {
	return 1000 <= code && code <= 1003 || 1007 <= code && code <= 1014 || 3000 <= code && code <= 4999
}
