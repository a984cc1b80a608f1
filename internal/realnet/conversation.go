//go:build linux && realnet

package realnet

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A conversation is one client, in a process of its own, and the line that it has for itself.
type conversation struct {
	t       *testing.T
	name    string
	network *network
	gateway *gateway
	number  int // of the client and of the line
	line    *line

	cmd    *exec.Cmd
	stdin  io.Closer
	stdout bytes.Buffer
	stderr bytes.Buffer
	pushes sync.WaitGroup
	stop   chan struct{}
	order  []int // in which the faults come
}

// latency is that of a sound line, each way.
const latency = 5 * time.Millisecond

// converse starts a client on a line, which is sound unless prepare changes it. The gateway pushes
// to it at an interval, 0 for never.
func converse(t *testing.T, name string, n *network, g *gateway, number int, secure bool, s settings,
	push time.Duration, prepare ...func(*conversation)) *conversation {
	t.Helper()
	c := &conversation{t: t, name: name, network: n, gateway: g, number: number,
		line: n.path.line(number), stop: make(chan struct{})}
	c.mend()
	for _, f := range prepare {
		f(c)
	}
	s.URL = g.url(number, secure)
	config, err := json.Marshal(s)
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	c.cmd = exec.Command("ip", "netns", "exec", n.client, exe)
	c.cmd.Env = append(os.Environ(), clientVariable+"="+string(config))
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.stdin, err = c.cmd.StdinPipe()
	must(t, err)
	must(t, c.cmd.Start())
	if !eventually(func() bool { return len(g.open(number)) > 0 }) {
		t.Fatalf("client %d does not connect: %s", number, c.stderr.String())
	}
	if push > 0 {
		c.pushes.Go(func() { g.pushEach(push, number, c.stop) })
	}
	return c
}

// mend makes the line a sound one.
func (c *conversation) mend() {
	c.line.up.set(conditions{delay: latency})
	c.line.down.set(conditions{delay: latency})
}

// logf writes a line to the test's log that begins with the name of the conversation.
func (c *conversation) logf(format string, args ...any) {
	c.t.Helper()
	c.t.Logf("%-28s "+format, append([]any{c.name + ":"}, args...)...)
}

// signal sends a signal to the process of the client.
func (c *conversation) signal(s syscall.Signal) { syscall.Kill(c.cmd.Process.Pid, s) }

// end ends the conversation and returns the client's history and what has arrived. It fails the
// test and returns nil if the process of the client did.
func (c *conversation) end() (*history, []arrival) {
	c.t.Helper()
	close(c.stop)
	c.pushes.Wait()
	c.stdin.Close()
	late := time.AfterFunc(time.Minute, func() { c.signal(syscall.SIGABRT) })
	defer late.Stop()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("client %d: %v\n%s", c.number, err, c.stderr.String())
		return nil, nil
	}
	if c.stderr.Len() > 0 {
		c.logf("%s", c.stderr.String())
	}
	var h history
	if err := json.Unmarshal(c.stdout.Bytes(), &h); err != nil {
		c.t.Errorf("client %d: %v", c.number, err)
		return nil, nil
	}
	return &h, c.gateway.arrivals(c.number)
}
