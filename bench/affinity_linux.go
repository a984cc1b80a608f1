package main

import (
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"
)

// startOnOneCore starts a process that runs, with its children, on the first core of this one only,
// so that its Go runtime finds one.
func startOnOneCore(cmd *exec.Cmd) error {
	// A thread hands its affinity down. That of this one is put back before any other goroutine
	// may run on it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one [128]byte // 1024 cores
	if err := affinity(syscall.SYS_SCHED_GETAFFINITY, &before); err != nil {
		return err
	}
	for i, cores := range before {
		if cores != 0 {
			one[i] = cores & -cores
			break
		}
	}
	if err := affinity(syscall.SYS_SCHED_SETAFFINITY, &one); err != nil {
		return err
	}
	defer affinity(syscall.SYS_SCHED_SETAFFINITY, &before)
	return cmd.Start()
}

// affinity gets or sets that of the calling thread.
func affinity(call uintptr, cores *[128]byte) error {
	_, _, errno := syscall.RawSyscall(call, 0, unsafe.Sizeof(*cores), uintptr(unsafe.Pointer(cores)))
	if errno != 0 {
		return errno
	}
	return nil
}
