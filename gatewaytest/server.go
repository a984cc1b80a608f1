package gatewaytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// A Server is a fake API Gateway with one WebSocket API on it. Its methods may be called
// concurrently, also after Close. It must be closed.
type Server struct {
	// URL is what clients dial: "ws://127.0.0.1:port/prod", or wss.
	URL string

	// ManagementURL is what backends call: "http://127.0.0.1:port/prod", or https, to which
	// "/@connections/{id}" is appended.
	ManagementURL string

	cfg         Config
	log         *slog.Logger
	client      *http.Client
	certificate *x509.Certificate // nil without TLS
	http        *listener
	api         atomic.Pointer[api]
	conns       registry
	connects    bucket
	observer    *observer

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine but those that accept and observe

	messages, pings atomic.Int64

	handling handling

	mu      sync.Mutex // guards all below
	refused map[int]int
	ended   map[int]int
}

// Stats are counts since the Server was made.
type Stats struct {
	Accepted int         // handshakes that succeeded
	Refused  map[int]int // those that did not, by HTTP status
	// Connections, by close code as the gateway sent or received it; 1005: without, 1006: no frame.
	Closed   map[int]int
	Messages int // complete messages received
	Pings    int // PINGs received
}

// NewServer starts a Server on a TCP port of the loopback interface, or on Config.Addr. It panics
// if it cannot listen or if the Config makes no sense, as httptest.NewServer does.
func NewServer(cfg *Config) *Server {
	c := cfg.withDefaults()
	l := listen(c.Addr)
	return start(c, l, nil, &http.Transport{})
}

// NewTLSServer is NewServer with TLS, under a certificate that only the Server's Client trusts.
func NewTLSServer(cfg *Config) *Server {
	c := cfg.withDefaults()
	l := listen(c.Addr)
	cert := newCertificate(l.Addr())
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	// Without "h2": a WebSocket handshake is HTTP/1.1.
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	s := start(c, l, config, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}})
	s.certificate = cert.Leaf
	return s
}

// NewInMemory starts a Server without a socket, for testing/synctest: it is reached through its
// Client only, which takes every address for it, with and without TLS: the URLs of this Server, the
// same with wss and https in place of ws and http, and any other. There is no TLS on the line, so a
// client that makes its own cannot connect. Make the Server, use it and close it in the same
// bubble.
func NewInMemory(cfg *Config) *Server {
	c := cfg.withDefaults()
	l := newMemListener()
	return start(c, l, nil, &http.Transport{DialContext: l.dial, DialTLSContext: l.dialTLS})
}

func listen(addr string) net.Listener {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		panic(fmt.Sprintf("gatewaytest: %v", err))
	}
	return l
}

// start serves on l, with TLS if there is a configuration for it.
func start(cfg Config, l net.Listener, config *tls.Config, t *http.Transport) *Server {
	api := newAPI(&cfg)
	host := l.Addr().String()
	// That is no address to dial, loopback is one of those meant.
	if a := l.Addr().(*net.TCPAddr); a.IP.IsUnspecified() {
		host = fmt.Sprintf("127.0.0.1:%d", a.Port)
	}
	if _, ok := l.(*memListener); ok {
		host = "127.0.0.1" // loopback, so that clients that insist on TLS elsewhere do without
	}
	secure := ""
	if config != nil {
		secure = "s"
	}
	s := &Server{
		URL:           "ws" + secure + "://" + host + "/" + cfg.Stage,
		ManagementURL: "http" + secure + "://" + host + "/" + cfg.Stage,
		cfg:           cfg,
		log:           cfg.Logger,
		client:        &http.Client{Transport: t},
		conns:         newRegistry(),
		connects:      bucket{rate: cfg.ConnectRate},
		observer:      newObserver(cfg.Observe),
		refused:       map[int]int{},
		ended:         map[int]int{},
	}
	s.api.Store(api)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = newListener(s, l, config)
	s.http.run.Go(s.http.serve)
	return s
}

// Client returns a client that reaches the Server: in memory, or trusting its certificate.
func (s *Server) Client() *http.Client { return s.client }

// Certificate returns the certificate of a Server with TLS, for clients other than Client to trust,
// or nil. It is good for a year.
func (s *Server) Certificate() *x509.Certificate { return s.certificate }

// Close resets every connection, ends every handshake, and returns when all goroutines of the
// Server have ended. Handlers find their context cancelled, and Close waits for them and for the
// functions of the Config: it must not be called from one. What has not reached a Handler by then
// never does, $disconnect included.
func (s *Server) Close() {
	conns := s.conns.close()
	s.cancel()
	s.http.close()
	for _, c := range conns {
		c.Drop()
	}
	s.wg.Wait()
	s.observer.close()
}

// Stats returns the counts as they are now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Accepted: s.conns.count(),
		Refused:  maps.Clone(s.refused),
		Closed:   maps.Clone(s.ended),
		Messages: int(s.messages.Load()),
		Pings:    int(s.pings.Load()),
	}
}

// left counts a connection that is no longer open.
func (s *Server) left(id string, code int, reason string) {
	s.mu.Lock()
	s.ended[code]++
	s.mu.Unlock()
	s.observer.add(Observation{Kind: Closed, ConnectionID: id, Code: code, Reason: reason})
}
