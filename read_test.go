package apigws_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

func TestMessages(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		conn.Send([]byte("one"))
		conn.Send([]byte(strings.Repeat("x", 128<<10+1)))
		conn.Send([]byte("two"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var got []string
		var end error
		for p, err := range c.Messages(ctx) {
			var tooLarge *apigws.TooLargeError
			switch {
			case errors.As(err, &tooLarge):
				got = append(got, "too large")
			case err != nil:
				end = err
			default:
				got = append(got, string(p))
			}
			if string(p) == "two" {
				go c.Close()
			}
		}
		if !slices.Equal(got, []string{"one", "too large", "two"}) || end != nil {
			t.Errorf("Messages: %q, then %v", got, end)
		}
	})
}

// The end of ctx is the last that Messages yields. It yields nothing after break.
func TestMessagesEnd(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		clienttest.Only(t, gw).Send([]byte("one"))
		clienttest.Only(t, gw).Send([]byte("two"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range c.Messages(ctx) {
			break
		}
		var got []string
		for p, err := range c.Messages(ctx) {
			got = append(got, fmt.Sprint(string(p), err))
			if len(got) > 2 {
				break
			}
		}
		clienttest.Equal(t, "Messages", got, []string{"two<nil>", context.DeadlineExceeded.Error()})
	})
}

// A Read that is given up costs neither the connection nor a message. Here
// Reads end all the time, and often at the instant at which a message comes.
func TestReadCancelled(t *testing.T) {
	const n = 2000
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		go func() {
			for i := range n {
				time.Sleep(time.Millisecond)
				conn.Send(fmt.Append(nil, i))
			}
		}()
		cancelled := 0
		for next := 0; next < n; {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.N(4))*500*time.Microsecond)
			p, err := c.Read(ctx)
			cancel()
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				cancelled++
				continue
			}
			if string(p) != fmt.Sprint(next) {
				t.Fatalf("got message %s, want %d", p, next)
			}
			next++
		}
		if cancelled == 0 {
			t.Error("no Read was cancelled")
		}
		clienttest.Accepted(t, gw, 1)
		clienttest.InState(t, c, apigws.StateOpen)
	})
}

// A Read that waits after a message was handed over listens to its context, too.
func TestReadCancelledAfterAMessage(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		for i := range 3 {
			time.AfterFunc(time.Second, func() { conn.Send(fmt.Append(nil, i)) })
			if got := clienttest.Read(t, c); got != fmt.Sprint(i) { // it waits, and is handed the message
				t.Errorf("Read = %q, want %d", got, i)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			p, err := c.Read(ctx)
			if err != context.DeadlineExceeded || time.Since(start) != time.Second {
				t.Errorf("Read = %q, %v after %v, want the end of its context", p, err, time.Since(start))
			}
		}
	})
}

// ReadInto uses the memory that it is given, grows it if it must, and leaves it to the caller on an
// error.
func TestReadInto(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		first := make([]byte, 3, 100)
		buf := first
		for _, n := range []int{0, 5, 100, 1, 99} {
			conn.Send([]byte(strings.Repeat("x", n)))
			got, err := c.ReadInto(t.Context(), buf)
			if err != nil || string(got) != strings.Repeat("x", n) || &got[:1][0] != &first[0] {
				t.Errorf("ReadInto = %d bytes, %v, want %d in the memory of the caller", len(got), err, n)
			}
			buf = got
		}
		conn.Send([]byte(strings.Repeat("y", 5000)))
		grown, err := c.ReadInto(t.Context(), buf)
		if err != nil || string(grown) != strings.Repeat("y", 5000) {
			t.Errorf("ReadInto = %d bytes, %v", len(grown), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got, err := c.ReadInto(ctx, grown)
		if err != context.DeadlineExceeded || len(got) != 0 || cap(got) != cap(grown) || &got[:1][0] != &grown[0] {
			t.Errorf("ReadInto = %d bytes of %d, %v, want the caller's memory back", len(got), cap(got), err)
		}
		conn.Send([]byte(strings.Repeat("z", 128<<10+1)))
		var tooLarge *apigws.TooLargeError
		if got, err = c.ReadInto(t.Context(), got); !errors.As(err, &tooLarge) || cap(got) != cap(grown) {
			t.Errorf("ReadInto of what is too large = %d bytes of %d, %v", len(got), cap(got), err)
		}

		// What Read has returned stays the caller's, whatever ReadInto recycles.
		conn.Send([]byte("kept"))
		kept, err := c.Read(t.Context())
		for range 100 {
			conn.Send([]byte("gone"))
			got, _ = c.ReadInto(t.Context(), got)
		}
		if err != nil || string(kept) != "kept" || string(got) != "gone" {
			t.Errorf("%q, %v was read, and then %q", kept, err, got)
		}
		c.Close()
		if got, err = c.ReadInto(t.Context(), got); err != apigws.ErrClosed || cap(got) != cap(grown) {
			t.Errorf("ReadInto of a closed client = %d bytes of %d, %v", len(got), cap(got), err)
		}
		if got, err = c.ReadInto(t.Context(), nil); err != apigws.ErrClosed || len(got) != 0 {
			t.Errorf("ReadInto(nil) of a closed client = %d bytes, %v", len(got), err)
		}
	})
}

