package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Prepare may lead to another host; the Host header follows, unless Prepare sets that itself.
func TestPrepareChangesTheHost(t *testing.T) {
	var hosts []string
	cfg := &gatewaytest.Config{Authorize: func(r *http.Request) int {
		hosts = append(hosts, r.Host)
		return 0
	}}
	clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		original := strings.Split(gw.URL, "/")[2]
		for _, test := range []struct{ host, header, want string }{
			{"", "", original},
			{"other.localhost:81", "", "other.localhost:81"},
			{"", "api.example.com", "api.example.com"},
			{"other.localhost:81", "api.example.com", "api.example.com"},
			{"other.localhost:81", original, original},
		} {
			hosts = nil
			clienttest.Dial(t, gw, &apigws.Options{Prepare: func(req *http.Request) error {
				if test.host != "" {
					req.URL.Host = test.host
				}
				if test.header != "" {
					req.Host = test.header
				}
				return nil
			}}).Close()
			if len(hosts) != 1 || hosts[0] != test.want {
				t.Errorf("%+v: the Host header is %q", test, hosts)
			}
		}
	})
}

// What Prepare makes of a request is checked as the options are, and wrong ones end Dial at once,
// with nothing dialled.
func TestPrepareMakesWrongRequests(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		set := func(change func(u *url.URL)) func(*http.Request) {
			return func(req *http.Request) { change(req.URL) }
		}
		for name, test := range map[string]struct {
			field  string
			change func(*http.Request)
		}{
			"no URL":           {"Prepare", func(req *http.Request) { req.URL = nil }},
			"Host with a path": {"Prepare", func(req *http.Request) { req.Host = "example.com/prod" }},
			"Host in two":      {"Prepare", func(req *http.Request) { req.Host = "example.com\r\nX: y" }},
			"no host":          {"url", set(func(u *url.URL) { u.Host = "" })},
			"only a port":      {"url", set(func(u *url.URL) { u.Host = ":80" })},
			"no scheme":        {"url", set(func(u *url.URL) { u.Scheme = "" })},
			"other scheme":     {"url", set(func(u *url.URL) { u.Scheme = "ftp" })},
			"insecure":         {"url", set(func(u *url.URL) { u.Host = "example.com" })},
			"insecure ws":      {"url", set(func(u *url.URL) { u.Scheme, u.Host = "ws", "example.com" })},
			"insecure opaque":  {"url", set(func(u *url.URL) { u.Opaque = "//example.com/prod" })},
			"no host at all":   {"url", set(func(u *url.URL) { *u = url.URL{Scheme: "https", Opaque: "example.com"} })},
			"space in host":    {"url", set(func(u *url.URL) { u.Host = "exa mple.com" })},
			"fragment":         {"url", set(func(u *url.URL) { u.Fragment = "part" })},
			"newline":          {"Header", func(req *http.Request) { req.Header.Set("Authorization", "token\n") }},
			"bad name":         {"Header", func(req *http.Request) { req.Header["a b"] = []string{"token"} }},
			"upgrade header":   {"Header", func(req *http.Request) { req.Header.Set("Sec-WebSocket-Protocol", "chat") }},
		} {
			_, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Prepare: func(req *http.Request) error {
				test.change(req)
				return nil
			}})
			var wrong *apigws.OptionError
			if !errors.As(err, &wrong) || wrong.Field != test.field || errors.Is(err, context.DeadlineExceeded) || apigws.Retryable(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		clienttest.Accepted(t, gw, 0)
		for name, change := range map[string]func(*http.Request){
			"ws":        set(func(u *url.URL) { u.Scheme = "ws" }),
			"no header": func(req *http.Request) { req.Header = nil },
			"new URL":   func(req *http.Request) { req.URL, _ = url.Parse(gw.URL) },
			"new request": func(req *http.Request) {
				fresh, _ := http.NewRequest(http.MethodPost, strings.Replace(gw.URL, "ws", "http", 1), strings.NewReader("body"))
				*req = *fresh
			},
		} {
			c, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Prepare: func(req *http.Request) error {
				change(req)
				return nil
			}})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			c.Close()
		}
	})
}

// A Prepare that ends its goroutine fails the attempt, and the next one follows.
func TestGoexitInPrepare(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		calls := 0
		c := clienttest.Dial(t, gw, &apigws.Options{OnState: j.Note, Reconnect: clienttest.Every(time.Second), Prepare: func(*http.Request) error {
			if calls++; calls < 3 {
				runtime.Goexit()
			}
			return nil
		}})
		c.Close()
		if got := j.Waits(); len(got) != 2 {
			t.Errorf("%d calls, waits of %v", calls, got)
		}
		if err := j.All()[0].Err; err == nil || !strings.Contains(err.Error(), "Prepare: the hook has called runtime.Goexit") {
			t.Errorf("the first failure is %v", err)
		}
	})
}

// Prepare may close its client, and its context ends with the client and with HandshakeTimeout.
func TestPrepareAndClose(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		var c *apigws.Client
		made := make(chan struct{})
		c, err := apigws.New(gw.URL, &apigws.Options{HTTPClient: gw.Client(), Prepare: func(req *http.Request) error {
			<-made
			c.Close()
			<-req.Context().Done()
			return req.Context().Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		close(made)
		<-c.Done()
		if !errors.Is(c.Err(), apigws.ErrClosed) {
			t.Error(c.Err())
		}

		waited := func(req *http.Request) error {
			<-req.Context().Done()
			return fmt.Errorf("the token: %w", req.Context().Err())
		}
		start := time.Now()
		_, err = clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Prepare: waited, HandshakeTimeout: time.Minute,
			Reconnect: apigws.Reconnect{Disabled: true}})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		_, err = clienttest.TryDial(t, gw, time.Second, &apigws.Options{Prepare: waited})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}

		// One that does not heed it holds up the handshake and Close, and nothing else.
		release := make(chan struct{})
		deaf := &apigws.Options{HTTPClient: gw.Client(), Prepare: func(*http.Request) error { <-release; return nil }}
		start = time.Now()
		_, err = clienttest.TryDial(t, gw, time.Second, deaf)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		c, err = apigws.New(gw.URL, deaf)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { close(release) })
		start = time.Now()
		if err := c.Close(); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
	})
}

// When a Region is down, Prepare may send the client to another one. The Host header follows the
// URL, and so does the name that the certificate must have.
func ExampleOptions_failover() {
	ireland, frankfurt := gatewaytest.NewServer(nil), gatewaytest.NewServer(nil)
	defer ireland.Close()
	defer frankfurt.Close()
	second, err := url.Parse(frankfurt.URL)
	if err != nil {
		fmt.Println(err)
		return
	}

	ireland.Refuse(http.StatusServiceUnavailable, -1) // the Region is down

	attempts := 0 // since the last connection
	c, err := apigws.Dial(context.Background(), ireland.URL, &apigws.Options{
		Prepare: func(req *http.Request) error {
			if attempts++; attempts%2 == 0 { // by turns, until one of them answers
				req.URL.Host = second.Host
			}
			return nil // or sign the request for its host
		},
		OnConnect: func(context.Context, *apigws.Conn) error {
			attempts = 0
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(len(ireland.Conns()), len(frankfurt.Conns()))
	// Output: 0 1
}
