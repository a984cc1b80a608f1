package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/apigws/apigws"
)

// maxHeaders is how much a header command may print. The gateway takes far less.
const maxHeaders = 64 << 10

// A headerCommand makes headers that do not last, such as a token, before each handshake.
type headerCommand struct {
	text   string
	stderr io.Writer
	worked atomic.Bool // it has run without a failure
}

// prepare runs the command and adds its headers to the request. Until it has worked once, a failure
// is final: it is more likely to be a mistake in the command than to go away. From then on it is
// retried as a failed handshake is.
func (c *headerCommand) prepare(req *http.Request) error {
	err := c.run(req)
	if err == nil {
		c.worked.Store(true)
		return nil
	}
	if c.worked.Load() {
		return fmt.Errorf("--header-command: %w", err)
	}
	return &apigws.OptionError{Field: "--header-command", Problem: "failed: " + err.Error()}
}

func (c *headerCommand) run(req *http.Request) error {
	name, flag := "sh", "-c"
	if runtime.GOOS == "windows" {
		name, flag = "cmd", "/C"
	}
	cmd := exec.CommandContext(req.Context(), name, flag, c.text)
	cmd.WaitDelay = time.Second // for what the shell has started and what outlives it
	var out limited
	cmd.Stdout, cmd.Stderr = &out, c.stderr
	if err := cmd.Run(); err != nil {
		if ctxErr := req.Context().Err(); ctxErr != nil {
			return errors.New("it took longer than a handshake may")
		}
		return err // "exit status 1"
	}
	header := make(http.Header)
	if line, ok := addHeaders(header, out.text.String()); !ok {
		return fmt.Errorf(`line %d of what it printed is not "Name: value"`, line)
	}
	for name, values := range header {
		req.Header[name] = values // in place of those of -H
	}
	return nil
}

// limited keeps what is written to it, up to maxHeaders.
type limited struct{ text bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > maxHeaders {
		return 0, fmt.Errorf("it printed more than %d bytes", maxHeaders)
	}
	return l.text.Write(p)
}
