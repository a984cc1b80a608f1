package session

import (
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/apigws/apigws/internal/queue"
)

// A watchedStream keeps the stack trace of its last Read.
type watchedStream struct {
	*link
	stack atomic.Value // a string
}

func (w *watchedStream) Read(p []byte) (int, error) {
	w.stack.Store(string(debug.Stack()))
	return w.link.Read(p)
}

// An idle session waits for the next frame outside of Next, so that its goroutine keeps the
// smallest stack that there is.
func TestIdleSessionNeedsLittleStack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &watchedStream{link: newLink()}
		s := New(config(), w, kernel{w.link}, queue.New())
		s.sendPing(nil)
		for _, frame := range [][]byte{nil, pongOf(1), pingFrame("p"), text("a")} {
			w.bring(frame)
			synctest.Wait()
			stack := w.stack.Load().(string)
			if !strings.Contains(stack, ".(*Reader).Await(") || strings.Contains(stack, ".(*Reader).Next(") {
				t.Errorf("after %q it waits in:\n%s", frame, stack)
			}
		}
		s.Abort(errEnded)
		s.Wait()
	})
}
