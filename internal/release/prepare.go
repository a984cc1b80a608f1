package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// prepare edits the files that name the version of a release: what the modules of this repository
// require of each other, and the heading of CHANGELOG.md. It changes nothing if the version is not
// one that can follow, or if the changelog has nothing to say.
func (r repo) prepare(version string, day time.Time) error {
	tagged, err := r.tags()
	if err != nil {
		return err
	}
	if semver.Canonical(version) != version {
		return fmt.Errorf("%q is not a version such as v0.2.0", version)
	}
	if semver.Compare(version, checkVersion) >= 0 {
		return fmt.Errorf("%s is not before %s, which the release check needs: raise that first", version, checkVersion)
	}
	for tag := range tagged {
		if semver.IsValid(tag) && semver.Compare(tag, version) >= 0 {
			return fmt.Errorf("%s is tagged already, %s does not follow it", tag, version)
		}
	}
	changelog := filepath.Join(r.root, "CHANGELOG.md")
	log, err := os.ReadFile(changelog)
	if err != nil {
		return err
	}
	newLog, err := addHeading(string(log), version, day)
	if err != nil {
		return err
	}

	dirs, err := r.dirsByPath()
	if err != nil {
		return err
	}
	modules, err := r.allModules()
	if err != nil {
		return err
	}
	for _, dir := range modules {
		if err := r.require(dir, version, dirs); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return os.WriteFile(changelog, []byte(newLog), 0o644)
}

// addHeading puts the heading of a version above the changes that have none yet.
func addHeading(log, version string, day time.Time) (string, error) {
	const unreleased = "## [Unreleased]\n"
	before, after, ok := strings.Cut(log, unreleased)
	if !ok {
		return "", errors.New(`CHANGELOG.md has no heading "## [Unreleased]"`)
	}
	changes, _, _ := strings.Cut(after, "\n## ")
	if strings.TrimSpace(changes) == "" {
		return "", errors.New("CHANGELOG.md has no unreleased changes")
	}
	heading := fmt.Sprintf("\n## [%s] - %s\n", strings.TrimPrefix(version, "v"), day.Format(time.DateOnly))
	return before + unreleased + heading + after, nil
}

// require makes the module of a folder require the other modules of this repository at a version. A
// go.work beside it, which replaces what it requires by what is here, follows.
func (r repo) require(dir, version string, dirs map[string]string) error {
	mod, err := r.readModule(dir)
	if err != nil {
		return err
	}
	for _, m := range required(mod, dirs) {
		if err := mod.AddRequire(m.Path, version); err != nil {
			return err
		}
	}
	data, err := mod.Format()
	if err != nil {
		return err
	}
	folder := filepath.Join(r.root, filepath.FromSlash(dir))
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), data, 0o644); err != nil {
		return err
	}

	name := filepath.Join(folder, "go.work")
	data, err = os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	work, err := modfile.ParseWork(name, data, nil)
	if err != nil {
		return err
	}
	// In place, so that the comments stay: each line is "PATH VERSION => FOLDER".
	for _, line := range work.Replace {
		if _, ok := dirs[line.Old.Path]; ok {
			line.Syntax.Token[len(line.Syntax.Token)-3] = version
		}
	}
	return os.WriteFile(name, modfile.Format(work.Syntax), 0o644)
}

// nextSteps says what is left to do by hand.
func (r repo) nextSteps(version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Prepared %[1]s. Look at it (git diff), then:

  bash ci/run
  git commit -am "Release %[1]s"
  git push origin main       # and wait for CI
`, version)
	for _, dir := range r.published {
		fmt.Fprintf(&b, "  git tag -a -m %[1]s %[1]s\n", tagName(dir, version))
	}
	b.WriteString("  git push origin")
	for _, dir := range r.published {
		b.WriteString(" " + tagName(dir, version))
	}
	b.WriteString("\n")
	return b.String()
}
