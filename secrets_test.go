package apigws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// What must not be seen, in every form in which it may travel.
const (
	urlSecret      = "query+secret/of=the url"
	userSecret     = "password-in-the-url"
	headerSecret   = "header-secret"
	cookieSecret   = "cookie-secret"
	prepareSecret  = "prepared+secret"
	prepareSecret2 = "prepared-header-secret"
	proxySecret    = "proxy/pass?word#with space"
	protocolSecret = "protocol-secret"
	jarSecret      = "jar-secret"
	quotedSecret   = "quoted, secret"
)

// unparsable is a variable, so that no tool notices that it is no URL.
var unparsable = "http://me:" + proxySecret + "@proxy:3128"

func visible(text string) []string {
	var found []string
	for _, s := range []string{urlSecret, userSecret, headerSecret, cookieSecret, prepareSecret, prepareSecret2,
		proxySecret, protocolSecret, jarSecret, quotedSecret} {
		escaped := url.QueryEscape(s)
		for _, form := range []string{s, escaped, url.PathEscape(s), url.QueryEscape(escaped),
			strings.NewReplacer("%2F", "%2f", "%3D", "%3d").Replace(escaped)} {
			if strings.Contains(text, form) {
				found = append(found, form)
			}
		}
	}
	return found
}

// noSecret checks an error, what it wraps, and what errors.As gets out of it; and that it says
// once, at the beginning, whose it is.
func noSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if err != context.Canceled && err != context.DeadlineExceeded && // a context's own
		(!strings.HasPrefix(err.Error(), "apigws: ") || strings.Count(err.Error(), "apigws:") != 1) {
		t.Errorf("the text of the error is %q", err)
	}
	nothingVisible(t, err)
}

func nothingVisible(t *testing.T, err error) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		if found := visible(fmt.Sprintf(verb, err)); found != nil {
			t.Errorf("%q is visible in %s: %q", found, verb, err)
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if e := e.Unwrap(); e != nil {
			nothingVisible(t, e)
		}
	case interface{ Unwrap() []error }:
		for _, e := range e.Unwrap() {
			nothingVisible(t, e)
		}
	}
	var (
		ofURL    *url.Error
		ofNet    net.Error
		timeout  interface{ Timeout() bool }
		wrapping interface{ Unwrap() error }
	)
	if errors.As(err, &ofURL) {
		t.Errorf("errors.As gives away the *url.Error: %v", ofURL)
	}
	if errors.As(err, &ofNet) && visible(ofNet.Error()) != nil {
		t.Errorf("errors.As gives away the net.Error: %v", ofNet)
	}
	if errors.As(err, &timeout) && visible(fmt.Sprint(timeout)) != nil {
		t.Errorf("errors.As gives away what has a timeout: %v", timeout)
	}
	if errors.As(err, &wrapping) && visible(fmt.Sprint(wrapping)+fmt.Sprint(wrapping.Unwrap())) != nil {
		t.Errorf("errors.As gives away what wraps: %v", wrapping)
	}
}

// A trace is what becomes visible of a client: log lines and errors.
type trace struct {
	t     *testing.T
	mu    sync.Mutex
	log   bytes.Buffer
	lines int
}

func (r *trace) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines++
	return r.log.Write(p)
}

func (r *trace) check() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == 0 {
		r.t.Error("nothing was logged")
	}
	if found := visible(r.log.String()); found != nil {
		r.t.Errorf("%q is visible in the log:\n%s", found, r.log.String())
	}
}

// secretive returns options full of secrets, all of whose traces go to r.
func (r *trace) secretive(gw *gatewaytest.Server) *apigws.Options {
	handler := slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug - 4})
	return &apigws.Options{
		HTTPClient:   &http.Client{Transport: gw.Client().Transport, Jar: jar{}},
		Subprotocols: []string{"chat", "bearer." + protocolSecret},
		Header: http.Header{
			"Authorization": {"Bearer " + headerSecret},
			"X-Quoted":      {`user="me", token="` + quotedSecret + `"`},
			"Cookie":        {"theme=dark; session=" + cookieSecret},
		},
		Prepare: func(req *http.Request) error {
			q := req.URL.Query()
			q.Set("X-Amz-Security-Token", prepareSecret)
			req.URL.RawQuery = q.Encode()
			req.Header.Set("X-Prepared", "AWS4-HMAC-SHA256 Credential=someone, Signature="+prepareSecret2)
			return nil
		},
		OnState: func(_ *apigws.Client, s apigws.StateChange) {
			noSecret(r.t, s.Err)
			handler.WithAttrs([]slog.Attr{slog.Any("change", s)}).Handle(context.Background(), slog.Record{})
		},
		Logger:    slog.New(handler),
		Reconnect: clienttest.Every(time.Second),
	}
}

// A jar has one cookie for every URL.
type jar struct{}

