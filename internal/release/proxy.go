package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// makeProxy writes a module proxy (https://go.dev/ref/mod#goproxy-protocol) to the folder out. It
// serves the published modules of the working tree as the given version, and each version of them
// that one of these requires: as it was tagged, or, where there is no such tag yet, from the
// working tree, which is what that tag will hold.
func (r repo) makeProxy(out, version string) error {
	dirs, err := r.dirsByPath()
	if err != nil {
		return err
	}
	tagged, err := r.tags()
	if err != nil {
		return err
	}
	var todo []module.Version
	for path := range dirs {
		todo = append(todo, module.Version{Path: path, Version: version})
	}
	done := make(map[module.Version]bool)
	for len(todo) > 0 {
		m := todo[0]
		todo = todo[1:]
		if done[m] {
			continue
		}
		done[m] = true
		tag := tagName(dirs[m.Path], m.Version)
		if !tagged[tag] {
			tag = ""
		}
		mod, err := r.serve(out, m, dirs[m.Path], tag)
		if err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		todo = append(todo, required(mod, dirs)...)
	}
	return nil
}

// serve adds one version of a module to the proxy in the folder out, from a tag or, without one,
// from the working tree. It returns the go.mod of that version.
func (r repo) serve(out string, m module.Version, dir, tag string) (*modfile.File, error) {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(out, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	base = filepath.Join(base, m.Version)

	archive, err := os.Create(base + ".zip")
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	if tag == "" {
		err = modzip.CreateFromDir(archive, m, filepath.Join(r.root, filepath.FromSlash(dir)))
	} else {
		subdir := dir
		if dir == "." {
			subdir = ""
		}
		err = modzip.CreateFromVCS(archive, m, r.root, tag, subdir)
	}
	if err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}

	gomod, err := readZipped(base+".zip", m.String()+"/go.mod")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(base+".mod", gomod, 0o644); err != nil {
		return nil, err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.Version, time.Now()})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(base+".info", info, 0o644); err != nil {
		return nil, err
	}
	list, err := os.OpenFile(filepath.Join(filepath.Dir(base), "list"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	if _, err := fmt.Fprintln(list, m.Version); err != nil {
		return nil, err
	}
	return modfile.Parse(base+".mod", gomod, nil)
}

// readZipped returns a file of a zip archive.
func readZipped(archive, name string) ([]byte, error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
