package gatewaytest_test

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/coder/websocket"
)

// At twenty kilobytes each, ten thousand silent connections fit in a few hundred megabytes: both
// ends and the line between them included.
func TestMemoryOfSilentConnections(t *testing.T) {
	const (
		n    = 2_000
		most = 20 << 10 // bytes each
	)
	s := gatewaytest.NewInMemory(nil)
	defer s.Close()
	before := inUse()
	d := dialer(s)
	for range n {
		conn, _, _, err := d.Dial(t.Context(), s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	each := (inUse() - before) / n
	t.Logf("%d bytes a connection", each)
	if each > most {
		t.Errorf("%d bytes a connection, want at most %d", each, most)
	}
	if got := len(s.Conns()); got != n {
		t.Errorf("%d connections", got)
	}
}

// Clients and backends dial wss and https, as they do on AWS.
func TestMemorySecureURLs(t *testing.T) {
	bubble(t, &gatewaytest.Config{MaxURL: 50}, func(t *testing.T, s *gatewaytest.Server) {
		url := strings.Replace(s.URL, "ws:", "wss:", 1)
		c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: s.Client()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.Write(t.Context(), websocket.MessageText, []byte("hello"))
		if _, msg, err := c.Read(t.Context()); err != nil || string(msg) != "hello" {
			t.Errorf("%q, %v", msg, err)
		}
		id := s.Conns()[0].ID()
		for _, host := range []string{"127.0.0.1", "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"} {
			resp, err := s.Client().Get("https://" + host + "/prod/@connections/" + id)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", host, resp.Status)
			}
		}
		// The length of a URL is that of the one that was dialled.
		for scheme, want := range map[string]int{"ws": 101, "wss": 414} {
			url := scheme + "://127.0.0.1/prod?q="
			url += strings.Repeat("x", 50+len(scheme)-len("ws")-len(url))
			if got := handshake(t, s, url, nil).StatusCode; got != want {
				t.Errorf("%s of %d characters: %d, want %d", url, len(url), got, want)
			}
		}
	})
}

// A client that is never closed would dial for ever, while no time passes outside the bubble.
func TestMemoryDialsAfterClose(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		s.Close()
		dial := s.Client().Transport.(*http.Transport).DialContext
		for range 9_999 {
			if _, err := dial(t.Context(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
		}
		wantPanic(t, "since the Server was closed", func() { dial(t.Context(), "tcp", "") })
	})
}
