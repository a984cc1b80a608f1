//go:build !unix

package connect

import (
	"os"

	"golang.org/x/term"
)

// followSize tells the prompt how wide the terminal is. Here nothing tells when that changes.
func followSize(f *os.File, t *term.Terminal) (stop func()) {
	if width, height, err := term.GetSize(int(f.Fd())); err == nil {
		t.SetSize(width, height)
	}
	return func() {}
}
