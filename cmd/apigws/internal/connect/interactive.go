package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/cmd/apigws/internal/handshake"
)

// commands are what can be typed besides messages.
var commands = []struct{ name, help string }{
	{"/ping", "send a PING and tell how long its PONG took"},
	{"/rotate", "replace the connection now"},
	{"/stats", "tell what the connection has done so far"},
	{"/json", "lay out messages that are JSON, or print them as they are"},
	{"/quit", "close the connection and quit, as Ctrl-D and Ctrl-C do"},
	{"/help", "this list; //text sends a message that begins with /"},
}

// quitting is how long messages that wait for a connection may still do so at the end.
const quitting = 5 * time.Second

// interactive sends what is typed at the prompt and prints what comes in above it.
func (c *config) interactive(ctx context.Context, t *term.Terminal, p *printer) error {
	t.SetBracketedPasteMode(true) // or what is pasted is cut at 4096 characters
	defer t.SetBracketedPasteMode(false)
	s, err := c.newSession(ctx, p)
	if err != nil {
		return err
	}
	printing := make(chan error, 1)
	go func() { printing <- s.printMessages() }() // ends with the client

	d := newDialogue(s)
	err = d.run(ctx, t)
	unsent := d.stop()
	closeErr := s.Close()
	<-printing
	switch {
	case err != nil:
		return c.handshake.Explain(err, c.url)
	case unsent > 0:
		return &cli.Error{Code: cli.Unacknowledged, Err: fmt.Errorf("%d messages were not sent", unsent)}
	case errors.Is(closeErr, apigws.ErrUnconfirmed):
		return c.unacknowledged(handshake.Text(closeErr))
	}
	return nil
}

// A dialogue does what is typed. Messages, PINGs and rotations are jobs: they may have to wait for
// a connection, and run one after the other while the prompt goes on.
type dialogue struct {
	*session
	jobs   chan func(context.Context) error // an error: a message was not sent
	cancel context.CancelFunc               // of the jobs
	unsent chan int                         // gets the number of messages not sent, at the end
	full   int                              // jobs that found no room
}

func newDialogue(s *session) *dialogue {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dialogue{session: s, jobs: make(chan func(context.Context) error, 1000), cancel: cancel, unsent: make(chan int)}
	go func() { // ends when stop has closed jobs; unsent says that it has
		unsent := 0
		for job := range d.jobs {
			if job(ctx) != nil {
				unsent++
			}
		}
		d.unsent <- unsent
	}()
	return d
}

// stop waits for the jobs, and returns how many messages were not sent.
func (d *dialogue) stop() int {
	close(d.jobs)
	timer := time.AfterFunc(quitting, d.cancel)
	defer timer.Stop()
	defer d.cancel()
	return <-d.unsent + d.full
}

// run returns nil when the user quits, and else why the client has ended.
func (d *dialogue) run(ctx context.Context, t *term.Terminal) error {
	// The next prompt is printed when the line before has been done.
	next, lines := make(chan bool, 1), make(chan string, 1)
	defer close(next)
	go func() { // ends once next is closed and its read returns
		defer close(lines)
		for range next {
			line, err := t.ReadLine()
			if err != nil && err != term.ErrPasteIndicator { // io.EOF: Ctrl-C, Ctrl-D
				return
			}
			lines <- line
		}
	}()
	next <- true
	for {
		select {
		case line, ok := <-lines:
			if !ok || !d.do(line) {
				return nil
			}
			next <- true
		case <-d.Done():
			return d.Err()
		case <-ctx.Done():
			return &cli.Error{Code: cli.Interrupted, Err: errors.New("interrupted")}
		}
	}
}

// do does what a line says, and reports whether to go on.
func (d *dialogue) do(line string) bool {
	word := strings.TrimSpace(line)
	switch {
	case word == "":
	case strings.HasPrefix(line, "//"):
		d.send(line[1:])
	case !strings.HasPrefix(line, "/"):
		d.send(line)
	case word == "/ping":
		d.later(d.ping)
	case word == "/rotate":
		d.later(d.rotate)
	case word == "/stats":
		d.stats()
	case word == "/json":
		if d.printer.toggleLayout() {
			d.printer.note(dim, "messages that are JSON are laid out")
		} else {
			d.printer.note(dim, "messages are printed as they are")
		}
	case word == "/quit":
		return false
	case word == "/help":
		for _, c := range commands {
			d.printer.note(dim, "%-8s  %s", c.name, c.help)
		}
	default:
		d.printer.note(bad, "there is no command %s: /help lists them, and //text sends a message that begins with /", word)
	}
	return true
}

// later runs a job after those before it.
func (d *dialogue) later(job func(context.Context) error) {
	select {
	case d.jobs <- job:
	default: // the prompt must not hang, or nobody could quit
		d.full++
		d.printer.note(bad, "not sent: %d others wait for a connection", cap(d.jobs))
	}
}

func (d *dialogue) send(text string) {
	if d.State() != apigws.StateOpen {
		d.printer.note(dim, "there is no connection: the message waits for one")
	}
	d.later(func(ctx context.Context) error {
		err := d.Write(ctx, []byte(text))
		switch {
		case err == nil:
		case errors.Is(err, apigws.ErrUnconfirmed):
			d.printer.note(warning, "the message may be lost: %s", handshake.Text(err))
			return nil // Close tells of it
		default:
			d.printer.note(bad, "not sent: %s", handshake.Text(err))
		}
		return err
	})
}

func (d *dialogue) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rtt, err := d.Ping(ctx)
	if err != nil {
		d.printer.note(bad, "no PONG: %s", handshake.Text(err))
		return nil
	}
	d.printer.print(event{Type: "pong", RTT: rtt.Seconds()}, good, fmt.Sprintf("PONG after %v", round(rtt)))
	return nil
}

func (d *dialogue) rotate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.Rotate(ctx); err != nil {
		d.printer.note(bad, "not rotated: %s", handshake.Text(err))
	}
	return nil // OnState tells of it
}

func (d *dialogue) stats() {
	s := d.Stats()
	connection := "no connection"
	if !s.Opened.IsZero() {
		connection = fmt.Sprintf("connection %d, open for %v", s.Generation, time.Since(s.Opened).Round(time.Second))
	}
	text := fmt.Sprintf(`%v: %s
sent %d messages (%d bytes), received %d (%d bytes)
not acknowledged yet %d, lost perhaps %d, sent again %d
PINGs %d, PONGs %d, last round trip %v
rotations %d; lost by a close frame %d, by silence %d, by the network %d; refused %d`,
		s.State, connection,
		s.MessagesSent, s.BytesSent, s.MessagesReceived, s.BytesReceived,
		s.Unproven, s.Unconfirmed, s.MessagesResent,
		s.Pings, s.Pongs, round(s.RTT),
		s.Rotations, s.LostClosed, s.LostTimeout, s.LostNetwork, s.Refused)
	d.printer.print(event{Type: "stats", Stats: &stats{s.State.String(), s}}, dim, text)
}
