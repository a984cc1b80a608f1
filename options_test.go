package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
	"github.com/cenkalti/backoff/v4"
)

// Whatever cannot work is told at once, by an error that names the field.
func TestWrongOptions(t *testing.T) {
	const host = "wss://example.com/prod"
	header := func(name string) *apigws.Options {
		return &apigws.Options{Header: http.Header{name: {"x"}}}
	}
	tests := []struct {
		field string
		url   string
		opts  *apigws.Options
	}{
		{"url", "", nil},
		{"url", "example.com/prod", nil},
		{"url", "ftp://example.com/prod", nil},
		{"url", "wss:///prod", nil},
		{"url", "wss://:443/prod", nil},
		{"url", "wss://exa mple.com/prod", nil},
		{"url", "wss://example.com/%zz", nil},
		{"url", "wss://example.com/prod#part", nil},
		{"url", "ws://example.com/prod", nil},
		{"url", "http://example.com/prod", nil},
		{"url", "ws://10.0.0.1/prod", nil},
		{"url", "ws://localhost.example.com/prod", nil},
		{"url", "wss://example.com/" + strings.Repeat("x", 4096), nil},
		{"HandshakeTimeout", host, &apigws.Options{HandshakeTimeout: -1}},
		{"WriteTimeout", host, &apigws.Options{WriteTimeout: -1}},
		{"CloseTimeout", host, &apigws.Options{CloseTimeout: -1}},
		{"Resend", host, &apigws.Options{Resend: -1}},
		{"Limits.Idle", host, &apigws.Options{Limits: apigws.Limits{Idle: -1}}},
		{"Limits.Lifetime", host, &apigws.Options{Limits: apigws.Limits{Lifetime: -1}}},
		{"Limits.Frame", host, &apigws.Options{Limits: apigws.Limits{Frame: -1}}},
		{"Limits.Message", host, &apigws.Options{Limits: apigws.Limits{Message: -1}}},
		{"Limits.URL", host, &apigws.Options{Limits: apigws.Limits{URL: -1}}},
		{"Keepalive.Interval", host, &apigws.Options{Keepalive: apigws.Keepalive{Interval: -1}}},
		{"Keepalive.Interval", host, &apigws.Options{Keepalive: apigws.Keepalive{Interval: 2 * time.Minute}}},
		{"Keepalive.Interval", host, &apigws.Options{Limits: apigws.Limits{Idle: 55 * time.Second}}},
		{"Keepalive.Timeout", host, &apigws.Options{Keepalive: apigws.Keepalive{Timeout: -1}}},
		{"Keepalive.Message", host, &apigws.Options{Keepalive: apigws.Keepalive{Message: make([]byte, 128<<10+1)}}},
		{"Keepalive.Message", host, &apigws.Options{Keepalive: apigws.Keepalive{Message: []byte{0xff}}}},
		{"Reconnect.Stable", host, &apigws.Options{Reconnect: apigws.Reconnect{Stable: -1}}},
		{"Reconnect.Drain", host, &apigws.Options{Reconnect: apigws.Reconnect{Drain: -1}}},
		{"Reconnect.Fleet", host, &apigws.Options{Reconnect: apigws.Reconnect{Fleet: -1}}},
		{"Reconnect.RotateAfter", host, &apigws.Options{Reconnect: apigws.Reconnect{RotateAfter: 2 * time.Hour}}},
		{"Reconnect.Backoff", host, &apigws.Options{Reconnect: apigws.Reconnect{Backoff: func() backoff.BackOff { return nil }}}},
		{"Subprotocols", host, &apigws.Options{Subprotocols: []string{"chat", "a\n"}}},
		{"Subprotocols", host, &apigws.Options{Subprotocols: []string{""}}},
		{"Header", host, header("X Token")},
		{"Header", host, header("")},
		{"Header", host, header("Host")},
		{"Header", host, header("Connection")},
		{"Header", host, header("upgrade")},
		{"Header", host, header("Sec-WebSocket-Key")},
		{"Header", host, header("sec-websocket-version")},
		{"Header", host, header("Sec-WebSocket-Extensions")},
		{"Header", host, header("Sec-WebSocket-Protocol")},
		{"Header", host, &apigws.Options{Header: http.Header{"Authorization": {"a token from a file\n"}}}},
	}
	// Nothing may be dialled; should it be, that ends at once.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range tests {
		c, err := apigws.Dial(ctx, test.url, test.opts)
		var wrong *apigws.OptionError
		if c != nil || !errors.As(err, &wrong) || wrong.Field != test.field {
			t.Errorf("Dial(%.60q, %+v): %v, want an OptionError for %s", test.url, test.opts, err, test.field)
			continue
		}
		if !strings.Contains(err.Error(), test.field) || wrong.Problem == "" {
			t.Errorf("the text of the error is %q", err)
		}
	}
}

