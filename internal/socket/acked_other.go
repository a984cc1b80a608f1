//go:build !linux || 386 || s390x

package socket

import "time"

// Acknowledged returns how long ago the kernel of the peer last acknowledged bytes that were not
// acknowledged before. It is false if no bytes of ours are on their way, or if the system does not
// tell, as is the case here.
func (*TCP) Acknowledged() (ago time.Duration, ok bool) { return 0, false }
