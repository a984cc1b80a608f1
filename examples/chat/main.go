// Command chat is a chat with rooms, whose members miss nothing when their connection is lost.
//
//	go run ./examples/chat -demo    # three scripted members, one of whom loses the connection
//
// Or in several terminals, one of which hosts the gateway:
//
//	go run ./examples/chat -listen 127.0.0.1:8082 -name alice -room tea
//	go run ./examples/chat -url ws://127.0.0.1:8082/prod -name bob -room tea
//
// Type lines; end with Ctrl-D. Stop the host and start it again: the others reconnect.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8082", "host the gateway here, if there is no -url")
	url := flags.String("url", "", "join the chat on this gateway")
	name := flags.String("name", "host", "who you are")
	room := flags.String("room", "lobby", "where you are")
	demo := flags.Bool("demo", false, "three scripted members, one of whom loses the connection")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *demo {
		return playDemo(ctx, out)
	}
	if *url == "" {
		b := newBackend(gatewaytest.NewServer, &gatewaytest.Config{Addr: *listen})
		defer b.gateway.Close()
		*url = b.gateway.URL
		fmt.Fprintf(out, "* others join with -url %s\n", *url)
	}
	return talk(ctx, *url, *name, *room, in, out)
}

// talk sends the lines of in and prints what the room says, until in or ctx
// ends.
func talk(ctx context.Context, url, name, room string, in io.Reader, out io.Writer) error {
	print := log.New(out, "", 0).Printf // from several goroutines
	m, err := join(ctx, url, http.DefaultClient, name, room, func(_ *apigws.Client, s apigws.StateChange) {
		switch {
		case s.To == apigws.StateOpen:
			print("* connected")
		case s.From == apigws.StateOpen && s.To == apigws.StateBackoff:
			print("* connection lost")
		}
	})
	if err != nil {
		return err
	}
	defer m.client.Close()

	// The two goroutines end with the client and with in. A read from a
	// terminal cannot be interrupted; it ends with the program.
	heard := make(chan error, 1)
	go func() {
		for {
			l, err := m.next(context.WithoutCancel(ctx))
			if err != nil {
				heard <- err
				return
			}
			print("%s: %s", l.From, l.Text)
		}
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(in); scan.Scan(); {
			select {
			case lines <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case text, ok := <-lines:
			if !ok {
				return leave(m, heard)
			}
			if err := m.say(ctx, text); err != nil {
				print("* perhaps not sent: %v", err)
			}
		case err := <-heard: // a permanent failure
			return err
		case <-ctx.Done():
			return leave(m, heard)
		}
	}
}

// leave closes the client and waits until all that has arrived is printed.
func leave(m *member, heard <-chan error) error {
	err := m.client.Close()
	if read := <-heard; !errors.Is(read, apigws.ErrClosed) {
		err = errors.Join(err, read)
	}
	return err
}
