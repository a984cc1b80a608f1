package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-demo"}, nil, &out); err != nil {
		t.Fatalf("%v after:\n%s", err, out.String())
	}
	want := `alice in tea   sees   alice: hello
bob   in tea   sees   alice: hello
carol in chess sees   carol: e4
-- bob's connection is reset, and nobody gets in --
alice in tea   sees   alice: more tea?
-- the door is open again --
bob   in tea   sees   alice: more tea?
bob   in tea   sees   bob: yes, please
alice in tea   sees   bob: yes, please
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// A terminal is somebody at the keyboard.
type terminal struct {
	t    *testing.T
	keys *io.PipeWriter
	eyes *bufio.Scanner
	done chan error
}

func open(t *testing.T, args ...string) *terminal {
	in, keys := io.Pipe()
	screen, out := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	term := &terminal{t, keys, bufio.NewScanner(screen), make(chan error, 1)}
	go func() {
		err := run(ctx, args, in, out)
		out.Close()
		term.done <- err
	}()
	return term
}

func (term *terminal) types(line string) { io.WriteString(term.keys, line+"\n") }

// sees returns the next line with that prefix.
func (term *terminal) sees(prefix string) string {
	term.t.Helper()
	for term.eyes.Scan() {
		if strings.HasPrefix(term.eyes.Text(), prefix) {
			return term.eyes.Text()
		}
	}
	term.t.Fatalf("nothing begins with %q", prefix)
	return ""
}

func (term *terminal) leaves() {
	term.t.Helper()
	term.keys.Close()
	for term.eyes.Scan() {
	}
	if err := <-term.done; err != nil {
		term.t.Error(err)
	}
}

func TestTerminals(t *testing.T) {
	alice := open(t, "-listen", "127.0.0.1:0", "-name", "alice", "-room", "tea")
	url := strings.Fields(alice.sees("* others join with"))[5]
	bob := open(t, "-url", url, "-name", "bob", "-room", "tea")
	bob.types("hello")
	bob.sees("bob: hello")
	alice.sees("bob: hello")
	alice.types("hi")
	bob.sees("alice: hi")
	alice.sees("alice: hi")
	bob.leaves()
	alice.leaves()
}

// While one connection replaces another, both are in the room.
func TestRotationRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(gatewaytest.NewInMemory, &gatewaytest.Config{})
		defer b.gateway.Close()
		m, err := join(t.Context(), b.gateway.URL, b.gateway.Client(), "alice", "tea", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.client.Close()
		if err := m.client.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"one", "two"} {
			if err := m.say(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			l, err := m.next(t.Context())
			if err != nil || l.Text != text {
				t.Fatalf("%+v, %v, want %q", l, err, text)
			}
		}
		synctest.Wait()
		if got := m.client.Stats().MessagesReceived; got <= 2 {
			t.Errorf("%d messages: only one connection was in the room", got)
		}
	})
}

// The real gateway may run the integration of one message beside that of the
// next: here "join" takes a second, as in a cold start, and holds up nothing
// that follows it.
func TestSayOvertakesJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(func(cfg *gatewaytest.Config) *gatewaytest.Server {
			join := cfg.Routes["join"]
			cfg.Routes["join"] = func(ctx context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
				time.AfterFunc(time.Second, func() { join(ctx, ev) })
				return ok, nil
			}
			return gatewaytest.NewInMemory(cfg)
		}, &gatewaytest.Config{})
		defer b.gateway.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m, err := join(ctx, b.gateway.URL, b.gateway.Client(), "alice", "tea", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.client.Close()
		for _, text := range []string{"on the first connection", "on the second"} {
			if err := m.say(ctx, text); err != nil {
				t.Fatal(err)
			}
			if l, err := m.next(ctx); err != nil || l.From != "alice" || l.Text != text {
				t.Fatalf("%+v, %v, want %q", l, err, text)
			}
			b.drop("alice")
			synctest.Wait()
		}
	})
}

// A backend that has forgotten everything numbers its lines above those of the
// one before.
func TestHostRestarts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	first := newBackend(gatewaytest.NewServer, &gatewaytest.Config{})
	defer first.gateway.Close()
	m, err := join(ctx, first.gateway.URL, first.gateway.Client(), "alice", "tea", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.client.Close()
	want := func(text string) {
		t.Helper()
		if l, err := m.next(ctx); err != nil || l.Text != text {
			t.Fatalf("%+v, %v, want %q", l, err, text)
		}
	}
	if err := m.say(ctx, "before"); err != nil {
		t.Fatal(err)
	}
	want("before")
	addr := strings.TrimSuffix(strings.TrimPrefix(first.gateway.URL, "ws://"), "/prod")
	first.gateway.Close()
	second := newBackend(gatewaytest.NewServer, &gatewaytest.Config{Addr: addr})
	defer second.gateway.Close()
	if err := m.say(ctx, "after"); err != nil {
		t.Fatal(err)
	}
	want("after")
}

// A message that is no line, such as one that is not JSON, does not end the chat.
func TestMessageThatIsNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(gatewaytest.NewInMemory, &gatewaytest.Config{})
		defer b.gateway.Close()
		m, err := join(t.Context(), b.gateway.URL, b.gateway.Client(), "alice", "tea", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.client.Close()
		for _, msg := range []string{"no JSON", `[]`, `{"message": "Forbidden"}`} {
			if err := b.gateway.Conns()[0].Send([]byte(msg)); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.say(t.Context(), "hello"); err != nil {
			t.Fatal(err)
		}
		if l, err := m.next(t.Context()); err != nil || l.Text != "hello" {
			t.Errorf("%+v, %v", l, err)
		}
	})
}
