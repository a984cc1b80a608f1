// Package callback runs the functions that users give to a client.
package callback

import (
	"errors"
	"reflect"
	"runtime"
)

// ErrGoexit is returned by Do when the function has ended its goroutine.
var ErrGoexit = errors.New("callback: the function has called runtime.Goexit")

// Run runs f on the goroutine of the caller. Inside reports true until f has returned.
func Run(f func()) { f() }

// runName is the name of Run on a stack. It contains the path of the module, which has a suffix
// like /v2 in a later major version, and is another one in a fork.
var runName = runtime.FuncForPC(reflect.ValueOf(Run).Pointer()).Name()

// Do runs f on a goroutine of its own, as Run does, and waits until it has ended. It returns
// ErrGoexit if f has ended its goroutine, as runtime.Goexit and testing.T.FailNow do. A panic in f
// that is not recovered ends the process, as in any goroutine.
func Do(f func()) error {
	err := ErrGoexit
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(f)
		err = nil
	}()
	<-ended
	return err
}

// Inside reports whether the caller runs inside a callback, that is, whether this goroutine is in a
// Run, Do or Queue.Run. A goroutine that a callback has started is not.
func Inside() bool {
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) { // without Callers and Inside
		n := runtime.Callers(skip, pcs)
		if n == 0 {
			return false
		}
		frames := runtime.CallersFrames(pcs[:n])
		for more := true; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			if frame.Function == runName {
				return true
			}
		}
	}
}
