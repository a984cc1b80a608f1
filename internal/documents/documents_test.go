package documents

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	block    = regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	testName = regexp.MustCompile("`((?:Test|Fuzz|Example|Benchmark)[A-Z][A-Za-z0-9_]*)`")
)

// files returns the text of all files of the repository whose names end in suffix, by path.
func files(t *testing.T, suffix string) map[string]string {
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// flat is a text without the indentation of its lines.
func flat(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// Every block of Go in a document stands, line for line, in a Go file, which the tests of its
// module compile.
func TestDocumentsShowCodeThatIsCompiled(t *testing.T) {
	var code []string
	for _, text := range files(t, ".go") {
		code = append(code, "\n"+flat(text)+"\n")
	}
	blocks := 0
	for path, text := range files(t, ".md") {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			blocks++
			want := "\n" + strings.TrimSpace(flat(m[1])) + "\n"
			if !containsAny(code, want) {
				t.Errorf("%s: no Go file has\n%s", path, m[1])
			}
		}
	}
	if blocks == 0 {
		t.Error("no block of Go in any document")
	}
}

func containsAny(texts []string, part string) bool {
	for _, text := range texts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// Every test that a document names exists.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	var tests strings.Builder
	for _, text := range files(t, "_test.go") {
		tests.WriteString(text)
	}
	for path, text := range files(t, ".md") {
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(tests.String(), "\nfunc "+m[1]+"(") {
				t.Errorf("%s names %s, which no file has", path, m[1])
			}
		}
	}
}

// The README stays short.
func TestLengthOfTheREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, more than 150", n)
	}
}
