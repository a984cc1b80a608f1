package connect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/cmd/apigws/internal/handshake"
)

// maxLine is the largest message of API Gateway. More of a line is not kept.
const maxLine = 128 << 10

// pipe sends each line of in, or the messages of -x, prints what comes in, and returns nil when the
// gateway has acknowledged everything.
func (c *config) pipe(ctx context.Context, in io.Reader, p *printer) error {
	s, err := c.newSession(ctx, p)
	if err != nil {
		return err
	}
	printing := make(chan error, 1)
	go func() { printing <- s.printMessages() }() // ends with the client or the output

	t := &transfer{config: c, session: s, printing: printing}
	err = t.run(ctx, in)
	closeErr := s.Close() // has what is still under way acknowledged
	if !t.outputGone {
		<-printing
	}
	switch {
	case err != nil:
		if errors.Is(closeErr, apigws.ErrUnconfirmed) { // interrupted before the end of the input
			p.note(bad, "not acknowledged: %s", handshake.Text(closeErr))
		}
		return err
	case t.unacknowledged != nil:
		return c.unacknowledged(handshake.Text(t.unacknowledged))
	case t.failed > 0:
		return &cli.Error{Code: cli.Unacknowledged, Err: fmt.Errorf("%d of %d messages were not sent", t.failed, t.lines)}
	case s.gatewayErrors.Load() > 0:
		return &cli.Error{Code: cli.GatewayError,
			Err: fmt.Errorf("the gateway answered with %d error frames", s.gatewayErrors.Load())}
	}
	return nil
}

// A transfer sends the lines of the input.
type transfer struct {
	*config
	session        *session
	printing       chan error // why messages are no longer printed; nil: the client has ended
	outputGone     bool       // printing has been received from
	lines, failed  int        // read, and not sent
	unacknowledged error
}

// run sends everything, waits for the acknowledgement, and then for --wait. What it returns ends
// the command; lines that failed on their own are counted.
func (t *transfer) run(ctx context.Context, in io.Reader) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	for lines := t.input(in, stop); ; {
		l, more, err := t.next(ctx, lines)
		switch {
		case err != nil:
			return err
		case !more:
			return t.finish(ctx)
		case l.err != nil:
			return fmt.Errorf("reading the input: %w", l.err)
		}
		t.lines++
		if err := t.send(ctx, l); err != nil {
			return err
		}
	}
}

// ready waits for the first connection.
func (t *transfer) ready(ctx context.Context) error {
	limited, cancel := t.limit(ctx)
	defer cancel()
	if err := t.session.Ready(limited); err != nil {
		return t.fatal(ctx, err)
	}
	return nil
}

// limit bounds a wait by --timeout.
func (t *transfer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, t.timeout)
}

// fatal returns the error that ends the command after a call with ctx has failed.
func (t *transfer) fatal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &cli.Error{Code: cli.Interrupted, Err: errors.New("interrupted")}
	}
	if ended := t.session.Err(); ended != nil {
		err = ended // says why in full
	}
	return t.handshake.Explain(err, t.url)
}

// next returns the next line, or an error when there is no point in waiting for it. more is false
// when the input has ended.
func (t *transfer) next(ctx context.Context, lines <-chan line) (l line, more bool, err error) {
	select {
	case l, more = <-lines:
		return l, more, nil
	case <-ctx.Done():
		return line{}, false, t.fatal(ctx, ctx.Err())
	case err := <-t.printing:
		return line{}, false, t.lostOutput(ctx, err)
	}
}

// lostOutput returns the error for the end of the printing of messages.
func (t *transfer) lostOutput(ctx context.Context, err error) error {
	t.outputGone = true
	if err == nil { // the client has ended
		<-t.session.Done()
		return t.fatal(ctx, t.session.Err())
	}
	return fmt.Errorf("printing a message: %w", err)
}

// send sends a line. What it returns ends the command.
func (t *transfer) send(ctx context.Context, l line) error {
	if l.size > maxLine {
		return t.skip(&apigws.TooLargeError{Size: l.size, Limit: maxLine})
	}
	limited, cancel := t.limit(ctx)
	defer cancel()
	err := t.session.Write(limited, l.text)
	var (
		tooLarge *apigws.TooLargeError
		closed   *apigws.CloseError
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || t.session.Err() != nil:
		return t.fatal(ctx, err)
	case errors.Is(err, apigws.ErrUnconfirmed):
		t.unacknowledged = err
		t.session.printer.note(warning, "line %d may be lost: %s", t.lines, handshake.Text(err))
		return nil
	case errors.As(err, &tooLarge), errors.Is(err, apigws.ErrNotText), errors.As(err, &closed):
		return t.skip(err)
	case limited.Err() != nil:
		return &cli.Error{Code: cli.NotConnected, Err: fmt.Errorf("no connection for %v: line %d was not sent", t.timeout, t.lines)}
	}
	return t.fatal(ctx, err)
}

// skip tells of a line that cannot be sent, and goes on.
func (t *transfer) skip(err error) error {
	t.failed++
	t.session.printer.note(bad, "line %d was not sent: %s", t.lines, handshake.Text(err))
	return nil
}

// finish waits until everything is acknowledged, and then for what comes in.
func (t *transfer) finish(ctx context.Context) error {
	limited, cancel := t.limit(ctx)
	defer cancel()
	if err := t.session.Flush(limited); err != nil {
		if ctx.Err() != nil {
			return t.fatal(ctx, err)
		}
		t.unacknowledged = err
		t.session.printer.note(bad, "not acknowledged: %s", handshake.Text(err))
	}
	var over <-chan time.Time
	if t.wait >= 0 {
		over = time.After(time.Duration(t.wait))
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return t.fatal(ctx, ctx.Err())
	case err := <-t.printing:
		return t.lostOutput(ctx, err)
	}
}

// A line is one of the input.
type line struct {
	text []byte // at most maxLine bytes
	size int    // in full
	err  error  // of reading; then there is no text
}

// input returns the messages to send. The channel is closed after the last; the goroutine that
// fills it ends then, or once stop is closed and its read returns.
func (t *transfer) input(in io.Reader, stop <-chan struct{}) <-chan line {
	lines := make(chan line)
	put := func(l line) bool {
		select {
		case lines <- l:
			return true
		case <-stop:
			return false
		}
	}
	go func() {
		defer close(lines)
		if len(t.messages) > 0 {
			for _, m := range t.messages {
				if !put(line{text: []byte(m), size: len(m)}) {
					return
				}
			}
			return
		}
		for r := bufio.NewReader(in); ; {
			l := readLine(r)
			if l.err == io.EOF {
				return
			}
			if (l.size > 0 || l.err != nil) && !put(l) || l.err != nil {
				return
			}
		}
	}()
	return lines
}

// readLine reads a line without its end, "\n" or "\r\n". The last may lack one.
func readLine(r *bufio.Reader) line {
	var l line
	for {
		part, err := r.ReadSlice('\n')
		part = bytes.TrimSuffix(part, []byte("\n"))
		l.size += len(part)
		l.text = append(l.text, part[:min(len(part), maxLine+1-len(l.text))]...)
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && (err != io.EOF || l.size == 0):
			return line{err: err}
		}
		if l.size == len(l.text) { // not longer than any message
			l.text = bytes.TrimSuffix(l.text, []byte("\r"))
			l.size = len(l.text)
		}
		return l
	}
}
