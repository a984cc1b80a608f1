//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

func startOnOneCore(*exec.Cmd) error { return errors.ErrUnsupported }
