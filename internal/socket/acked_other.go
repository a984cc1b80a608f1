//go:build !linux || 386 || s390x

package socket

import "time"

// Acknowledged returns how long ago the path was last seen to carry bytes to the peer. ok is false
// if the system does not tell, as is the case here.
func (*TCP) Acknowledged() (ago time.Duration, ok bool) { return 0, false }
