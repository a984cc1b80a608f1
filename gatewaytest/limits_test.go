package gatewaytest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws/gatewaytest"
	"github.com/gobwas/ws"
)

// The article's first experiment: a silent connection is cut at two minutes, here to the
// nanosecond.
func TestSilentClientIsCut(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		sleep(2*time.Minute - time.Nanosecond)
		if len(s.Conns()) != 1 {
			t.Fatal("cut too early")
		}
		sleep(2 * time.Nanosecond)
		if len(s.Conns()) != 0 || closed(s, 1001) != 1 {
			t.Fatalf("not cut: %+v", s.Stats())
		}
		c.wantClose(1001, "Going away")
		c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))
		answered := time.Now()
		c.wantError(io.EOF)
		if d := time.Since(answered); d != 0 {
			t.Errorf("hung up %v after the answer", d)
		}
	})
}

// Whatever is activity moves the cut to Idle after it, and nothing else does.
func TestIdleReset(t *testing.T) {
	type action func(c *client, s *gatewaytest.Server)
	ping := func(c *client, s *gatewaytest.Server) { c.send(ws.NewPingFrame(nil)) }
	pong := func(c *client, s *gatewaytest.Server) { c.send(ws.NewPongFrame(nil)) }
	tests := map[string]struct {
		cfg  gatewaytest.Config
		do   action
		cuts bool // although
	}{
		"message":         {do: func(c *client, s *gatewaytest.Server) { c.text("hello") }},
		"push":            {do: func(c *client, s *gatewaytest.Server) { s.Conns()[0].Send([]byte("hello")) }},
		"@connections":    {do: func(c *client, s *gatewaytest.Server) { s.Post(c.id, []byte("hello")) }},
		"PING":            {do: ping},
		"PING ignored":    {do: ping, cfg: gatewaytest.Config{IgnorePings: true}, cuts: true},
		"PING unanswered": {do: ping, cfg: gatewaytest.Config{SilentPings: true}},
		"PONG":            {do: pong, cuts: true},
		"PONG counted":    {do: pong, cfg: gatewaytest.Config{CountPongs: true}},
		"half a message": {do: func(c *client, s *gatewaytest.Server) {
			c.send(ws.NewFrame(ws.OpText, false, []byte("hello")))
		}, cuts: true},
		"raw bytes": {do: func(c *client, s *gatewaytest.Server) { s.Conns()[0].SendRaw([]byte{0x89, 0}) }, cuts: true},
		"GET": {do: func(c *client, s *gatewaytest.Server) {
			if resp, _ := call(c.t, s, "GET", "/@connections/"+c.id, ""); resp.StatusCode != 200 {
				c.t.Error(resp.Status)
			}
		}, cuts: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.cfg.Idle = 10 * time.Minute
			bubble(t, &test.cfg, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				sleep(4 * time.Minute)
				test.do(c, s)
				left := 10 * time.Minute
				if test.cuts {
					left = 6 * time.Minute
				}
				sleep(left - time.Nanosecond)
				if len(s.Conns()) != 1 {
					t.Fatal("cut too early")
				}
				sleep(2 * time.Nanosecond)
				if len(s.Conns()) != 0 {
					t.Fatal("not cut")
				}
			})
		})
	}
}

// The article's rule: anything at an interval under the limit holds the connection.
func TestBusyClientLives(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		const interval = 119 * time.Second
		began := time.Now()
		for time.Since(began) < 2*time.Hour-interval {
			c.text("still there")
			c.wantText("still there")
			sleep(interval)
		}
		c.text("still there")
		c.wantText("still there")
		// Two hours are the end nevertheless.
		sleep(2*time.Hour - time.Since(began) - time.Nanosecond)
		if len(s.Conns()) != 1 {
			t.Fatalf("cut too early: %+v", s.Stats())
		}
		sleep(2 * time.Nanosecond)
		c.wantClose(1001, "Going away")
	})
}

func TestNoLimits(t *testing.T) {
	bubble(t, &gatewaytest.Config{Idle: -1, Lifetime: -1}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		sleep(365 * 24 * time.Hour)
		c.text("hello")
		c.wantText("hello")
	})
}

func TestAbruptIdle(t *testing.T) {
	bubble(t, &gatewaytest.Config{AbruptIdle: true}, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		sleep(2*time.Minute + 1)
		c.wantError(io.EOF)
		if closed(s, 1006) != 1 {
			t.Errorf("%+v", s.Stats())
		}
	})
}

