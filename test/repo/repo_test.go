// Package repo_test checks the repository itself: what may import what, what the documents promise, what the modules
// pull in and under which licence, how metrics are named. It says nothing about what the program does.
//
// Each check is a plain function from what it looks at to its complaints, so that it is tested on made-up input too: a
// check that cannot fail protects nothing.
package repo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the top of the repository, seen from here.
const root = "../.."

// module is the path of the product's module.
const module = "sextant"

// report fails the test once for each complaint.
func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// complains tests a check on made-up input.
func complains(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: complaints (-want +got)\n%s", name, diff)
	}
}

// ignored are the patterns of .gitignore: names at the top (/bin/) or anywhere (node_modules/).
var ignored = sync.OnceValues(func() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	return strings.Fields(string(text)), err
})

// files returns the path, from the root and with slashes, of every file that is or could be committed.
func files(t *testing.T) []string {
	t.Helper()
	patterns, err := ignored()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // somebody else's temporary file
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		name := entry.Name()
		skip := rel == ".git" || slices.ContainsFunc(patterns, func(p string) bool {
			p = strings.TrimSuffix(p, "/")
			return p == "/"+rel || p == name
		})
		switch {
		case skip && entry.IsDir():
			return fs.SkipDir
		case !skip && entry.Type().IsRegular():
			paths = append(paths, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// read returns the text of the file at path, seen from the root.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goPackage is a package of the product's module, as `go list` tells it.
type goPackage struct {
	ImportPath     string
	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string // of other platforms and build tags
}

// packages lists every package of the product's module; nested modules have rules of their own.
func packages(t *testing.T) []goPackage {
	t.Helper()
	list, err := listOnce()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var listOnce = sync.OnceValues(func() ([]goPackage, error) {
	out, err := command("go", "list", "-e", "-json=ImportPath,GoFiles,CgoFiles,IgnoredGoFiles", "./...")
	if err != nil {
		return nil, err
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		list = append(list, p)
	}
})

// command runs a program at the root and returns its standard output.
func command(name string, args ...string) ([]byte, error) {
	var stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return out, nil
}

// source is one Go file of the product that is no test.
type source struct {
	pkg  string // import path
	path string // from the root
	ast  *ast.File
	fset *token.FileSet
}

// at names a place in the file.
func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(pos).Line)
}

// sources parses every Go file of the product that is no test, those of other platforms too.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range packages(t) {
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			path := filepath.Join(strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/"), file)
			all = append(all, parse(t, p.ImportPath, path, read(t, path)))
		}
	}
	if len(all) == 0 {
		t.Fatal("no Go files found")
	}
	return all
}

// byPackage returns the same by package.
func byPackage(t *testing.T) map[string][]source {
	t.Helper()
	all := map[string][]source{}
	for _, s := range sources(t) {
		all[s.pkg] = append(all[s.pkg], s)
	}
	return all
}

// parse parses one Go file.
func parse(t *testing.T, pkg, path, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{pkg, path, f, fset}
}
