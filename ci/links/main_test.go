package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLinks(t *testing.T) {
	const other = "# A title: with `code`, and more!\n\n## Again\n\n## Again\n\n## 配信\n\n```\n# no heading\n```\n\n### [Linked](x.md) heading\n"
	for name, test := range map[string]struct {
		text    string
		problem string // "" if all is well
	}{
		"file":                {"[x](other.md)", ""},
		"folder":              {"[x](folder)", ""},
		"image":               {"![x](folder/deep.md)", ""},
		"missing":             {"[x](none.md)", "none.md: no such file"},
		"missing image":       {"![x](none.png)", "none.png: no such file"},
		"image as link":       {"[![x](none.png)](other.md)", "none.png: no such file"},
		"escaped":             {"[x](a%20b.md)", ""},
		"heading":             {"[x](other.md#a-title-with-code-and-more)", ""},
		"heading twice":       {"[x](other.md#again) [x](other.md#again-1)", ""},
		"not thrice":          {"[x](other.md#again-2)", "other.md#again-2: no such heading"},
		"heading in Japanese": {"[x](other.md#配信)", ""},
		"linked heading":      {"[x](other.md#linked-heading)", ""},
		"comment in code":     {"[x](other.md#no-heading)", "other.md#no-heading: no such heading"},
		"own heading":         {"[x](#here)\n# Here\n", ""},
		"own heading missing": {"[x](#there)\n# Here\n", "#there: no such heading"},
		"upwards":             {"[x](folder/../other.md)", ""},
		"other host":          {"[x](https://example.com/none.md#none)", ""},
		"code":                {"`[x](none.md)`\n```go\n[x](none.md)\n```\n", ""},
		"source":              {"[x](a%20b.md#L12)", "a%20b.md#L12: no such heading"},
		"parentheses":         {"[x](none(1).md)", "none(1).md: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				"README.md": test.text, "other.md": other, "a b.md": "", "folder/deep.md": "[x](../other.md)",
				"testdata/x.md": "[x](none.md)",
			} {
				file = filepath.Join(dir, filepath.FromSlash(file))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// other.md links to x.md in a heading, which does not exist.
			want := []string{filepath.Join(dir, "other.md") + ": x.md: no such file"}
			if test.problem != "" {
				want = append([]string{filepath.Join(dir, "README.md") + ": " + test.problem}, want...)
			}
			got, err := check(dir)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, got\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
