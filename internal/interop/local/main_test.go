//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fence = "```"

// try runs a document of blocks, each a kind and a text.
func try(t *testing.T, blocks ...string) error {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(blocks); i += 2 {
		b.WriteString("Words.\n\n" + fence + blocks[i] + "\n" + blocks[i+1] + "\n" + fence + "\n\n")
	}
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return run(t.Context(), file, t.TempDir())
}

func TestRun(t *testing.T) {
	if err := try(t,
		"sh", "echo one two >file", "sh by hand", "exit 1", "sh", "cat file; echo three", "text", "two\nthree", "json", "{}",
		"sh background", "echo up; exec sleep 1000", "text", "up", // ends with the document
		"sh", "echo 127.0.0.1:8080 functions.mjs 8080 2026", "text", "127.0.0.1:8080 functions.mjs 8080 2026",
	); err != nil {
		t.Error(err)
	}
	for want, blocks := range map[string][]string{
		"line 3: exit status 3\nwhy": {"sh", "echo why; exit 3"},
		"exit status 1":              {"sh", "false | true"},
		"there is no command":        {"text", "x"},
		"line 9: want other\ngot\n":  {"sh", "echo one", "text", "other"},
	} {
		if err := try(t, blocks...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", blocks, err)
		}
	}
	err := try(t, "sh", "echo 127.0.0.1:8080", "text", "other")
	if err == nil || strings.Contains(err.Error(), "127.0.0.1:8080") {
		t.Errorf("a port that was kept: %v", err)
	}
}
