package callback

import (
	"runtime"
	"testing"
)

func TestInside(t *testing.T) {
	if Inside() {
		t.Error("inside")
	}
	q := NewQueue()
	q.Run(func() {
		if !Inside() {
			t.Error("outside")
		}
	})
	q.Wait()
	if err := Do(runtime.Goexit); err != ErrGoexit {
		t.Error(err)
	}
}
