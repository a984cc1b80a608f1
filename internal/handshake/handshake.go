// Package handshake performs one WebSocket handshake with an http.Client, and gets hold of the
// connection that results. It knows nothing of options, retries or secrets.
package handshake

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"

	"github.com/coder/websocket"
)

// A Conn is a connection whose handshake is done.
type Conn struct {
	Stream      io.ReadWriteCloser // above TLS and proxies
	Socket      *net.TCPConn       // under it; nil when the transport hides it
	TLS13       bool               // Stream reads from a tls.Conn with TLS 1.3, and that from Socket; nothing of the application is between
	Subprotocol string             // that the server has picked
	Cookies     []*http.Cookie     // that the server has set
}

// A Failure says why a handshake has brought no connection. It is not an error, since it is not fit
// to be shown: where there was no answer, the text of Err may hold anything that the request holds.
type Failure struct {
	StatusCode int         // of the answer; 0 if there was none
	Header     http.Header // of the answer
	Body       []byte      // of the answer: its beginning, at most 1 KiB
	Step       string      // what failed, if there was no answer; "" if Err names it
	Err        error       // nil if the answer is a refusal
}

// Do performs the handshake that req, a GET request with an http or https URL, describes. It adds
// the headers of RFC 6455 and offers the subprotocols. It ends with ctx, whatever the context of
// req. It follows no redirect: that is a refusal.
func Do(ctx context.Context, client *http.Client, req *http.Request, subprotocols []string) (*Conn, *Failure) {
	up := &upgrade{base: client.Transport}
	if up.base == nil {
		up.base = http.DefaultTransport
	}
	own := *client
	own.Transport = up
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	progress := &progress{host: req.URL.Host}
	ws, resp, err := websocket.Dial(httptrace.WithClientTrace(ctx, progress.trace()), req.URL.String(),
		&websocket.DialOptions{
			HTTPClient:   &own,
			HTTPHeader:   req.Header,
			Host:         req.Host,
			Subprotocols: subprotocols,
		})
	switch {
	case up.unusable != nil:
		return nil, up.unusable
	case err != nil && resp == nil:
		return nil, &Failure{Step: progress.failed(err), Err: err}
	case err != nil:
		return nil, refusal(resp)
	}
	// From here on the connection is ours; what is closed is coder's view of it, which gives its
	// buffers back.
	up.body.kept = true
	ws.CloseNow()
	tcp, tls13 := progress.socket(up.base)
	return &Conn{
		Stream:      up.body.ReadWriteCloser,
		Socket:      tcp,
		TLS13:       tls13,
		Subprotocol: ws.Subprotocol(),
		Cookies:     resp.Cookies(),
	}, nil
}

// refusal returns the failure that an answer is.
func refusal(resp *http.Response) *Failure {
	f := &Failure{StatusCode: resp.StatusCode, Header: resp.Header}
	f.Body, _ = io.ReadAll(resp.Body) // at most 1 KiB, and in memory
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The error's text would hold headers.
		f.Err = errors.New("the answer is not a valid WebSocket handshake (RFC 6455, section 4.1)")
	}
	return f
}
