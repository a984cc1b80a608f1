package apigws

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/cenkalti/backoff/v4"
	"github.com/gobwas/ws"
)

// FuzzGatewayError holds the classifier of error frames against encoding/json
// read the slow way.
func FuzzGatewayError(f *testing.F) {
	for _, seed := range []string{
		`{"message": "Forbidden", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"eHrjDEuVPHcFWMg="}`,
		`{"requestId":"","message":"\u0041\n","connectionId":"\ud800"}`,
		` {"message":"a","message":"b","connectionId":"c","requestId":"d"}`,
		`{"message":"a","connectionId":"c","requestId":"d","extra":1}`,
		`{"message":null,"connectionId":"c","requestId":"d"}`,
		`{"Message":"a","connectionid":"c","requestId":"d"}`,
		`[]`, `{`, `null`, "", "\xff", `{"message":{"message":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		before := bytes.Clone(p)
		got := parseGatewayError(p)
		if !bytes.Equal(p, before) {
			t.Fatalf("%q was changed into %q", before, p)
		}
		want := referenceGatewayError(p)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Fatalf("%q is %+v, want %+v", p, got, want)
		}
	})
}

// referenceGatewayError says what parseGatewayError should.
func referenceGatewayError(p []byte) *GatewayError {
	var object map[string]any
	if len(p) > maxGatewayError || json.Unmarshal(p, &object) != nil || len(object) != 3 {
		return nil
	}
	var values []string
	for _, key := range []string{"message", "connectionId", "requestId"} {
		value, ok := object[key].(string)
		if !ok {
			return nil
		}
		values = append(values, value)
	}
	return &GatewayError{Message: values[0], ConnectionID: values[1], RequestID: values[2]}
}

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
			case len(payload) >= 2 && mayBeSent(binary.BigEndian.Uint16(payload)):
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

// FuzzFrames has frames read back by another implementation: the payload is
// whole, and no frame is larger than allowed.
func FuzzFrames(f *testing.F) {
	f.Add(5, 3, []byte("hello"))
	f.Add(0, 1, []byte{})
	f.Add(125, 125, []byte("x"))
	f.Add(126, 126, []byte("x"))
	f.Add(1<<16-1, 1<<16, []byte("abc"))
	f.Add(1<<16, 1<<16, []byte("abc"))
	f.Add(128<<10, 32<<10, []byte("é"))
	f.Add(128<<10, 32<<10+1, []byte("é"))
	f.Fuzz(func(t *testing.T, size, limit int, pattern []byte) {
		if size < 0 || size > 200<<10 || limit < 1 || size/limit > 100 {
			return // takes long, and shows no more
		}
		p := bytes.Repeat(append(bytes.Clone(pattern), 0), size/(len(pattern)+1)+1)[:size]
		original := bytes.Clone(p)
		var keys maskKeys
		stream := bytes.NewBuffer(appendMessage([]byte("prefix"), p, limit, &keys))
		if !bytes.Equal(p, original) {
			t.Fatal("the caller's bytes were changed")
		}
		if got := string(stream.Next(6)); got != "prefix" {
			t.Fatalf("what was in the buffer is now %q", got)
		}
		var got []byte
		for first := true; ; first = false {
			h, err := ws.ReadHeader(stream)
			if err != nil {
				t.Fatal(err)
			}
			state := ws.StateServerSide
			if !first {
				state = state.Set(ws.StateFragmented)
			}
			if err := ws.CheckHeader(h, state); err != nil {
				t.Fatal(err)
			}
			if first != (h.OpCode == ws.OpText) || h.Length > int64(limit) || !h.Fin && h.Length != int64(limit) {
				t.Fatalf("frame %+v with a limit of %d", h, limit)
			}
			payload := bytes.Clone(stream.Next(int(h.Length)))
			ws.Cipher(payload, h.Mask, 0)
			got = append(got, payload...)
			if h.Fin {
				break
			}
		}
		if !bytes.Equal(got, original) || stream.Len() != 0 {
			t.Fatalf("%d bytes came back of %d, and %d more", len(got), len(original), stream.Len())
		}
	})
}