func (jar) Cookies(*url.URL) []*http.Cookie {
	return []*http.Cookie{{Name: "session", Value: jarSecret}}
}

func (jar) SetCookies(*url.URL, []*http.Cookie) {}

func secretURL(gw *gatewaytest.Server) string {
	u, err := url.Parse(gw.URL)
	if err != nil {
		panic(err)
	}
	u.User = url.UserPassword("somebody", userSecret)
	u.RawQuery = url.Values{"token": {urlSecret}}.Encode()
	return u.String()
}

// Through everything that a client meets, none of it is seen.
func TestNoSecretInALife(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		r := &trace{t: t}
		defer r.check()
		gw.Refuse(503, 2)
		c, err := apigws.Dial(t.Context(), secretURL(gw), r.secretive(gw))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		for i, breakIt := range []func(conn *gatewaytest.Conn){
			func(conn *gatewaytest.Conn) { conn.Drop() },
			func(conn *gatewaytest.Conn) { conn.Close(1011, "broken") },
			func(conn *gatewaytest.Conn) { conn.Close(1006, "") },
			func(conn *gatewaytest.Conn) { conn.SendRaw([]byte{0xff, 0xff}) },
			func(conn *gatewaytest.Conn) { conn.Freeze(true) },
			func(conn *gatewaytest.Conn) { gw.Refuse(429, 2); conn.Drop() },
			func(conn *gatewaytest.Conn) { gw.Refuse(403, 1); conn.Drop() },
			func(conn *gatewaytest.Conn) {
				gw.Hold(true)
				conn.Drop()
				clienttest.Sleep(time.Minute)
				gw.Hold(false)
			},
		} {
			breakIt(clienttest.Only(t, gw))
			noSecret(t, c.Write(ctx, make([]byte, 100<<10)))
			_, err := c.Ping(ctx)
			noSecret(t, err)
			noSecret(t, c.Flush(ctx))
			clienttest.Sleep(2 * time.Minute)
			if i%2 == 0 {
				noSecret(t, c.Rotate(ctx))
			}
			clienttest.Sleep(time.Minute) // and drain
			for _, conn := range gw.Conns()[:len(gw.Conns())-1] {
				conn.Drop() // the frozen one
			}
		}
		gw.Refuse(403, -1)
		noSecret(t, c.Rotate(ctx))
		clienttest.Only(t, gw).Drop()
		<-c.Done()
		noSecret(t, c.Err())
		_, err = c.Read(cancelled(t))
		noSecret(t, err)
		noSecret(t, c.Write(ctx, nil))
		noSecret(t, c.Close())
	})
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// Whatever fails, and however much it says of what it was given: hooks, transports, proxies,
// dialling.
func TestNoSecretInFailures(t *testing.T) {
	everything := func(req *http.Request) string {
		text := fmt.Sprintf("%s with %v and %q", req.URL, req.Header, req.URL.Query())
		text += url.QueryEscape(req.URL.RawQuery) + strings.ToLower(url.QueryEscape(urlSecret))
		text += strings.Join([]string{"", urlSecret, url.PathEscape(urlSecret), quotedSecret, jarSecret, protocolSecret,
			`"` + userSecret + `"`}, ", ")
		for _, cookie := range req.Cookies() {
			text += ", " + cookie.Value
		}
		_, signature, _ := strings.Cut(req.Header.Get("X-Prepared"), "Signature=")
		return text + ", " + signature
	}
	tests := map[string]func(gw *gatewaytest.Server, opts *apigws.Options){
		"Prepare": func(_ *gatewaytest.Server, opts *apigws.Options) {
			add := opts.Prepare
			opts.Prepare = func(req *http.Request) error {
				add(req)
				return fmt.Errorf("no token for %s: %w", everything(req),
					&url.Error{Op: "Get", URL: req.URL.String(), Err: context.DeadlineExceeded})
			}
		},
		"OnConnect": func(_ *gatewaytest.Server, opts *apigws.Options) {
			var last string
			add := opts.Prepare
			opts.Prepare = func(req *http.Request) error {
				add(req)
				last = everything(req)
				return nil
			}
			opts.OnConnect = func(context.Context, *apigws.Conn) error { return errors.New("refused: " + last) }
		},
		"transport": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = &http.Client{Transport: clienttest.RoundTrip(func(req *http.Request) (*http.Response, error) {
				return nil, errors.New("cannot send " + everything(req))
			}), Jar: jar{}}
		},
		"transport that wraps": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = &http.Client{Transport: clienttest.RoundTrip(func(req *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("cannot send %s: %w", everything(req), &telling{everything(req)})
			})}
		},
		"dialling": func(gw *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no way to " + secretURL(gw))}
				},
			}}
		},
		"proxy": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = &http.Client{Transport: &http.Transport{
				Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy:3128", User: url.UserPassword("me", proxySecret)}),
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, errors.New("connection refused")
				},
			}}
		},
		"choice of proxy": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = &http.Client{Transport: &http.Transport{
				Proxy: func(req *http.Request) (*url.URL, error) {
					return nil, fmt.Errorf("http://me:%s@proxy does not serve %s", proxySecret, everything(req))
				},
			}}
		},
		"proxy that cannot be parsed": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.HTTPClient = &http.Client{Transport: &http.Transport{
				Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(unparsable) },
			}}
		},
		"proxy of which Prepare tells": func(_ *gatewaytest.Server, opts *apigws.Options) {
			opts.Prepare = func(*http.Request) error {
				_, err := url.Parse(unparsable)
				return err
			}
		},
		"timeout":  func(gw *gatewaytest.Server, _ *apigws.Options) { gw.Hold(true) },
		"refusal":  func(gw *gatewaytest.Server, _ *apigws.Options) { gw.Refuse(404, -1) },
		"redirect": func(gw *gatewaytest.Server, _ *apigws.Options) { gw.Refuse(307, -1) },
		"too long": func(_ *gatewaytest.Server, opts *apigws.Options) { opts.Limits.URL = 10 },
		"bad header": func(_ *gatewaytest.Server, opts *apigws.Options) {
			add := opts.Prepare
			opts.Prepare = func(req *http.Request) error {
				add(req)
				req.Header.Set("X-Prepared", prepareSecret2+"\n")
				return nil
			}
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
				r := &trace{t: t}
				defer r.check()
				opts := r.secretive(gw)
				fail(gw, opts)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c, err := apigws.Dial(ctx, secretURL(gw), opts)
				if err == nil {
					c.Close()
					t.Fatal("nothing failed")
				}
				noSecret(t, err)
				gw.Hold(false)
				if name == "too long" {
					opts.Logger.Info("nothing is logged before there is a client")
				}
			})
		})
	}
}

