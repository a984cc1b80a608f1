package campaign

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A conversation is what the cuts go through: messages of one and of several
// frames, with short and with 16-bit lengths.
var conversations = []struct {
	frame    int
	messages []string
}{
	{10, []string{"0.a", "0.b three frames or so", "0.c"}},
	{126, []string{"0.d" + strings.Repeat(".", 123), "0.e"}},
}

// Cut the stream after each byte that the client sends: by the gateway, so
// that the operating system takes what is lost, and under the client's own
// write, which then fails.
func TestCampaignOfCutsIn(t *testing.T) {
	var n tally
	for _, talk := range conversations {
		all := 40 // the PINGs
		for _, msg := range talk.messages {
			all += len(msg) + 8*((len(msg)+talk.frame-1)/talk.frame)
		}
		for cut := 1; cut <= all; cut++ {
			for _, resend := range []int{0, 1 << 10} {
				for _, own := range []bool{false, true} {
					clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
						var network clienttest.Brittle
						opts := apigws.Options{Resend: resend, Limits: apigws.Limits{Frame: talk.frame}}
						opts.HTTPClient = network.Client(gw)
						c := clienttest.Dial(t, gw, &opts)
						if own {
							network.BreakAfter(cut)
						} else {
							synctest.Wait()
							clienttest.Only(t, gw).SetFaults(gatewaytest.Faults{CutIn: int64(cut)})
						}
						var records []record
						for _, msg := range talk.messages {
							records = append(records, record{text: msg, err: c.Write(t.Context(), []byte(msg))})
							if len(records) == 2 {
								flush(t, c, records)
							}
						}
						flush(t, c, records)
						settle(t, gw, c)
						n.cuts.Add(1)
						n.reconnects.Add(c.Stats().Connects - 1)
						if err := audit(&n, records, clienttest.Received(gw), resend > 0); err != nil {
							t.Errorf("cut in after byte %d, frames of %d, resend %d, own %v: %v", cut, talk.frame, resend, own, err)
						}
					})
				}
			}
		}
	}
	n.log(t)
}

// Cut the stream after each byte that the gateway sends. The client must
// return the messages that were complete by then, and no other.
func TestCampaignOfCutsOut(t *testing.T) {
	var stream []byte
	var ends []int // of messages
	frame := func(first byte, payload string) {
		stream = append(stream, first)
		if len(payload) < 126 {
			stream = append(stream, byte(len(payload)))
		} else {
			stream = append(stream, 126, byte(len(payload)>>8), byte(len(payload)))
		}
		stream = append(stream, payload...)
	}
	end := func() { ends = append(ends, len(stream)) }
	frame(0x81, "one frame")
	end()
	frame(0x01, "three ")
	frame(0x00, "frames, and between them ")
	frame(0x89, "a PING")
	frame(0x80, "another")
	end()
	frame(0x81, "")
	end()
	frame(0x81, strings.Repeat("é", 70))
	end()
	messages := []string{"one frame", "three frames, and between them another", "", strings.Repeat("é", 70)}

	var n tally
	for cut := 1; cut <= len(stream); cut++ {
		for _, resend := range []int{0, 1 << 10} {
			clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
				c := clienttest.Dial(t, gw, &apigws.Options{Resend: resend})
				conn := clienttest.Only(t, gw)
				synctest.Wait() // the gateway has counted the PONG of Dial
				conn.SetFaults(gatewaytest.Faults{CutOut: int64(cut)})
				if err := conn.SendRaw(stream); err != nil {
					t.Fatal(err)
				}
				complete := 0
				for complete < len(ends) && ends[complete] <= cut {
					complete++
				}
				for i := range complete {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					p, err := c.Read(ctx)
					cancel()
					if err != nil || string(p) != messages[i] {
						t.Errorf("cut out after byte %d: message %d is %q, %v", cut, i, p, err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if p, err := c.Read(ctx); err == nil {
					t.Errorf("cut out after byte %d: one message more: %q", cut, p)
				}
				clienttest.Write(t, c, "after")
				if err := c.Flush(t.Context()); err != nil {
					t.Errorf("cut out after byte %d: Flush: %v", cut, err)
				}
				settle(t, gw, c)
				n.cuts.Add(1)
				n.reconnects.Add(c.Stats().Connects - 1)
				n.messages.Add(int64(complete))
			})
		}
	}
	t.Logf("%d cuts, %d reconnects, %d complete messages, all of them read", n.cuts.Load(), n.reconnects.Load(), n.messages.Load())
}
