package session

// A goroutine that waits in a tls.Conn has a stack of 4 KB, or of 8 KB once something has come, and
// uses too much of it for the runtime to shrink it. A new goroutine that waits for the socket needs
// 2 KB. So a session over TLS 1.3 has one of two goroutines at a time:
//
//   - run reads. When what came last was not for Read, and TLS holds nothing more, it ends and
//     starts awaitInput.
//   - awaitInput waits for the socket. When bytes come, it ends and starts run.

// isIdle reports whether awaitInput should wait for what comes next.
func (r *receiver) isIdle() bool { return r.quiet && !r.ready() }

// ready reports whether there is something to read without the socket, or it cannot be told.
func (r *receiver) ready() bool {
	if !r.s.socket.SetNonblocking(true) {
		return true
	}
	defer r.s.socket.SetNonblocking(false)
	return r.frames.Ready() // what TLS has taken from the socket would not wake awaitInput
}

// awaitInput waits for bytes on the socket, and lets run read them.
func (r *receiver) awaitInput() {
	if err := r.s.socket.AwaitInput(); err != nil {
		r.readEnded(err)
		return
	}
	r.quiet = false // run must read the socket before it can be idle again
	r.s.tasks.replace(r.run)
}
