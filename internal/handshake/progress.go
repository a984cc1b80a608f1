package handshake

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"

	"github.com/apigws/apigws/internal/socket"
)

// progress follows one handshake through the transport.
type progress struct {
	host string

	mu    sync.Mutex // guards what follows; transports dial on goroutines of their own
	step  string     // what is going on
	conn  net.Conn   // that the request was last given
	conns int        // how many it was given
}

func (p *progress) trace() *httptrace.ClientTrace {
	begin := func(step string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.step = step
	}
	return &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { begin("DNS lookup") },
		ConnectStart: func(_, addr string) { begin("dial " + addr) },
		// If anything comes between a connection or TLS and the next step, it is the CONNECT of a
		// proxy.
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				begin("proxy CONNECT to " + p.host)
			}
		},
		TLSHandshakeStart: func() { begin("TLS handshake with " + p.host) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				begin("proxy CONNECT to " + p.host)
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			begin("request to " + p.host)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.conn = info.Conn
			p.conns++
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				begin("waiting for the answer of " + p.host)
			}
		},
	}
}

// failed returns the step that failed with err, unless err names it itself.
func (p *progress) failed(err error) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &op) && slices.Contains([]string{"dial", "proxyconnect", "socks connect"}, op.Op) || errors.As(err, &dns) {
		return ""
	}
	return p.step
}

// socket returns the TCP connection under the one that base has made, nil if it cannot be told.
// tls13 says that a tls.Conn with TLS 1.3 reads it, and the stream reads that, without a wrapper of
// the application between them.
func (p *progress) socket(base http.RoundTripper) (tcp *net.TCPConn, tls13 bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := base.(*http.Transport)
	// Other transports may have sent requests of their own with the context of ours.
	if !known && p.conns > 1 {
		return nil, false
	}
	tcp = socket.Under(p.conn)
	conn, ok := p.conn.(*tls.Conn)
	if !known || !ok || conn.NetConn() != net.Conn(tcp) { // another transport may wrap the stream
		return tcp, false
	}
	return tcp, conn.ConnectionState().Version >= tls.VersionTLS13
}
