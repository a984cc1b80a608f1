//go:build !linux || 386 || s390x

package socket

import "github.com/apigws/apigws/internal/session"

// Mark does nothing: this system does not tell how far bytes have come.
func (*TCP) Mark() {}

// Progress returns that nothing is known: this system does not tell how far bytes have come.
func (*TCP) Progress() session.Progress { return session.Progress{} }