// The messages of a connection are read in order, by however many readers.
func TestConcurrentReaders(t *testing.T) {
	const n, readers = 5000, 8
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		var mine [readers][]int
		var wg sync.WaitGroup
		var left atomic.Int64
		left.Store(n)
		for i := range readers {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					p, err := c.Read(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					var number int
					fmt.Sscan(string(p), &number)
					mine[i] = append(mine[i], number)
				}
			})
		}
		for i := range n {
			conn.Send(fmt.Append(nil, i))
		}
		wg.Wait()
		var all []int
		for i := range readers {
			if !slices.IsSorted(mine[i]) {
				t.Errorf("reader %d got messages out of order", i)
			}
			all = append(all, mine[i]...)
		}
		slices.Sort(all)
		for i, got := range all {
			if got != i {
				t.Fatalf("message %d is missing or came twice", i)
			}
		}
	})
}

// Who does not read holds the gateway back, loses nothing, and is not mistaken
// for a dead peer, although the PONGs wait behind messages that nobody takes.
func TestSlowConsumer(t *testing.T) {
	clienttest.Bubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		const n = 100
		var sent atomic.Int64
		go func() {
			for i := range n {
				conn.Send(append(fmt.Appendf(nil, "%d ", i), make([]byte, 32<<10)...))
				sent.Add(1)
			}
		}()
		clienttest.Sleep(time.Second)
		held := sent.Load()
		if held == n {
			t.Fatal("the gateway could send everything to a client that reads nothing")
		}
		if unread := c.Stats().Unread; unread > 8 {
			t.Errorf("%d messages of 32 KiB wait in the client", unread)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if sent.Load() != held {
			t.Errorf("%d more messages went out while nobody read", sent.Load()-held)
		}
		if pings := gw.Stats().Pings; pings != 10 {
			t.Errorf("%d PINGs in ten minutes, want one each 55 s: 10", pings)
		}
		for i := range n {
			if got, want := clienttest.Read(t, c), fmt.Sprint(i, " "); !strings.HasPrefix(got, want) || len(got) != len(want)+32<<10 {
				t.Fatalf("message %d is %.10q with %d bytes", i, got, len(got))
			}
		}
		clienttest.Sleep(time.Hour)
		clienttest.Accepted(t, gw, 1)
		clienttest.InState(t, c, apigws.StateOpen)
	})
}

// A client of which nobody ever reads still writes, stays connected, keeps
// what it has, and closes in bounded time.
func TestNeverReads(t *testing.T) {
	clienttest.Bubble(t, &gatewaytest.Config{Backend: gatewaytest.Silent}, func(t *testing.T, gw *gatewaytest.Server) {
		c := clienttest.Dial(t, gw, nil)
		conn := clienttest.Only(t, gw)
		var pusher sync.WaitGroup
		defer pusher.Wait()
		pusher.Go(func() {
			for conn.Send(make([]byte, 1<<10)) == nil {
				time.Sleep(time.Second)
			}
		})
		for range 60 {
			clienttest.Write(t, c, "tick")
			clienttest.Sleep(time.Minute)
		}
		if got := len(clienttest.Texts(conn)); got != 60 {
			t.Errorf("the gateway has %d messages, want 60", got)
		}
		clienttest.Accepted(t, gw, 1)

		start := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v, although it may read on past what nobody read to find the PONG", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Close took %v, which is over CloseTimeout", took)
		}
		unread := c.Stats().Unread
		if unread == 0 {
			t.Fatal("nothing that was received is left")
		}
		for range unread {
			clienttest.Read(t, c)
		}
		if _, err := c.Read(t.Context()); !errors.Is(err, apigws.ErrClosed) {
			t.Errorf("Read after the last message: %v", err)
		}
	})
}
