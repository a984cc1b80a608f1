package window

import (
	"testing"
	"testing/synctest"
)

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(100)
		for range 10 {
			go func() {
				if err := w.Reserve(t.Context(), nil, 10); err != nil {
					t.Error(err)
				}
				w.Add(make([]byte, 10))
			}()
		}
		for range 10 {
			synctest.Wait()
			if w.Len() != 1 {
				t.Fatalf("%d messages, want 1", w.Len())
			}
			w.Acknowledge(1)
		}
	})
}
