package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample returns a repository in which the module nested uses the function of the root module that
// is named, and requires version v0.1.0 of it. The root module has only the function Old.
func sample(t *testing.T, function string) repo {
	t.Helper()
	r := repo{t.TempDir(), []string{".", "nested"}}
	write(t, r, "go.mod", "module github.com/apigws/apigws\n\ngo 1.26\n")
	write(t, r, "root.go", "package apigws\n\nfunc Old() {}\n")
	write(t, r, "CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n### Added\n- Old.\n")
	write(t, r, "nested/go.mod", "module github.com/apigws/apigws/nested\n\ngo 1.26\n\n"+
		"require github.com/apigws/apigws v0.1.0\n\nreplace github.com/apigws/apigws => ../\n")
	write(t, r, "nested/nested.go", "package nested\n\nimport \"github.com/apigws/apigws\"\n\nvar F = apigws."+function+"\n")
	git(t, r, "init", "-q")
	git(t, r, "config", "user.name", "test")
	git(t, r, "config", "user.email", "test@example.com")
	git(t, r, "add", ".")
	git(t, r, "commit", "-q", "-m", "sample")
	return r
}

func TestCheckBeforeTheFirstTag(t *testing.T) {
	// What the user's own environment says of modules does not count.
	t.Setenv("GOWORK", filepath.Join(t.TempDir(), "go.work"))
	t.Setenv("GOFLAGS", "-mod=vendor")
	if err := sample(t, "Old").check(); err != nil {
		t.Error(err)
	}
}

func TestCheckTakesRequiredVersionsFromTheirTags(t *testing.T) {
	r := sample(t, "New")
	git(t, r, "tag", "v0.1.0")
	write(t, r, "root.go", "package apigws\n\nfunc Old() {}\n\nfunc New() {}\n")
	if err := r.check(); err == nil {
		t.Fatal("nested needs New, requires v0.1.0, which has no New, and passes")
	} else if !strings.Contains(err.Error(), "apigws/nested: go build") {
		t.Fatal(err)
	}

	// The next version is not tagged: it will be what the working tree is.
	gomod := read(t, r, "nested/go.mod")
	write(t, r, "nested/go.mod", strings.Replace(gomod, "v0.1.0", "v0.2.0", 1))
	if err := r.check(); err != nil {
		t.Error(err)
	}
}

func TestCheckRefusesToInstallWithReplace(t *testing.T) {
	r := sample(t, "Old")
	r.published = append(r.published, "cmd/it")
	write(t, r, "cmd/it/main.go", "package main\n\nfunc main() {}\n")
	write(t, r, "cmd/it/go.mod", "module github.com/apigws/apigws/cmd/it\n\ngo 1.26\n")
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	write(t, r, "cmd/it/go.mod", "module github.com/apigws/apigws/cmd/it\n\ngo 1.26\n\nreplace github.com/apigws/apigws => ../..\n")
	if err := r.check(); err == nil {
		t.Error("a command with a replace directive passes")
	}
}

func TestPrepare(t *testing.T) {
	r := sample(t, "Old")
	git(t, r, "tag", "v0.1.0")
	write(t, r, "unpublished/go.mod", "module example.com/unpublished\n\ngo 1.26\n\n"+
		"require github.com/apigws/apigws v0.0.0 // indirect\n")
	write(t, r, "nested/go.work", "// Why.\ngo 1.26\n\nuse .\n\n// And why.\nreplace github.com/apigws/apigws v0.1.0 => ../\n")
	if err := r.prepare("v0.2.0", time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"CHANGELOG.md":       "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-24\n\n### Added\n- Old.\n",
		"nested/go.work":     "// Why.\ngo 1.26\n\nuse .\n\n// And why.\nreplace github.com/apigws/apigws v0.2.0 => ../\n",
		"unpublished/go.mod": "module example.com/unpublished\n\ngo 1.26\n\nrequire github.com/apigws/apigws v0.2.0 // indirect\n",
		"nested/go.mod": "module github.com/apigws/apigws/nested\n\ngo 1.26\n\n" +
			"require github.com/apigws/apigws v0.2.0\n\nreplace github.com/apigws/apigws => ../\n",
	} {
		if got := read(t, r, name); got != want {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if err := r.check(); err != nil {
		t.Error(err)
	}
}

func TestPrepareRefuses(t *testing.T) {
	for name, version := range map[string]string{
		"not a version": "0.3.0",
		"incomplete":    "v0.3",
		"tagged":        "v0.2.0",
		"older":         "v0.1.1",
		"too new":       "v0.99.0",
	} {
		t.Run(name, func(t *testing.T) {
			r := sample(t, "Old")
			git(t, r, "tag", "v0.2.0")
			if err := r.prepare(version, time.Now()); err == nil {
				t.Error("prepared")
			}
			cmd := exec.Command("git", "status", "--porcelain")
			cmd.Dir = r.root
			if out, err := cmd.Output(); err != nil || len(out) > 0 {
				t.Errorf("%v, changed:\n%s", err, out)
			}
		})
	}
}

func TestPrepareNeedsSomethingToSay(t *testing.T) {
	r := sample(t, "Old")
	write(t, r, "CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-11-24\n\n- Old.\n")
	if err := r.prepare("v0.2.0", time.Now()); err == nil {
		t.Error("prepared a release without changes")
	}
}

func TestNextStepsTagInOrder(t *testing.T) {
	var tagged []string
	for _, line := range strings.Split(repo{published: []string{".", "a/b", "c"}}.nextSteps("v1.2.3"), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "tag" {
			tagged = append(tagged, fields[len(fields)-1])
		}
	}
	if want := []string{"v1.2.3", "a/b/v1.2.3", "c/v1.2.3"}; !slices.Equal(tagged, want) {
		t.Errorf("%q, want %q", tagged, want)
	}
}

// TestEveryModuleIsPublishedOrNot fails when a module is added and nobody decided whether to tag
// it.
func TestEveryModuleIsPublishedOrNot(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := repo{root: root}.allModules()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		top, _, _ := strings.Cut(dir, "/")
		if !slices.Contains(published, dir) && top != "internal" && top != "examples" && top != "bench" {
			t.Errorf("module %s is not in the list of published modules", dir)
		}
	}
}

func write(t *testing.T, r repo, name, text string) {
	t.Helper()
	name = filepath.Join(r.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, r repo, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func git(t *testing.T, r repo, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = r.root, append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}
