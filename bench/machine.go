package main

import (
	"os/exec"
	"runtime/debug"
	"strings"
)

// cpuModel returns what the system calls its processor.
func cpuModel() string {
	for _, command := range []string{
		`sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1`, // Linux
		`sysctl -n machdep.cpu.brand_string`,                       // macOS
	} {
		if s := output("sh", "-c", command); s != "" {
			return s
		}
	}
	return "unknown CPU"
}

func kernel() string { return output("uname", "-sr") }

// load returns the load averages, which are near 0 on an idle machine.
func load() string { return output("sh", "-c", "uptime | sed 's/.*load averages*: *//'") }

// output returns what a command prints, or nothing.
func output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out))
}

// versions returns those of the libraries, as the program was built with them.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	var all []string
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/coder/websocket", "nhooyr.io/websocket", "github.com/gorilla/websocket", "github.com/lxzan/gws":
			all = append(all, strings.TrimPrefix(m.Path, "github.com/")+" "+m.Version)
		}
	}
	return strings.Join(all, ", ")
}
