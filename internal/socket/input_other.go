//go:build !unix

package socket

// SetNonblocking returns false: AwaitInput is written for Unix only.
func (*TCP) SetNonblocking(bool) bool { return false }

// AwaitInput is not called where SetNonblocking returns false.
func (*TCP) AwaitInput() error { return nil }
