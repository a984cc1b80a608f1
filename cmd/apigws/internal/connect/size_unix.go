//go:build unix

package connect

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// followSize tells the prompt how wide the terminal is, now and whenever that changes, until the
// function that it returns is called.
func followSize(f *os.File, t *term.Terminal) (stop func()) {
	changed := make(chan os.Signal, 1)
	changed <- syscall.SIGWINCH
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range changed {
			if width, height, err := term.GetSize(int(f.Fd())); err == nil {
				t.SetSize(width, height)
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(changed)
		<-done
	}
}