// What is at the edge is right.
func TestRightOptions(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		for _, opts := range []*apigws.Options{
			nil,
			{Keepalive: apigws.Keepalive{Interval: 2*time.Minute - 1}},
			{Keepalive: apigws.Keepalive{Interval: time.Hour, Disabled: true}},
			{Keepalive: apigws.Keepalive{Message: make([]byte, 128<<10)}},
			{Reconnect: apigws.Reconnect{RotateAfter: 2*time.Hour - 1}},
			{Reconnect: apigws.Reconnect{RotateAfter: -1}},
		} {
			clienttest.Dial(t, gw, opts).Close()
		}
		// The network in memory takes every address for its own.
		for url, insecure := range map[string]bool{
			"ws://127.0.0.1/prod": false, "ws://127.8.9.1:81/prod": false, "ws://[::1]/prod": false,
			"ws://localhost/prod": false, "ws://LOCALHOST.:80/prod": false, "ws://api.localhost/prod": false,
			"http://localhost/prod": false,
			"ws://example.com/prod": true, "ws://10.0.0.1/prod": true,
		} {
			opts := &apigws.Options{HTTPClient: gw.Client(), AllowInsecure: insecure}
			c, err := apigws.Dial(t.Context(), url, opts)
			if err != nil {
				t.Errorf("Dial(%q): %v", url, err)
				continue
			}
			c.Close()
		}
	})
}

// The longest URL connects, one character more does not. Prepare is held to
// the same.
func TestURLLength(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		const limit = 4096
		query := func(length int) string { return strings.Repeat("x", length-len(gw.URL)-1) }
		opts := &apigws.Options{HTTPClient: gw.Client()}
		c, err := apigws.Dial(t.Context(), gw.URL+"?"+query(limit), opts)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		tooLong := func(err error) {
			t.Helper()
			var wrong *apigws.OptionError
			var large *apigws.TooLargeError
			if !errors.As(err, &wrong) || wrong.Field != "url" || !errors.As(err, &large) || *large != (apigws.TooLargeError{Size: limit + 1, Limit: limit}) {
				t.Errorf("a URL of %d characters: %v", limit+1, err)
			}
		}
		_, err = apigws.Dial(t.Context(), gw.URL+"?"+query(limit+1), opts)
		tooLong(err)

		length := limit
		opts.Prepare = func(req *http.Request) error {
			req.URL.RawQuery = query(length)
			return nil
		}
		clienttest.Dial(t, gw, opts).Close()
		length++
		_, err = clienttest.TryDial(t, gw, time.Hour, opts) // and this is not retried
		tooLong(err)
		clienttest.Accepted(t, gw, 2)

		opts = &apigws.Options{Limits: apigws.Limits{URL: len(gw.URL) - 1}}
		var wrong *apigws.OptionError
		if _, err := clienttest.TryDial(t, gw, time.Hour, opts); !errors.As(err, &wrong) {
			t.Errorf("Limits.URL: %v", err)
		}
	})
}

// Prepare must not lead where Dial would not have gone.
func TestPrepareURL(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		for name, change := range map[string]func(*http.Request){
			"no TLS":  func(req *http.Request) { req.URL.Host = "example.com" },
			"no host": func(req *http.Request) { req.URL.Host = "" },
		} {
			_, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Prepare: func(req *http.Request) error { change(req); return nil }})
			var wrong *apigws.OptionError
			if !errors.As(err, &wrong) || wrong.Field != "url" {
				t.Errorf("%s: %v", name, err)
			}
		}
		clienttest.Accepted(t, gw, 0)
	})
}

// recorded are the handshakes that a gateway saw.
func recorded(to *[]*http.Request) *gatewaytest.Config {
	return &gatewaytest.Config{Authorize: func(r *http.Request) int {
		*to = append(*to, r)
		return 0
	}}
}

