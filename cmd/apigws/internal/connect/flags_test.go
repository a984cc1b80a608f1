package connect

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
)

func TestSubprotocol(t *testing.T) {
	var offered atomic.Value
	cfg := &gatewaytest.Config{Authorize: func(r *http.Request) int {
		offered.Store(r.Header.Get("Sec-WebSocket-Protocol"))
		return http.StatusOK
	}}
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.subprotocols = []string{"a", "b"} })
		p.end()
		if got, _ := offered.Load().(string); strings.ReplaceAll(got, " ", "") != "a,b" {
			t.Errorf("%q was offered, want a and b", got)
		}
	})
}

func TestKeepaliveFlags(t *testing.T) {
	cfg := &gatewaytest.Config{}
	received := recorder(cfg)
	bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.keepalive, c.keepaliveMessage = 10*time.Second, "tick" })
		time.Sleep(95 * time.Second)
		if n := len(received()); n != 10 {
			t.Errorf("%d keepalive messages in 95 s, want one at once and 9 more", n)
		}
		p.end()
	})
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.keepalive = 10 * time.Second })
		time.Sleep(95 * time.Second)
		if n := gw.Stats().Pings; n != 9 {
			t.Errorf("%d PINGs in 95 s, want 9", n)
		}
		p.end()
	})
}

func TestRotateAfter(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.rotateAfter = time.Minute })
		time.Sleep(90 * time.Second)
		p.wantErr(t, "rotated to connection 2")
		p.end()
	})
}

func TestMessageTooLargeToPrint(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, nil)
		p.write(t, "before\n")
		time.Sleep(time.Second)
		gw.Conns()[0].Send(make([]byte, 200_000))
		time.Sleep(time.Second)
		p.end()
		p.wantErr(t, "a message of 200000 bytes was skipped")
		if got := p.out.String(); got != "before\n" {
			t.Errorf("standard output has %d bytes", len(got))
		}
	})
}

// An input that breaks is not one that has ended.
func TestBrokenInput(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := &config{url: gw.URL, httpClient: gw.Client(), timeout: time.Minute}
		var out, errs buffer
		err := c.run(t.Context(), iotest.ErrReader(errors.New("the disk is gone")), &out, &errs)
		if err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("error %v", err)
		}
	})
}

// A token command that fails later, as when the network is down, is tried again.
func TestHeaderCommandFailsLater(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write := func() {
		if err := os.WriteFile(token, []byte("X-Token: a\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.handshake.HeaderCommand = "cat '" + token + "' 2>/dev/null" })
		p.write(t, "before\n")
		time.Sleep(time.Minute)
		os.Remove(token)
		gw.Conns()[0].Drop()
		time.Sleep(time.Minute)
		p.wantErr(t, "--header-command: exit status 1")
		write()
		time.Sleep(time.Minute)
		p.write(t, "after\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
	})
}

// The host names the Region, whatever the configuration says.
func TestIAMTakesRegionFromHost(t *testing.T) {
	awsProfile(t, testSecret)
	t.Setenv("AWS_REGION", "us-east-1")
	bubble(t, iamGateway(), func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) {
			c.url = "ws://abc123.execute-api.eu-west-1.amazonaws.com/prod"
			c.handshake.AllowInsecure, c.handshake.Profile = true, "dev"
		})
		p.write(t, "a\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	h := newHistory("")
	for i := range 3000 {
		h.Add(strconv.Itoa(i))
	}
	if h.Len() != maxHistory || h.At(0) != "2999" || h.At(maxHistory-1) != "2000" {
		t.Errorf("%d lines from %s to %s", h.Len(), h.At(h.Len()-1), h.At(0))
	}
}

func TestStateEvents(t *testing.T) {
	const open, connecting, waiting = apigws.StateOpen, apigws.StateConnecting, apigws.StateBackoff
	cause := &apigws.CloseError{Code: 1001, Reason: "Going away"}
	for _, tt := range []struct {
		change apigws.StateChange
		away   time.Duration
		want   string
	}{
		{apigws.StateChange{From: connecting, To: connecting}, 0, "connecting"},
		{apigws.StateChange{From: connecting, To: open, Generation: 1}, 0, "connected"},
		{apigws.StateChange{From: open, To: open, Generation: 2}, 0, "rotated to connection 2"},
		{apigws.StateChange{From: open, To: waiting, Err: cause, RetryIn: time.Second}, 0,
			`connection lost: closed by the gateway: 1001 "Going away"; trying again in 1s`},
		{apigws.StateChange{From: open, To: connecting, Err: cause}, 0, `connection lost: closed by the gateway: 1001 "Going away"`},
		{apigws.StateChange{From: connecting, To: waiting, Err: cause, RetryIn: time.Second}, 0,
			`not connected: closed by the gateway: 1001 "Going away"; trying again in 1s`},
		{apigws.StateChange{From: waiting, To: connecting, Err: cause}, 0, ""},
		{apigws.StateChange{From: connecting, To: open, Generation: 3}, 1234 * time.Millisecond, "connected again after 1.23s (connection 3)"},
		{apigws.StateChange{From: open, To: apigws.StateClosed}, 0, ""},
	} {
		var b buffer
		(&printer{events: &b}).state(tt.change, tt.away)
		if got := strings.TrimSuffix(b.String(), "\n"); got != tt.want {
			t.Errorf("%v to %v: %q, want %q", tt.change.From, tt.change.To, got, tt.want)
		}
	}
}

// A brittleConn breaks with a write that has left as a whole.
type brittleConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c brittleConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil && c.broken.Swap(false) {
		c.Close()
		err = syscall.ECONNRESET
	}
	return n, err
}

// A line whose own write tells that it may be lost is not told by the acknowledgement of the rest.
func TestLineMayBeLost(t *testing.T) {
	bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var broken atomic.Bool
		transport := gw.Client().Transport.(*http.Transport).Clone()
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return brittleConn{conn, &broken}, err
		}
		p := start(t, gw, func(c *config) { c.httpClient = &http.Client{Transport: transport} })
		p.write(t, "one\n")
		time.Sleep(time.Minute)
		broken.Store(true)
		p.write(t, "two\n")
		time.Sleep(time.Minute)
		p.write(t, "three\n")
		if code := p.end(); code != cli.Unacknowledged {
			t.Errorf("exit code %d, want 4: %s", code, p.errs.String())
		}
		p.wantErr(t, "line 2 may be lost", "--resend")
	})
}