// A gateway that has closed waits a second for the client to do so, and then hangs up.
func TestCloseHandshakeEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		s.Conns()[0].Close(4000, "enough")
		c.wantClose(4000, "enough")
		c.text("too late")
		sleep(time.Second - time.Nanosecond)
		c.wantSilence()
		sleep(time.Nanosecond)
		c.wantError(io.EOF)
		if st := s.Stats(); st.Messages != 0 || st.Closed[4000] != 1 || len(st.Closed) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestSizes(t *testing.T) {
	const tooBig = "Max frame length of 32768 has been exceeded."
	// A message in frames of the given sizes.
	send := func(c *client, sizes ...int) {
		op := ws.OpText
		for i, n := range sizes {
			c.send(ws.NewFrame(op, i == len(sizes)-1, []byte(strings.Repeat("x", n))))
			op = ws.OpContinuation
		}
	}
	const k32 = 32 << 10
	tests := []struct {
		sizes  []int
		code   int
		reason string
	}{
		{sizes: []int{k32 - 1}},
		{sizes: []int{k32}},
		{sizes: []int{k32 + 1}, code: 1009, reason: tooBig},
		{sizes: []int{1, k32 + 1}, code: 1009, reason: tooBig},
		{sizes: []int{k32, k32, k32, k32 - 1}},
		{sizes: []int{k32, k32, k32, k32}},
		{sizes: []int{k32, k32, k32, k32, 0}},
		{sizes: []int{k32, k32, k32, k32, 1}, code: 1009},
		{sizes: []int{k32 - 1, k32, k32, k32, 2}, code: 1009},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.sizes), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				go send(c, test.sizes...)
				if test.code != 0 {
					c.wantClose(test.code, test.reason)
					return
				}
				sum := 0
				for _, n := range test.sizes {
					sum += n
				}
				c.wantText(strings.Repeat("x", sum)) // comes back in one frame
			})
		})
	}
	t.Run("by the header alone", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 1<<20))))
			c.Write(frame[:14])
			c.wantClose(1009, tooBig)
		})
	})
	t.Run("configured", func(t *testing.T) {
		bubble(t, &gatewaytest.Config{MaxFrame: 10, MaxMessage: 15}, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			send(c, 10, 5)
			c.wantText("xxxxxxxxxxxxxxx")
			send(c, 11)
			c.wantClose(1009, "Max frame length of 10 has been exceeded.")
		})
	})
}

func TestViolations(t *testing.T) {
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	rsv := ws.NewTextFrame(nil)
	rsv.Header.Rsv = ws.Rsv(true, false, false)
	tests := map[string]struct {
		bytes []byte
		code  int
	}{
		"binary":                {masked(ws.NewBinaryFrame([]byte("x"))), 1003},
		"fragmented binary":     {masked(ws.NewFrame(ws.OpBinary, false, nil)), 1003},
		"unmasked":              {ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), 1002},
		"reserved bit":          {masked(rsv), 1002},
		"reserved data opcode":  {masked(ws.NewFrame(3, true, nil)), 1002},
		"reserved control code": {masked(ws.NewFrame(11, true, nil)), 1002},
		"fragmented PING":       {masked(ws.NewFrame(ws.OpPing, false, nil)), 1002},
		"long PING":             {masked(ws.NewPingFrame(make([]byte, 126))), 1002},
		"orphan continuation":   {masked(ws.NewFrame(ws.OpContinuation, true, nil)), 1002},
		"message in a message": {append(masked(ws.NewFrame(ws.OpText, false, nil)),
			masked(ws.NewTextFrame(nil))...), 1002},
		"length over 63 bits":     {[]byte{0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1002},
		"close code 1005":         {masked(ws.NewCloseFrame([]byte{3, 237})), 1002},
		"close payload of a byte": {masked(ws.NewCloseFrame([]byte{3})), 1002},
		"not UTF-8":               {masked(ws.NewTextFrame([]byte{0xff})), 1007},
		"cut rune":                {masked(ws.NewTextFrame([]byte("€")[:2])), 1007},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				c.Write(test.bytes)
				c.wantClose(test.code, "")
				if st := s.Stats(); st.Closed[test.code] != 1 || st.Messages != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
	t.Run("with a close frame right behind", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			began := time.Now()
			c.Write(append(masked(ws.NewBinaryFrame(nil)), masked(ws.NewCloseFrame(nil))...))
			c.wantClose(1003, "")
			c.wantError(io.EOF)
			if d := time.Since(began); d != 0 {
				t.Errorf("hung up after %v", d)
			}
		})
	})
	t.Run("close frame", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			began := time.Now()
			c.send(ws.NewCloseFrame([]byte{3, 237}))
			c.wantClose(1002, "")
			c.wantError(io.EOF) // there is no other close frame to wait for
			if d := time.Since(began); d != 0 {
				t.Errorf("hung up after %v", d)
			}
		})
	})
	t.Run("rune across frames is none", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
			c := dial(t, s)
			c.send(ws.NewFrame(ws.OpText, false, []byte("€")[:1]))
			c.send(ws.NewPingFrame([]byte("between"))) // allowed
			c.want(ws.OpPong, "between")
			c.send(ws.NewFrame(ws.OpContinuation, true, []byte("€")[1:]))
			c.wantText("€")
		})
	})
}