// tellingBody is a connection that tells everything when it ends.
type tellingBody struct{ io.ReadWriteCloser }

func (b tellingBody) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	if err != nil {
		err = &telling{"lost " + urlSecret}
	}
	return n, err
}

// Nor does a connection that is lost tell what its transport says of it.
func TestNoSecretInALoss(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		transport := gw.Client().Transport
		c := clienttest.Dial(t, gw, &apigws.Options{
			Reconnect: apigws.Reconnect{Disabled: true},
			HTTPClient: &http.Client{Transport: clienttest.RoundTrip(func(req *http.Request) (*http.Response, error) {
				resp, err := transport.RoundTrip(req)
				if err == nil {
					resp.Body = tellingBody{resp.Body.(io.ReadWriteCloser)}
				}
				return resp, err
			})},
		})
		clienttest.Only(t, gw).Drop()
		<-c.Done()
		if err := c.Err(); !strings.Contains(err.Error(), "apigws_test.telling") {
			t.Errorf("%v, want the type of the error", err)
		}
		noSecret(t, c.Err())
	})
}

// Nor do the errors of options tell what is in a URL.
func TestNoSecretInOptionErrors(t *testing.T) {
	for _, format := range []string{
		"ftp://somebody:%s@example.com/?token=%s",
		"ws://somebody:%s@example.com/?token=%s",
		"wss://somebody:%s@exa mple.com/?token=%s",
		"wss://somebody:%s@/?token=%s",
		"wss://somebody:%s@example.com/?token=%s#fragment",
	} {
		_, err := apigws.Dial(cancelled(t), fmt.Sprintf(format, userSecret, url.QueryEscape(urlSecret)), nil)
		var wrong *apigws.OptionError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v", format, err)
		}
		noSecret(t, err)
	}
}

// The redaction leaves the identity of an error: what a Retry or an OnState wants to know.
func TestRedactionKeepsIdentity(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		gw.Hold(true)
		_, err := clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
		var ofNet net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ofNet) || !ofNet.Timeout() {
			t.Errorf("a handshake that timed out: %v", err)
		}
		own := &ownError{7}
		_, err = clienttest.TryDial(t, gw, time.Hour, &apigws.Options{
			Reconnect: apigws.Reconnect{Disabled: true},
			Prepare:   func(*http.Request) error { return fmt.Errorf("wrapped: %w", own) },
		})
		var got *ownError
		if !errors.As(err, &got) || got != own || !errors.Is(err, own) {
			t.Errorf("an error of Prepare: %v", err)
		}
		gw.Close()
		_, err = clienttest.TryDial(t, gw, time.Hour, &apigws.Options{Reconnect: apigws.Reconnect{Disabled: true}})
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" || !errors.As(err, &ofNet) || ofNet.Timeout() {
			t.Errorf("a network error: %v", err)
		}
	})
}

// telling is an error of a transport that tells everything.
type telling struct{ text string }

func (e *telling) Error() string { return e.text }

func (e *telling) Timeout() bool { return false }

type ownError struct{ code int }

func (e *ownError) Error() string { return fmt.Sprint("own error ", e.code) }
