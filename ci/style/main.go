// Command style checks the Go files below a folder against the rules of this repository that gofmt,
// vet and staticcheck know nothing of:
//
//   - a comment that stands on its own is at most 100 columns wide;
//   - what a package exports is documented, in all packages that are not commands;
//   - a file has at most 400 lines, one of tests 500;
//   - a type has at most 20 methods, and a struct at most 20 fields.
//
// It is run as "style [-off RULES] FOLDER"; the rules are columns, docs, fields, lines and methods.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxColumns   = 100
	maxLines     = 400
	maxTestLines = 500
	maxMethods   = 20
	maxFields    = 20
)

// largeStructs may have more than maxFields, by folder and name. They are plain data of the public
// API, whose fields are looked up by name, and cannot change: other code is compiled against them.
var largeStructs = []string{
	"Stats",
	"gatewaytest/Config",
}

func main() {
	off := flag.String("off", "", "rules not to check, separated by commas: columns, docs, fields, lines, methods")
	flag.Parse()
	breaches, err := check(flag.Arg(0), strings.Split(*off, ",")...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, b := range breaches {
		fmt.Println(b)
	}
	if len(breaches) > 0 {
		os.Exit(1)
	}
}

// A checker collects the breaches of a tree of Go files.
type checker struct {
	root     string
	off      []string // rules that are not checked
	breaches []string
	methods  map[string]int // by "folder.Type", tests left out
}

// check returns the breaches of all Go files below root, sorted, but not those of the rules in off.
func check(root string, off ...string) ([]string, error) {
	c := &checker{root: root, off: off, methods: make(map[string]int)}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		return c.file(path)
	})
	for name, n := range c.methods {
		if n > maxMethods {
			c.report("methods", "%s has %d methods; at most %d", name, n, maxMethods)
		}
	}
	slices.Sort(c.breaches)
	return c.breaches, err
}

// report notes a breach of a rule.
func (c *checker) report(rule, format string, args ...any) {
	if !slices.Contains(c.off, rule) {
		c.breaches = append(c.breaches, fmt.Sprintf(format, args...))
	}
}

// file checks one file. A file that does not parse ends the check: it is an error, not a breach.
func (c *checker) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(f) {
		return nil
	}
	test := strings.HasSuffix(path, "_test.go")
	limit := maxLines
	if test {
		limit = maxTestLines
	}
	if n := bytes.Count(src, []byte("\n")); n > limit {
		c.report("lines", "%s: %d lines; at most %d", path, n, limit)
	}
	c.columns(fset, f, src)
	if test {
		return nil
	}
	if err := c.fields(fset, f); err != nil {
		return err
	}
	command := f.Name.Name == "main"
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			receiver := receiverName(d)
			if receiver != "" {
				c.methods[filepath.Dir(path)+"."+receiver]++
			}
			exported := d.Name.IsExported() && (receiver == "" || ast.IsExported(receiver))
			if exported && !command && d.Doc == nil {
				c.undocumented(fset, d.Name)
			}
		case *ast.GenDecl:
			if !command {
				c.general(fset, d)
			}
		}
	}
	return nil
}

// columns reports each line of a comment that is too wide. Exempt are comments behind code, lines
// with a URL, which cannot be broken, directives for tools, and the output of examples.
func (c *checker) columns(fset *token.FileSet, f *ast.File, src []byte) {
	lines := strings.Split(string(src), "\n")
	for _, group := range f.Comments {
		if strings.HasPrefix(group.Text(), "Output:") || strings.HasPrefix(group.Text(), "Unordered output:") {
			continue
		}
		for n := fset.Position(group.Pos()).Line; n <= fset.Position(group.End()).Line; n++ {
			line := strings.TrimRight(lines[n-1], "\r")
			text := strings.TrimLeft(line, "\t ")
			behindCode := n == fset.Position(group.Pos()).Line && !strings.HasPrefix(text, "/")
			directive := strings.HasPrefix(text, "//go:") || strings.HasPrefix(text, "//lint:")
			if behindCode || directive || strings.Contains(line, "://") {
				continue
			}
			if w := width(line); w > maxColumns {
				c.report("columns", "%s:%d: a comment of %d columns; at most %d",
					fset.Position(group.Pos()).Filename, n, w, maxColumns)
			}
		}
	}
}

// width is the column that a line ends in, with tabs of 4.
func width(line string) int {
	return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
}

// fields reports each struct type with too many fields. An embedded one counts as one.
func (c *checker) fields(fset *token.FileSet, f *ast.File) error {
	folder, err := filepath.Rel(c.root, filepath.Dir(fset.Position(f.Pos()).Filename))
	if err != nil {
		return err
	}
	ast.Inspect(f, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.TypeSpec:
			return !slices.Contains(largeStructs, filepath.ToSlash(filepath.Join(folder, n.Name.Name)))
		case *ast.StructType:
			if fields := n.Fields.NumFields(); fields > maxFields {
				c.report("fields", "%s: a struct of %d fields; at most %d", fset.Position(n.Pos()), fields, maxFields)
			}
		}
		return true
	})
	return nil
}

// general reports what a declaration of types, constants or variables exports without
// documentation. A comment on the whole group covers constants and variables, not types.
func (c *checker) general(fset *token.FileSet, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if !s.Name.IsExported() {
				continue
			}
			if s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				c.undocumented(fset, s.Name)
			}
			if st, ok := s.Type.(*ast.StructType); ok {
				c.fieldDocs(fset, s.Name.Name, st)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					c.undocumented(fset, name)
				}
			}
		}
	}
}

// fieldDocs reports the undocumented exported fields of an exported struct. One comment, above or
// behind, covers the fields of the lines that follow it without an empty line between.
func (c *checker) fieldDocs(fset *token.FileSet, typ string, st *ast.StructType) {
	covered := -1 // the line up to which the last comment covers
	for _, field := range st.Fields.List {
		first, last := fset.Position(field.Pos()).Line, fset.Position(field.End()).Line
		if field.Doc != nil || field.Comment != nil || first == covered+1 {
			covered = last
			continue
		}
		for _, name := range field.Names {
			if name.IsExported() {
				c.report("docs", "%s: %s.%s is not documented", fset.Position(name.Pos()), typ, name.Name)
			}
		}
	}
}

func (c *checker) undocumented(fset *token.FileSet, name *ast.Ident) {
	c.report("docs", "%s: %s is not documented", fset.Position(name.Pos()), name.Name)
}

// receiverName is the name of the type that a method belongs to, "" for a function.
func receiverName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}