// Header is sent with every handshake, and Prepare begins afresh each time
// with what the options say.
func TestHeaderAndPrepare(t *testing.T) {
	var seen []*http.Request
	clienttest.Bubble(t, recorded(&seen), func(t *testing.T, gw *gatewaytest.Server) {
		var prepared []string
		header := http.Header{"X-Api-Key": {"key"}, "Origin": {"https://example.com"}}
		opts := &apigws.Options{
			Header:    header,
			Reconnect: clienttest.Every(time.Second),
			Prepare: func(req *http.Request) error {
				if req.Method != http.MethodGet || req.URL.Scheme != "http" || req.URL.Path != "/prod" ||
					req.URL.Host != "127.0.0.1" || req.Header.Get("X-Api-Key") != "key" ||
					req.Header.Get("Authorization") != "" || req.Header.Get("Upgrade") != "" {
					t.Errorf("Prepare got %s %s with %v", req.Method, req.URL, req.Header)
				}
				if deadline, ok := req.Context().Deadline(); !ok || time.Until(deadline) != 30*time.Second {
					t.Errorf("Prepare has until %v, want HandshakeTimeout", time.Until(deadline))
				}
				prepared = append(prepared, req.URL.RawQuery)
				q := req.URL.Query()
				q.Set("token", fmt.Sprint(len(prepared)))
				req.URL.RawQuery = q.Encode()
				req.Header.Set("Authorization", fmt.Sprint("Bearer ", len(prepared)))
				req.Header.Add("X-Api-Key", "second")
				return nil
			},
		}
		opts.HTTPClient = gw.Client()
		c, err := apigws.Dial(t.Context(), gw.URL+"?room=7", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		header.Set("X-Api-Key", "changed by the caller after Dial")
		for range 2 {
			clienttest.Only(t, gw).Drop()
			clienttest.Sleep(time.Second)
		}
		if err := c.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(seen) != 4 {
			t.Fatalf("%d handshakes, want 4", len(seen))
		}
		for i, r := range seen {
			if got, want := r.URL.RawQuery, fmt.Sprintf("room=7&token=%d", i+1); got != want {
				t.Errorf("handshake %d has the query %q, want %q", i, got, want)
			}
			if got, want := r.Header.Get("Authorization"), fmt.Sprint("Bearer ", i+1); got != want {
				t.Errorf("handshake %d has Authorization %q, want %q", i, got, want)
			}
			if got := r.Header["X-Api-Key"]; !slices.Equal(got, []string{"key", "second"}) {
				t.Errorf("handshake %d has X-Api-Key %q", i, got)
			}
			if got := r.Header.Get("Origin"); got != "https://example.com" {
				t.Errorf("handshake %d has Origin %q", i, got)
			}
			if prepared[i] != "room=7" {
				t.Errorf("Prepare of handshake %d began with the query %q", i, prepared[i])
			}
		}
	})
}

// Options are copied: what the caller does to his afterwards has no effect.
func TestOptionsAreCopied(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		message := []byte("keep")
		opts := &apigws.Options{HTTPClient: gw.Client(), Keepalive: apigws.Keepalive{Message: message}, Reconnect: clienttest.Every(time.Second)}
		c, err := apigws.Dial(t.Context(), gw.URL, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		copy(message, "evil")
		opts.Reconnect.Disabled = true
		opts.Prepare = func(*http.Request) error { return errors.New("set too late") }
		synctest.Wait()
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateOpen)
		if got := clienttest.Texts(clienttest.Only(t, gw)); len(got) < 1 || got[0] != "keep" {
			t.Errorf("the gateway got %q", got)
		}
	})
}

// An error of Prepare fails the attempt, and another follows.
func TestPrepareFails(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		errNoToken := errors.New("no token today")
		var j clienttest.Journal
		calls := 0
		opts := &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second)}
		opts.Prepare = func(*http.Request) error {
			if calls++; calls < 3 {
				return errNoToken
			}
			return nil
		}
		c := clienttest.Dial(t, gw, opts)
		synctest.Wait()
		first := j.All()[0]
		var failed *apigws.HandshakeError
		if !errors.Is(first.Err, errNoToken) || !errors.As(first.Err, &failed) || failed.StatusCode != 0 ||
			!strings.Contains(first.Err.Error(), "Prepare") {
			t.Errorf("the first change is %+v", first)
		}
		if got := c.Stats(); calls != 3 || got.ConnectErrors != 2 {
			t.Errorf("%d calls, Stats = %+v", calls, got)
		}
		clienttest.Accepted(t, gw, 1)

		// Unless Retry says otherwise.
		opts.Prepare = func(*http.Request) error { return errNoToken }
		opts.Reconnect.Retry = func(err error) bool { return !errors.Is(err, errNoToken) }
		if _, err := clienttest.TryDial(t, gw, time.Hour, opts); !errors.Is(err, errNoToken) {
			t.Errorf("Dial: %v", err)
		}
	})
}

// serving is a plain HTTP server on the gateway's network.
func serving(t *testing.T, handler http.HandlerFunc) (url string, client *http.Client) {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL, s.Client()
}

