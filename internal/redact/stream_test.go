package redact

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// odd is a connection that fails in words of its own.
type odd struct {
	io.ReadWriteCloser
	err error
}

func (o *odd) Read([]byte) (int, error)  { return 0, o.err }
func (o *odd) Write([]byte) (int, error) { return 0, o.err }

// The errors of a connection are told by what is known to be safe, too.
func TestStreamErrors(t *testing.T) {
	told := errors.New("lost https://example.com/?token=secret")
	s := Stream(&odd{err: told})
	for _, f := range []func([]byte) (int, error){s.Read, s.Write} {
		if _, err := f(nil); !errors.Is(err, told) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q", err)
		}
	}
	s = Stream(&odd{err: io.EOF})
	if _, err := s.Read(nil); err != io.EOF {
		t.Errorf("%v, want io.EOF itself", err)
	}
	s = Stream(&odd{})
	if _, err := s.Write(nil); err != nil {
		t.Error(err)
	}
}
