package gatewaytest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// The log tells what happened, and nothing that is secret.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	cfg := &gatewaytest.Config{
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Backend: func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
			switch {
			case strings.HasPrefix(ev.Body, "fail"):
				return nil, errors.New("out of order")
			case strings.HasPrefix(ev.Body, "panic"):
				panic("out of its mind")
			}
			return nil, nil
		},
		Authorize: func(r *http.Request) int {
			if r.Header.Get("Authorization") == "" {
				return 401
			}
			return 0
		},
	}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		handshake(t, s, s.URL+"?token=secret-1", nil)
		d := dialer(s)
		d.Header = ws.HandshakeHeaderHTTP{"Authorization": {"secret-2"}}
		conn, _, _, err := d.Dial(t.Context(), s.URL+"?token=secret-3")
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, Conn: conn, id: s.Conns()[0].ID()}
		c.text("fail secret-4")
		c.text("panic secret-5")
		c.send(ws.NewPingFrame([]byte("secret-6")))
		call(t, s, "POST", "/@connections/"+c.id+"?token=secret-7", "secret-8")
		call(t, s, "POST", "/@connections/secret-9", "secret-10")
		c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "bye")))
		synctest.Wait()
		if strings.Contains(out.String(), "secret") {
			t.Error("a secret is in the log")
		}
		for _, want := range []string{
			"msg=refused status=401",
			"msg=connected conn=\"" + c.id,
			"msg=message conn=\"" + c.id + "\" route=$default bytes=13",
			"error=\"out of order\"",
			"panic=\"out of its mind\"",
			"msg=ping",
			"msg=management conn",
			"msg=\"management denied\" method=POST status=410",
			"msg=closed conn=\"" + c.id + "\" code=4000 reason=bye",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s is not in the log", want)
			}
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
}