// Closing has the last word, for whatever the facts leave open.
func TestClosing(t *testing.T) {
	var causes []gatewaytest.Cause
	cfg := &gatewaytest.Config{Closing: func(cause gatewaytest.Cause, code int, reason string) (int, string) {
		causes = append(causes, cause)
		return 4000 + code%1000, "because of " + string(cause)
	}}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		c := dial(t, s)
		sleep(3 * time.Minute)
		c.wantClose(4001, "because of idle")
		c = dial(t, s)
		c.send(ws.NewBinaryFrame(nil))
		c.wantClose(4003, "because of binary")
	})
	if len(causes) != 2 {
		t.Errorf("asked for %v", causes)
	}
}

func TestClientCloses(t *testing.T) {
	for name, test := range map[string]struct {
		payload []byte
		code    int
	}{
		"normal":      {ws.NewCloseFrameBody(1000, "bye"), 1000},
		"application": {ws.NewCloseFrameBody(4711, ""), 4711},
		"no status":   {nil, 1005},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
				c := dial(t, s)
				c.text("before")
				c.wantText("before")
				c.send(ws.NewCloseFrame(test.payload))
				c.want(ws.OpClose, string(test.payload))
				answered := time.Now()
				c.wantError(io.EOF) // it is for the server to hang up, and at once
				if d := time.Since(answered); d != 0 {
					t.Errorf("hung up %v after the answer", d)
				}
				if st := s.Stats(); st.Closed[test.code] != 1 || len(st.Closed) != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestConnectRate(t *testing.T) {
	bubble(t, &gatewaytest.Config{ConnectRate: 4}, func(t *testing.T, s *gatewaytest.Server) {
		try := func(want ...int) {
			t.Helper()
			for _, status := range want {
				if got := handshake(t, s, s.URL, nil).StatusCode; got != status {
					t.Errorf("%d, want %d", got, status)
				}
			}
		}
		try(101, 101, 101, 101, 429, 429)
		sleep(250*time.Millisecond - 1)
		try(429)
		sleep(2)
		try(101, 429)
		sleep(time.Hour)
		try(101, 101, 101, 101, 429)
		if st := s.Stats(); st.Accepted != 9 || st.Refused[429] != 5 {
			t.Errorf("%+v", st)
		}
	})
}

// The limit is on the URL as the client dials it, under whatever name it knows the Server.
func TestURLLength(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *gatewaytest.Server) {
		for _, url := range []string{s.URL, "ws://abc123.execute-api.eu-west-1.amazonaws.com/prod", "ws://x:8080/prod"} {
			url += "?q="
			url += strings.Repeat("x", 4096-len(url))
			if got := handshake(t, s, url, nil).StatusCode; got != 101 {
				t.Errorf("%.30s at the limit: %d", url, got)
			}
			if got := handshake(t, s, url+"x", nil).StatusCode; got != http.StatusRequestURITooLong {
				t.Errorf("%.30s above: %d", url, got)
			}
		}
	})
	t.Run("TLS", func(t *testing.T) {
		s := gatewaytest.NewTLSServer(&gatewaytest.Config{MaxURL: 100})
		defer s.Close()
		url := s.URL + "?q="
		url += strings.Repeat("x", 100-len(url))
		if got := handshake(t, s, url, nil).StatusCode; got != 101 {
			t.Errorf("at the limit: %d", got)
		}
		if got := handshake(t, s, url+"x", nil).StatusCode; got != http.StatusRequestURITooLong {
			t.Errorf("above: %d", got)
		}
	})
}
