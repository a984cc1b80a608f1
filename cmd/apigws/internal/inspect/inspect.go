// Package inspect is the inspector of apigws gateway: a page that shows the connections of a
// gatewaytest.Server, their messages and a log of events, and that disturbs them. What the page can
// do, scripts can do over the same HTTP API; see docs/inspector.md.
package inspect

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// The page and what it loads. There is no build step.
var (
	//go:embed page/page.html
	pageHTML []byte
	//go:embed page/page.css
	pageCSS []byte
	//go:embed page/page.js
	pageJS []byte
	//go:embed page/view.js
	viewJS []byte
)

// An Inspector serves the page and the API on an address of its own. It must be closed.
type Inspector struct {
	// URL is where the page is.
	URL string

	gateway  *gatewaytest.Server
	recorder *Recorder
	guard    guard
	started  time.Time
	http     *http.Server
	serving  chan struct{} // closed when nothing is accepted any more
	cancel   context.CancelFunc
	streams  atomic.Int32 // how many are read
}

// Options say where an Inspector serves.
type Options struct {
	// Addr is a host and a port; port 0 picks a free one.
	Addr string

	// AllowHosts are the host names by which browsers and scripts may ask for the inspector,
	// besides those of the loopback interface. Without any, Addr has to be on the loopback
	// interface: whoever reaches the inspector reads all messages.
	AllowHosts []string

	// Logger gets what net/http reports. Nil: nobody.
	Logger *slog.Logger
}

// Start serves an inspector of a gateway whose events go to the recorder.
func Start(gateway *gatewaytest.Server, recorder *Recorder, opts Options) (*Inspector, error) {
	host, _, err := net.SplitHostPort(opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	if !loopback(host) && len(opts.AllowHosts) == 0 {
		return nil, fmt.Errorf("inspector: %q is not the loopback interface, and whoever reaches the inspector reads all "+
			"messages; allow it by the name that you will use: --inspect-host NAME", opts.Addr)
	}
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	at := l.Addr().(*net.TCPAddr)
	shown := at.String()
	if at.IP.IsUnspecified() { // that is no address to ask for
		shown = net.JoinHostPort(opts.AllowHosts[0], strconv.Itoa(at.Port))
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &Inspector{
		URL:     "http://" + shown + "/",
		gateway: gateway, recorder: recorder, started: time.Now(),
		guard: guard{hosts: opts.AllowHosts}, serving: make(chan struct{}), cancel: cancel,
	}
	i.http = &http.Server{
		Handler:           i.guard.wrap(i.routes()),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(i.serving)
		i.http.Serve(l)
	}()
	return i, nil
}

// Close ends every request, and returns when those of pages and streams have ended.
func (i *Inspector) Close() {
	i.cancel() // ends the streams, for which Shutdown would wait
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if i.http.Shutdown(ctx) != nil {
		i.http.Close()
	}
	<-i.serving
}

func (i *Inspector) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", static("text/html; charset=utf-8", pageHTML))
	mux.HandleFunc("GET /page.css", static("text/css; charset=utf-8", pageCSS))
	mux.HandleFunc("GET /page.js", static("text/javascript; charset=utf-8", pageJS))
	mux.HandleFunc("GET /view.js", static("text/javascript; charset=utf-8", viewJS))

	mux.HandleFunc("GET /api/state", i.state)
	mux.HandleFunc("GET /api/connections", i.connections)
	mux.HandleFunc("GET /api/connections/{id}", i.connection)
	mux.HandleFunc("GET /api/events", i.events)
	mux.HandleFunc("GET /api/stream", i.stream)

	mux.HandleFunc("POST /api/connections/{id}/push", i.push)
	mux.HandleFunc("POST /api/connections/{id}/kick", i.kick)
	mux.HandleFunc("POST /api/connections/{id}/drop", i.drop)
	mux.HandleFunc("POST /api/connections/{id}/freeze", i.freeze)
	mux.HandleFunc("POST /api/connections/{id}/slow", i.slow)
	mux.HandleFunc("POST /api/refuse", i.refuse)
	return mux
}

func static(contentType string, data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(data)
	}
}