// The Timeout of an http.Client bounds the handshake. The connection that
// results lives on.
func TestHTTPClientTimeout(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		impatient := &http.Client{Transport: gw.Client().Transport, Timeout: 5 * time.Second}
		opts := &apigws.Options{HTTPClient: impatient, Reconnect: apigws.Reconnect{Disabled: true}}
		c := clienttest.Dial(t, gw, opts)
		clienttest.Sleep(time.Hour)
		clienttest.InState(t, c, apigws.StateOpen)
		gw.Hold(true)
		start := time.Now()
		if _, err := clienttest.TryDial(t, gw, time.Hour, opts); err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("Dial: %v after %v, want a failure after 5 s", err, time.Since(start))
		}
		gw.Hold(false)
	})
}

// Redirects are not followed: a token must not go where it was not sent.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		visits := 0
		url, client := serving(t, func(w http.ResponseWriter, r *http.Request) {
			visits++
			http.Redirect(w, r, "/elsewhere", status)
		})
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return nil } // would follow
		_, err := apigws.Dial(t.Context(), url, &apigws.Options{HTTPClient: client})
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != status || refused.Header.Get("Location") != "/elsewhere" {
			t.Errorf("Dial: %v, want the redirect %d", err, status)
		}
		if visits != 1 {
			t.Errorf("%d requests, want 1", visits)
		}
	}
}

// A refusal can be looked at: status, header, and the beginning of the body.
func TestHandshakeError(t *testing.T) {
	for _, size := range []int{0, 23, 1 << 10, 1<<10 + 1, 1 << 20} {
		url, client := serving(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", "ForbiddenException")
			w.WriteHeader(http.StatusNotFound)
			w.Write([]byte(strings.Repeat("b", size)))
		})
		_, err := apigws.Dial(t.Context(), url, &apigws.Options{HTTPClient: client})
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) {
			t.Fatalf("Dial: %v", err)
		}
		if refused.StatusCode != 404 || refused.Header.Get("X-Amzn-ErrorType") != "ForbiddenException" || refused.Err != nil {
			t.Errorf("Dial: %+v", refused)
		}
		if got, want := string(refused.Body), strings.Repeat("b", min(size, 1<<10)); got != want {
			t.Errorf("of a body of %d bytes there are %d, want %d", size, len(got), len(want))
		}
		if text := err.Error(); !strings.Contains(text, "404 Not Found") || strings.Contains(text, "bbb") || strings.Contains(text, "Exception") {
			t.Errorf("the text of the error is %q", text)
		}
	}
}

// An answer that only looks like a handshake is none.
func TestBadHandshake(t *testing.T) {
	url, client := serving(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: wrong\r\n\r\n")
		conn.Close()
	})
	opts := &apigws.Options{HTTPClient: client, Reconnect: apigws.Reconnect{Disabled: true}}
	_, err := apigws.Dial(t.Context(), url, opts)
	var failed *apigws.HandshakeError
	if !errors.As(err, &failed) || failed.StatusCode != 101 || failed.Err == nil || !strings.Contains(err.Error(), "101") {
		t.Errorf("Dial: %v", err)
	}
}

// Subprotocols are offered; the gateway returns one only if $connect does.
func TestSubprotocols(t *testing.T) {
	connect := func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
		if got := ev.Headers["Sec-WebSocket-Protocol"]; got != "one, two" && got != "one,two" {
			t.Errorf("offered: %q", got)
		}
		return &gatewaytest.Response{StatusCode: 200, Headers: map[string]string{"Sec-WebSocket-Protocol": "two"}}, nil
	}
	clienttest.Bubble(t, &gatewaytest.Config{Routes: map[string]gatewaytest.Handler{"$connect": connect}}, func(t *testing.T, gw *gatewaytest.Server) {
		var picked string
		clienttest.Dial(t, gw, &apigws.Options{Subprotocols: []string{"one", "two"}, OnConnect: func(_ context.Context, conn *apigws.Conn) error {
			picked = conn.Subprotocol()
			return nil
		}})
		if picked != "two" {
			t.Errorf("Subprotocol = %q, want two", picked)
		}
	})
}

// An answer of 101 that is no handshake counts as an error: nobody has refused
// anything. It is not worth another try.
func TestBadHandshakeIsCounted(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		attempts := 0
		transport := gw.Client().Transport
		c := clienttest.Dial(t, gw, &apigws.Options{Reconnect: clienttest.Every(time.Second), HTTPClient: &http.Client{
			Transport: clienttest.RoundTrip(func(req *http.Request) (*http.Response, error) {
				if attempts++; attempts > 1 {
					return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
				}
				return transport.RoundTrip(req)
			}),
		}})
		clienttest.Only(t, gw).Drop()
		clienttest.Sleep(time.Minute)
		clienttest.InState(t, c, apigws.StateClosed)
		if s := c.Stats(); s.Connects != 1 || s.ConnectErrors != 1 || s.Refused != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}
