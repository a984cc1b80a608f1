package handshake

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// What is asked for reaches the server, what it answers is returned, and the stream carries bytes
// both ways, from the first one behind the answer.
func TestDo(t *testing.T) {
	var got *http.Request
	handler := func(w http.ResponseWriter, req *http.Request) {
		got = req
		accept(w, req)
	}
	secureURL, transport := secure(t, handler)
	clients := map[string]*http.Client{server(t, handler): {}, secureURL: {Transport: transport}}
	for rawURL, client := range clients {
		req := request(t, rawURL+"/prod?token=abc")
		req.Host = "api.example.com"
		req.Header.Set("X-Key", "key")
		ended, end := context.WithCancel(t.Context())
		end()
		req = req.WithContext(ended) // which does not matter
		before := *client
		ctx, cancel := context.WithCancel(t.Context())
		conn, failure := Do(ctx, client, req, []string{"one", "two"})
		cancel() // has no effect any more
		if failure != nil {
			t.Fatalf("%s: %+v", rawURL, failure)
		}
		if got.Host != "api.example.com" || got.URL.String() != "/prod?token=abc" || got.Header.Get("X-Key") != "key" ||
			got.Header.Get("Sec-WebSocket-Protocol") != "one,two" || got.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%s: the request was %+v", rawURL, got)
		}
		if conn.Subprotocol != "two" || len(conn.Cookies) != 1 || conn.Cookies[0].Value != "cookie" || conn.Socket == nil {
			t.Errorf("%s: %+v", rawURL, conn)
		}
		carries(t, conn)
		conn.Stream.Close()
		if client.Transport != before.Transport || client.CheckRedirect != nil || len(req.Header) != 1 {
			t.Errorf("%s: Do has changed what it was given", rawURL)
		}
	}
}

// carries checks that a connection brings the greeting, and what is written.
func carries(t *testing.T, conn *Conn) {
	t.Helper()
	const message = "message"
	if _, err := io.WriteString(conn.Stream, message); err != nil {
		t.Error(err)
	}
	bytes := make([]byte, len(greeting+message))
	if _, err := io.ReadFull(conn.Stream, bytes); err != nil || string(bytes) != greeting+message {
		t.Errorf("read %q, %v", bytes, err)
	}
}

// Nothing is left of a handshake but the connection.
func TestNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which ends when all goroutines have
		transport, ended := piped(answer)
		conn, failure := get(t, "http://127.0.0.1", transport)
		if failure != nil {
			t.Fatalf("%+v", failure)
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("the connection has ended: %v", err)
		default:
		}
		conn.Stream.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The context ends a handshake.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		transport, ended := piped(func(*http.Request) string {
			cancel()
			return ""
		})
		_, failure := Do(ctx, &http.Client{Transport: transport}, request(t, "http://127.0.0.1"), nil)
		if failure == nil || failure.Err == nil || !errors.Is(failure.Err, context.Canceled) || failure.StatusCode != 0 {
			t.Errorf("%+v", failure)
		}
		<-ended
	})
}

// A refusal is told with status, header, and the beginning of the body.
func TestRefusal(t *testing.T) {
	for _, size := range []int{0, 23, 1 << 10, 1<<10 + 1, 1 << 20} {
		rawURL := server(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Why", "because")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, strings.Repeat("b", size))
		})
		_, failure := get(t, rawURL, nil)
		if failure == nil || failure.StatusCode != 404 || failure.Header.Get("X-Why") != "because" || failure.Err != nil || failure.Step != "" {
			t.Errorf("%+v", failure)
			continue
		}
		if got, want := string(failure.Body), strings.Repeat("b", min(size, 1<<10)); got != want {
			t.Errorf("of a body of %d bytes there are %d, want %d", size, len(got), len(want))
		}
	}
}

// A redirect is a refusal, also where the client would follow it.
func TestRedirect(t *testing.T) {
	visits := 0
	rawURL := server(t, func(w http.ResponseWriter, req *http.Request) {
		if visits++; visits == 1 {
			http.Redirect(w, req, "/elsewhere", http.StatusFound)
		}
	})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	_, failure := Do(t.Context(), client, request(t, rawURL), nil)
	if failure == nil || failure.StatusCode != 302 || failure.Header.Get("Location") != "/elsewhere" || visits != 1 {
		t.Errorf("%+v after %d visits", failure, visits)
	}
}

// A refusal is a refusal, whatever its Location says; and an answer of 101 that lacks the headers
// of a handshake is the server's fault, not the transport's.
func TestOddAnswers(t *testing.T) {
	const invalid = "the answer is not a valid WebSocket handshake (RFC 6455, section 4.1)"
	for answer, want := range map[string]struct {
		status int
		err    string
	}{
		"302 Found\r\nLocation: ://%zz":              {302, ""},
		"302 Found\r\nLocation: https://127.0.0.1:1": {302, ""},
		"302 Found": {302, ""},
		"426 Upgrade Required\r\nUpgrade: websocket": {426, ""},
		"499 Strange":             {499, ""},
		"101 Switching Protocols": {101, invalid},
		"101 Switching Protocols\r\nUpgrade: websocket":                      {101, invalid},
		"101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: other": {101, invalid},
		"101 Switching Protocols\r\nConnection: Upgrade":                     {101, invalid},
		"101 Switching Protocols\r\nX-Secret: shown by coder's":              {101, invalid},
	} {
		transport, _ := answering(answer + "\r\nContent-Length: 0")
		_, failure := get(t, "http://127.0.0.1", transport)
		if failure == nil || failure.StatusCode != want.status || failure.Header == nil || failure.Step != "" {
			t.Errorf("%q: %+v", answer, failure)
			continue
		}
		text := ""
		if failure.Err != nil {
			text = failure.Err.Error()
		}
		if text != want.err {
			t.Errorf("%q: %q", answer, text)
		}
	}
}

// The buffers that coder/websocket takes for a connection, 8 KiB, are given back.
func TestBuffersAreGivenBack(t *testing.T) {
	transport := roundTrip(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: both{}, Header: http.Header{
			"Connection":           {"Upgrade"},
			"Upgrade":              {"websocket"},
			"Sec-Websocket-Accept": {acceptKey(req)},
		}}, nil
	})
	client, req := &http.Client{Transport: transport}, request(t, "http://127.0.0.1")
	const handshakes = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range handshakes {
		if _, failure := Do(t.Context(), client, req, nil); failure != nil {
			t.Fatalf("%+v", failure)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / handshakes; each > 11<<10 {
		t.Errorf("a handshake takes %d bytes", each)
	}
}

// both is a body that brings nothing, and to which anything can be written.
type both struct{}

func (both) Read([]byte) (int, error)    { return 0, io.EOF }
func (both) Write(p []byte) (int, error) { return len(p), nil }
func (both) Close() error                { return nil }
