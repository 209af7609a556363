package repo_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// top are the names at the top of the repository, and no others: a newcomer reads them first.
var top = []string{
	"cmd", "collector", "enrich", "sinks", "dashboards", "deploy", "test",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "DECISIONS.md",
	".ci", ".github", ".gitignore", ".gitattributes", ".dockerignore", ".editorconfig", ".golangci.yml",
}

// nameless are names of folders that say nothing about what is in them.
var nameless = []string{"internal", "pkg", "util", "utils", "common", "helpers", "misc", "lib"}

func TestLayout(t *testing.T) {
	report(t, checkLayout(files(t)))
}

func checkLayout(files []string) (complaints []string) {
	seen := map[string]bool{}
	complain := func(name, format string, args ...any) {
		if !seen[name] {
			seen[name] = true
			complaints = append(complaints, fmt.Sprintf(format, args...))
		}
	}
	for _, file := range files {
		if first, _, _ := strings.Cut(file, "/"); !slices.Contains(top, first) {
			complain(first, "%s: the top of the repository is fixed (test/repo/layout_test.go)", first)
		}
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			if slices.Contains(nameless, path.Base(dir)) {
				complain(dir, "%s: the name says nothing about what is in it", dir)
			}
		}
	}
	return complaints
}

func TestLayoutComplains(t *testing.T) {
	complains(t, "fine", checkLayout([]string{"README.md", "cmd/sextant/main.go", ".ci/run"}))
	complains(t, "both", checkLayout([]string{"docs/a.md", "docs/b.md", "collector/util/x.go", "collector/util/y.go"}),
		"docs: the top of the repository is fixed (test/repo/layout_test.go)",
		"collector/util: the name says nothing about what is in it")
}
