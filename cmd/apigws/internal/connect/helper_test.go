package connect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
)

// A piped is a run of connect whose input is a pipe.
type piped struct {
	in        *io.PipeWriter
	out, errs buffer
	result    chan error
	interrupt context.CancelFunc
	printer   *printer // with a prompt only
}

// start runs connect against gw, as the command does with the default flags unless change says
// otherwise.
func start(t *testing.T, gw *gatewaytest.Server, change func(*config)) *piped {
	t.Helper()
	c := &config{url: gw.URL, httpClient: gw.Client(), wait: wait(time.Second), timeout: time.Minute}
	if change != nil {
		change(c)
	}
	in, w := io.Pipe()
	p := &piped{in: w, result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	p.interrupt = cancel
	go func() {
		defer in.Close() // a write after the end fails rather than hangs
		p.result <- c.run(ctx, in, &p.out, &p.errs)
	}()
	return p
}

func (p *piped) write(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		t.Fatal(err)
	}
}

// end ends the input and returns the exit code.
func (p *piped) end() int {
	p.in.Close()
	return p.code(<-p.result)
}

func (p *piped) code(err error) int {
	var e *cli.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		cli.Report(&p.errs, err, false)
		return e.Code
	}
	return cli.Failed
}

// A buffer may be written and read concurrently.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (p *piped) wantErr(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.errs.String(), text) {
			t.Errorf("no %q in standard error:\n%s", text, p.errs.String())
		}
	}
}

// bubble runs f with a gateway in a bubble.
func bubble(t *testing.T, cfg *gatewaytest.Config, f func(t *testing.T, gw *gatewaytest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(cfg)
		defer gw.Close()
		f(t, gw)
	})
}

// recorder makes a gateway keep what it receives, and returns a function that tells it.
func recorder(cfg *gatewaytest.Config) func() []string {
	var mu sync.Mutex
	var all []string
	cfg.Routes = map[string]gatewaytest.Handler{
		"$default": func(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, ev.Body)
			return nil, nil
		},
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), all...)
	}
}
