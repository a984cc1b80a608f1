package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// checkVersion is what the working tree is served as: newer than each version that a module
// requires.
const checkVersion = "v0.99.0"

// check serves the working tree as if it were tagged and uses it as a stranger would, from empty
// modules: it gets, builds and tests each published library, with the versions of the others that
// its own go.mod requires, then all of them together at their newest, and it installs the commands.
func (r repo) check() error {
	tmp, err := os.MkdirTemp("", "release-check")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	proxy := filepath.Join(tmp, "proxy")
	if err := r.makeProxy(proxy, checkVersion); err != nil {
		return err
	}
	c, err := newConsumer(tmp, proxy)
	if err != nil {
		return err
	}
	var libraries []string
	for _, dir := range r.published {
		mod, err := r.readModule(dir)
		if err != nil {
			return err
		}
		path := mod.Module.Mod.Path
		if strings.HasPrefix(dir, "cmd/") {
			err = c.install(path)
		} else {
			libraries = append(libraries, path)
			err = c.use(path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return c.together(libraries)
}

// A consumer runs go commands as somebody does who has nothing of this repository but the proxy.
// Its module cache is its own, for the same version means another working tree the next time.
type consumer struct {
	tmp string
	env []string
}

func newConsumer(tmp, proxy string) (*consumer, error) {
	cache, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(cache)), "\n")
	if len(lines) != 2 {
		return nil, fmt.Errorf("go env answered %q", cache)
	}
	// What this machine has downloaded of other modules need not come over the network again.
	proxies := fileURL(proxy) + "," + fileURL(filepath.Join(lines[0], "cache", "download")) + "," + lines[1]
	return &consumer{tmp, append(os.Environ(),
		"GOPROXY="+proxies,
		"GONOSUMDB=github.com/apigws/apigws",
		"GOMODCACHE="+filepath.Join(tmp, "cache"),
		"GOBIN="+filepath.Join(tmp, "bin"),
		"GOFLAGS=-mod=mod -modcacherw",
		"GOWORK=off",
	)}, nil
}

func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive of Windows
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// use gets, builds and tests a library from an empty module.
func (c *consumer) use(path string) error {
	dir, err := c.emptyModule(path)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"get", path + "@" + checkVersion},
		{"build", path + "/..."},
		{"test", path + "/..."},
		{"list", "-m", "github.com/apigws/apigws/..."},
	} {
		if err := c.run(dir, "go", args...); err != nil {
			return err
		}
	}
	return nil
}

// together builds all libraries at their newest in one module.
func (c *consumer) together(paths []string) error {
	dir, err := c.emptyModule("together")
	if err != nil {
		return err
	}
	get, build := []string{"get"}, []string{"build"}
	for _, path := range paths {
		get = append(get, path+"@"+checkVersion)
		build = append(build, path+"/...")
	}
	if err := c.run(dir, "go", get...); err != nil {
		return err
	}
	return c.run(dir, "go", build...)
}

// install installs a command and asks it for its version. The go command itself refuses to install
// a module that has replace directives.
func (c *consumer) install(path string) error {
	if err := c.run(c.tmp, "go", "install", path+"@"+checkVersion); err != nil {
		return err
	}
	binary := filepath.Join(c.tmp, "bin", filepath.Base(path))
	return c.run(c.tmp, binary, "version")
}

// emptyModule makes a folder with a go.mod that requires nothing.
func (c *consumer) emptyModule(name string) (string, error) {
	dir := filepath.Join(c.tmp, "of-"+strings.ReplaceAll(name, "/", "-"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, c.run(dir, "go", "mod", "init", "example.com/consumer")
}

// run runs a command in a folder, with its output on ours.
func (c *consumer) run(dir, name string, args ...string) error {
	fmt.Println("+", name, strings.Join(args, " "))
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, c.env
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
