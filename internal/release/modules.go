package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// A repo is a working tree of git with several modules.
type repo struct {
	root string

	// The folders of the modules that are tagged, in the order of their tags: each after those that
	// it requires.
	published []string
}

// readModule returns the go.mod of a folder.
func (r repo) readModule(dir string) (*modfile.File, error) {
	name := filepath.Join(r.root, filepath.FromSlash(dir), "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, data, nil)
}

// allModules returns the folders of all modules, published or not.
func (r repo) allModules() ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(r.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.Name() == "go.mod" {
			dir, err := filepath.Rel(r.root, filepath.Dir(path))
			if err != nil {
				return err
			}
			dirs = append(dirs, filepath.ToSlash(dir))
		}
		return nil
	})
	return dirs, err
}

// dirsByPath maps the paths of the published modules to their folders.
func (r repo) dirsByPath() (map[string]string, error) {
	dirs := make(map[string]string)
	for _, dir := range r.published {
		mod, err := r.readModule(dir)
		if err != nil {
			return nil, err
		}
		dirs[mod.Module.Mod.Path] = dir
	}
	return dirs, nil
}

// required returns the versions of published modules that a go.mod requires.
func required(mod *modfile.File, dirs map[string]string) []module.Version {
	var versions []module.Version
	for _, line := range mod.Require {
		if _, ours := dirs[line.Mod.Path]; ours {
			versions = append(versions, line.Mod)
		}
	}
	return versions
}

// tagName is the tag of a version of the module in a folder.
func tagName(dir, version string) string {
	if dir == "." {
		return version
	}
	return dir + "/" + version
}

// tags returns the tags.
func (r repo) tags() (map[string]bool, error) {
	cmd := exec.Command("git", "tag")
	cmd.Dir = r.root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git tag: %w", err)
	}
	found := make(map[string]bool)
	for _, tag := range strings.Fields(string(out)) {
		found[tag] = true
	}
	return found, nil
}
