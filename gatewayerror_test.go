package apigws_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// What is an error frame and what is not is the matter of internal/errorframe.
var errorFrames = map[string]*apigws.GatewayError{
	`{"message": "Forbidden", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"eHrjDEuVPHcFWMg="}`: {
		Message: "Forbidden", ConnectionID: "eHrdFcnvvHcCE-w=", RequestID: "eHrjDEuVPHcFWMg="},
	"\n { \"requestId\" :\t\"b\" , \"connectionId\" : \"a\" , \"message\" : \"x\" } \r\n": {
		Message: "x", ConnectionID: "a", RequestID: "b"},

	`{"message":"x","connectionId":"a"}`:                                nil,
	`{"message":"x","connectionId":"a","requestId":"b","type":"order"}`: nil,
	`hello`: nil,
}

// OnGatewayError gets the error frames of the gateway, and Read everything else.
func TestGatewayError(t *testing.T) {
	for frame, want := range errorFrames {
		clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
			var got []*apigws.GatewayError
			hooked := clienttest.Dial(t, gw, &apigws.Options{OnGatewayError: func(_ *apigws.Client, e *apigws.GatewayError) { got = append(got, e) }})
			clienttest.Only(t, gw).Send([]byte(frame))
			clienttest.Only(t, gw).Send([]byte("next"))
			synctest.Wait()
			first := clienttest.Read(t, hooked)
			switch {
			case want == nil && (len(got) != 0 || first != frame):
				t.Errorf("%q was taken out of Read: %v", frame, got)
			case want != nil && (len(got) != 1 || *got[0] != *want || first != "next"):
				t.Errorf("%q: hook got %v, Read %q", frame, got, first)
			}
			hooked.Close()
			synctest.Wait()

			// Without the hook, Read returns it as it came.
			for _, isReply := range []func([]byte) bool{nil, func([]byte) bool { return false }} {
				plain := clienttest.Dial(t, gw, &apigws.Options{Keepalive: apigws.Keepalive{IsReply: isReply}})
				clienttest.Only(t, gw).Send([]byte(frame))
				if msg := clienttest.Read(t, plain); msg != frame {
					t.Errorf("without the hook Read = %q, want %q", msg, frame)
				}
				plain.Close()
				synctest.Wait()
			}
		})
	}
}

// The gateway answers what no route takes; the hook hears of it in order.
func TestGatewayErrorOfNoRoute(t *testing.T) {
	cfg := &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$connect": gatewaytest.Silent}}
	clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		var got []string
		c := clienttest.Dial(t, gw, &apigws.Options{OnGatewayError: func(_ *apigws.Client, e *apigws.GatewayError) {
			got = append(got, e.Message)
			if !strings.Contains(e.Error(), e.Message) || !strings.Contains(e.Error(), e.RequestID) {
				t.Errorf("the text of the error is %q", e)
			}
		}})
		clienttest.Write(t, c, `{"action":"nowhere"}`)
		clienttest.Write(t, c, `nothing`)
		synctest.Wait()
		if !slices.Equal(got, []string{"Forbidden", "Forbidden"}) {
			t.Errorf("the hook got %q", got)
		}
		if s := c.Stats(); s.MessagesReceived != 2 || s.Unread != 0 {
			t.Errorf("Stats = %+v", s)
		}
		clienttest.Accepted(t, gw, 1)
	})
}
