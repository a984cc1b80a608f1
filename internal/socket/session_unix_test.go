//go:build unix

package socket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws/internal/queue"
	"github.com/apigws/apigws/internal/session"
)

// A session over TLS gets every message at once and in order, however the frames are cut into
// records and the records into packets, and whatever control frames make it wait for the socket in
// between.
func TestSessionOverTLS(t *testing.T) {
	const packets, maxMessages = 2000, 4 // in a packet
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	conn, peer := loopback(t)
	var sent bytes.Buffer
	client, server := tlsOver(t, conn, peer, &sent)
	in := queue.New()
	s := session.New(&session.Config{
		Frame:        1 << 10,
		Message:      1 << 20,
		WriteTimeout: time.Minute,
		Traffic:      new(session.Traffic),
		Notify:       func() {},
		Cause:        func(err error) error { return err },
	}, client, OfTLS13(conn), in)
	defer s.Wait()
	defer s.Abort(io.EOF)

	var running sync.WaitGroup
	running.Go(func() { io.Copy(io.Discard, peer) }) // PONGs
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	received := 0
	for range packets {
		var frames []byte
		messages := random.IntN(maxMessages + 1)
		for i := range messages {
			text := fmt.Sprintf("%d.%s", received+i, strings.Repeat(" ", random.IntN(100)))
			frames = append(frames, 0x81, byte(len(text)))
			frames = append(frames, text...)
			switch random.IntN(4) {
			case 0:
				frames = append(frames, 0x89, 0) // a PING
			case 1:
				frames = append(frames, 0x8a, 0) // a PONG
			}
		}
		pieces(random, frames, func(p []byte) { server.Write(p) })
		pieces(random, sent.Next(sent.Len()), func(p []byte) {
			peer.Write(p)
			for range random.IntN(100) {
				runtime.Gosched()
			}
		})
		for range messages {
			it, _ := in.Pop(ctx)
			if want := fmt.Sprintf("%d.", received); !strings.HasPrefix(string(it.Data), want) {
				t.Fatalf("seed %d: message %q, want %s", seed, it.Data, want)
			}
			received++
		}
	}
	peer.CloseWrite()
	<-s.Dead()
	s.Wait()
	if cause := s.Cause(); cause != io.EOF {
		t.Errorf("seed %d: ended by %v, want EOF", seed, cause)
	}
	running.Wait()
}

// pieces calls f with one piece of p after another, of random sizes.
func pieces(random *rand.Rand, p []byte, f func([]byte)) {
	for len(p) > 0 {
		n := 1 + random.IntN(len(p))
		f(p[:n])
		p = p[n:]
	}
}
