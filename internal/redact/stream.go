package redact

import "io"

// Stream returns conn with errors whose texts hold no secret: those of Read and Write are told as
// [Secrets.Transport] tells them, io.EOF is left as it is.
func Stream(conn io.ReadWriteCloser) io.ReadWriteCloser { return &stream{conn} }

type stream struct{ io.ReadWriteCloser }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	return n, transportError(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(p)
	return n, transportError(err)
}

// transportError returns what may be told of an error of the connection.
func transportError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return new(Secrets).Transport(err)
}
