// Command links checks the links of all Markdown files below a folder that lead to another place in
// the repository: the file exists, and so does the heading that an anchor names. It does not look
// at links to other hosts.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: links FOLDER")
		os.Exit(2)
	}
	broken, err := check(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, b := range broken {
		fmt.Println(b)
	}
	if len(broken) > 0 {
		os.Exit(1)
	}
}

// check returns the broken links of all Markdown files below root, as "FILE: TARGET: PROBLEM".
func check(root string) (broken []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".md"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, target := range targets(string(text)) {
			if problem := follow(path, target); problem != nil {
				broken = append(broken, fmt.Sprintf("%s: %s: %v", path, target, problem))
			}
		}
		return nil
	})
	return broken, err
}

var (
	fence = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	code  = regexp.MustCompile("`[^`\n]*`")
	link  = regexp.MustCompile(`\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)\)`)
)

// targets returns what the links of a text lead to, those of code left out.
func targets(text string) []string {
	text = fence.ReplaceAllString(text, "")
	text = code.ReplaceAllString(text, "code")
	var all []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// follow returns what is wrong with a link in a file, nil if it leads somewhere or to another host.
func follow(from, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return errors.New("it is no URL")
	}
	if u.IsAbs() || u.Host != "" {
		return nil
	}
	to := from
	if u.Path != "" {
		to = filepath.Join(filepath.Dir(from), filepath.FromSlash(u.Path))
	}
	if _, err := os.Stat(to); err != nil {
		return errors.New("no such file")
	}
	if u.Fragment == "" || !strings.HasSuffix(to, ".md") {
		return nil
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	if !anchors(string(text))[u.Fragment] {
		return errors.New("no such heading")
	}
	return nil
}

// anchors returns the anchors that GitHub gives to the headings of a text.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, line := range strings.Split(fence.ReplaceAllString(text, ""), "\n") {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		slug := slug(heading)
		for n, name := 1, slug; ; n++ { // the second heading of one text ends in -1
			if !found[name] {
				found[name] = true
				break
			}
			name = fmt.Sprintf("%s-%d", slug, n)
		}
	}
	return found
}

// slug is the anchor of a heading: in lower case, without punctuation, with hyphens for spaces.
func slug(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}
