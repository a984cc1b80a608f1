//go:build linux && realnet

package realnet

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// prefix begins the names of the namespaces, and the process id follows: so a run finds the
// leftovers of runs that were killed, and leaves those of others alone.
const prefix = "apigws-realnet-"

// A network is two network namespaces, one for the clients and one for the gateway, and a number of
// lines between them. The lines end in TUN devices, and what passes between those is up to the
// path.
//
// On line i the gateway is 10.98.i.1 and the client 10.98.i.2, or another number after a change of
// its address.
type network struct {
	client, gateway string // the names of the namespaces
	path            *path
}

// newNetwork makes a network, which ends with the test.
func newNetwork(t *testing.T, lines int) *network {
	t.Helper()
	removeLeftovers(t)
	n := &network{
		client:  prefix + strconv.Itoa(os.Getpid()) + "-client",
		gateway: prefix + strconv.Itoa(os.Getpid()) + "-gateway",
	}
	t.Cleanup(func() {
		for _, name := range []string{n.client, n.gateway} {
			if err := removeNamespace(name); err != nil {
				t.Error(err)
			}
		}
	})
	for _, name := range []string{n.client, n.gateway} {
		must(t, ip("netns", "add", name))
		must(t, ip("-n", name, "link", "set", "lo", "up"))
	}
	device := func(namespace, name string) *os.File {
		f, err := openTUN(name)
		must(t, err)
		t.Cleanup(func() { f.Close() }) // which removes the device
		must(t, ip("link", "set", name, "netns", namespace))
		// Nothing but the test's own packets: no IPv6.
		must(t, run("ip", "netns", "exec", namespace, "sysctl", "-q", "-w", "net.ipv6.conf."+name+".disable_ipv6=1"))
		must(t, ip("-n", namespace, "link", "set", name, "up"))
		return f
	}
	gatewayEnd := device(n.gateway, deviceName(0))
	var clientEnds []*os.File
	for i := 1; i <= lines; i++ {
		clientEnds = append(clientEnds, device(n.client, deviceName(i)))
		must(t, ip("-n", n.client, "addr", "add", clientAddr(i, 2)+"/24", "dev", deviceName(i)))
		must(t, ip("-n", n.gateway, "addr", "add", gatewayAddr(i)+"/24", "dev", deviceName(0)))
	}
	n.path = newPath(gatewayEnd, clientEnds)
	t.Cleanup(n.path.close) // before the devices go
	return n
}

func deviceName(line int) string       { return fmt.Sprintf("rn%d-%d", os.Getpid(), line) }
func gatewayAddr(line int) string      { return fmt.Sprintf("10.98.%d.1", line) }
func clientAddr(line, host int) string { return fmt.Sprintf("10.98.%d.%d", line, host) }

// lineOf returns the line of an address, or 0.
func lineOf(a netip.Addr) int {
	b := a.As4()
	if b[0] != 10 || b[1] != 98 {
		return 0
	}
	return int(b[2])
}

// removeLeftovers removes the namespaces of processes that are no more, and what still runs in
// them.
func removeLeftovers(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob("/run/netns/" + prefix + "*")
	must(t, err)
	for _, name := range names {
		name = filepath.Base(name)
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "-")
		if _, err := os.Stat("/proc/" + pid); err == nil {
			continue
		}
		t.Logf("removing %s, left over from a run that was killed", name)
		must(t, removeNamespace(name))
	}
}

// removeNamespace removes a namespace and ends the processes in it. That there is none is no error.
func removeNamespace(name string) error {
	if _, err := os.Stat("/run/netns/" + name); err != nil {
		return nil
	}
	pids, _ := exec.Command("ip", "netns", "pids", name).Output()
	for _, pid := range strings.Fields(string(pids)) {
		if pid, err := strconv.Atoi(pid); err == nil && pid != os.Getpid() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return ip("netns", "del", name)
}

// setns is the number of the system call, which package syscall does not have.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268, "riscv64": 268, "386": 346, "arm": 375}[runtime.GOARCH]

// inNamespace runs f in a network namespace. Sockets that it makes stay there.
func inNamespace(name string, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- func() error {
			ns, err := os.Open("/run/netns/" + name)
			if err != nil {
				return err
			}
			defer ns.Close()
			if _, _, errno := syscall.RawSyscall(setns, ns.Fd(), syscall.CLONE_NEWNET, 0); errno != 0 {
				return fmt.Errorf("setns %s: %w", name, errno)
			}
			return f()
		}()
	}()
	return <-result
}

// openTUN makes a TUN device. It lives until the file is closed.
func openTUN(name string) (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		syscall.Close(fd)
		return nil, fmt.Errorf("TUN device %s: %w", name, errno)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ip runs the command of that name.
func ip(args ...string) error { return run("ip", args...) }

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually reports whether f comes true within a few seconds.
func eventually(f func() bool) bool {
	for range 100 {
		if f() {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return f()
}
