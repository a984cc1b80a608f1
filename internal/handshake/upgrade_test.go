package handshake

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// readOnly is a body to which nothing can be written.
type readOnly struct{ io.ReadCloser }

// A body that cannot be written to is told as what it is.
func TestReadOnlyBody(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"handshake.readOnly": readOnly{http.NoBody}, "<nil>": nil} {
		_, failure := get(t, "http://127.0.0.1", roundTrip(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 101, Header: http.Header{"Upgrade": {"websocket"}, "Connection": {"keep-alive", "Upgrade"}}, Body: body}, nil
		}))
		if failure == nil || failure.StatusCode != 101 || failure.Header.Get("Upgrade") != "websocket" || failure.Err == nil ||
			!strings.Contains(failure.Err.Error(), "Transport has returned a 101 whose Body, a "+name+", is not an io.ReadWriteCloser") {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// Transports that break the rules make failures, and nothing worse.
func TestOddTransports(t *testing.T) {
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		resp   *http.Response
		err    error
		status int
	}{
		"nothing":           {nil, nil, 0},
		"0":                 {&http.Response{Body: http.NoBody}, nil, 0},
		"101 without body":  {&http.Response{StatusCode: 101}, nil, 101},
		"101 with NoBody":   {&http.Response{StatusCode: 101, Header: http.Header{}, Body: http.NoBody}, nil, 101},
		"200 without body":  {&http.Response{StatusCode: 200}, nil, 200},
		"answer and error":  {&http.Response{StatusCode: 101, Body: http.NoBody}, failed, 0},
		"error alone":       {nil, failed, 0},
		"nil header of 302": {&http.Response{StatusCode: 302, Body: http.NoBody}, nil, 302},
	} {
		_, failure := get(t, "http://127.0.0.1", roundTrip(func(*http.Request) (*http.Response, error) { return test.resp, test.err }))
		if failure == nil || failure.StatusCode != test.status {
			t.Errorf("%s: %+v", name, failure)
		} else if test.err != nil && !errors.Is(failure.Err, test.err) {
			t.Errorf("%s: %v", name, failure.Err)
		}
	}
}

// A connection that is of no use is closed.
func TestUselessConnectionsAreClosed(t *testing.T) {
	for name, answer := range map[string]string{
		"read-only": "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket",
		"invalid":   "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other",
		"refused":   "403 Forbidden\r\nContent-Length: 0",
	} {
		synctest.Test(t, func(t *testing.T) { // for coder/websocket waits for 3 s for the rest of an answer
			transport, ended := answering(answer)
			_, failure := get(t, "http://127.0.0.1", roundTrip(func(req *http.Request) (*http.Response, error) {
				resp, err := transport.RoundTrip(req)
				if err == nil && name == "read-only" {
					resp.Body = readOnly{resp.Body}
				}
				return resp, err
			}))
			if failure == nil || failure.StatusCode == 0 {
				t.Errorf("%s: %+v", name, failure)
			}
			synctest.Wait()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			default:
				t.Errorf("%s: the connection is open", name)
			}
		})
	}
}
