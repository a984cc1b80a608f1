package session

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/internal/queue"
)

// A stuckStream takes its first write when released, the others at once, and counts them. Nothing
// comes in.
type stuckStream struct {
	release, closed chan struct{}
	writes          atomic.Int64
}

func (s *stuckStream) Write(p []byte) (int, error) {
	if s.writes.Add(1) == 1 {
		<-s.release
	}
	return len(p), nil
}

func (s *stuckStream) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.EOF
}

func (s *stuckStream) Close() error {
	close(s.closed)
	return nil
}

func newSession(stream io.ReadWriteCloser) *Session {
	return New(config(), stream, nil, queue.New())
}

func end(s *Session) {
	s.Abort(errEnded)
	s.Wait()
}

// Many who write at once share their writes to the socket, over and over: who leads a batch lets
// those of the last batch join it. They need not run on other cores for that.
func TestACrowdSharesWrites(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		const writers, each = 64, 100
		stream := &stuckStream{release: make(chan struct{}), closed: make(chan struct{})}
		s := newSession(stream)
		defer end(s)
		var working sync.WaitGroup
		for range writers {
			working.Go(func() {
				for range each {
					if _, err := s.Send(context.Background(), []byte("x"), Fresh); err != nil {
						t.Error(err)
					}
				}
			})
		}
		synctest.Wait() // one writes, the others wait for the next batch
		close(stream.release)
		working.Wait()
		// One write for a message of each would be 100; a quarter of the writers
		// may come too late each time.
		if n := stream.writes.Load(); n > 4*each {
			t.Errorf("%d messages took %d writes, want about %d", writers*each, n, each)
		}
	})
}

// Where the processors are wanted by others, a crowd does not wait for them again and again.
func TestACrowdInAHurry(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := &sender{shared: 1}
	var (
		ended   atomic.Bool
		turns   atomic.Int64
		working sync.WaitGroup
	)
	working.Go(func() {
		for !ended.Load() {
			turns.Add(1)
			for start := time.Now(); time.Since(start) < 2*yieldLimit; {
			}
			runtime.Gosched()
		}
	})
	for range 1000 {
		s.yield()
	}
	if n := turns.Load(); n == 0 || n > 100 {
		t.Errorf("the others had %d turns, want few", n)
	}
	ended.Store(true)
	working.Wait()
}

// A lone writer yields to a crowd that was there, twice, and not any more.
func TestALoneWriterDoesNotYield(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := begin(t, config())
		r.out.shared = 2
		r.send("0", Fresh)
		r.send("1", Fresh)
		if r.out.shared != 0 {
			t.Errorf("%d writes more will yield", r.out.shared)
		}
	})
}

// A message costs no allocation.
func TestSendAllocates(t *testing.T) {
	stream := &stuckStream{release: make(chan struct{}), closed: make(chan struct{})}
	close(stream.release)
	s := newSession(stream)
	defer end(s)
	p := bytes.Repeat([]byte("x"), 128)
	if n := testing.AllocsPerRun(1000, func() { s.Send(context.Background(), p, Fresh) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// What a message costs before the socket has it: of a lone writer, on a stream that takes all at
// once.
func BenchmarkMessage(b *testing.B) {
	stream := &stuckStream{release: make(chan struct{}), closed: make(chan struct{})}
	close(stream.release)
	s := newSession(stream)
	defer end(s)
	p := bytes.Repeat([]byte("x"), 128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Send(context.Background(), p, Fresh); err != nil {
			b.Fatal(err)
		}
	}
}
