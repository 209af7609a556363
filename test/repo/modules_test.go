package repo_test

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxModuleLines bounds the product's go.mod: every line of it is code that somebody else can change.
const maxModuleLines = 100

// goMod is a go.mod, as `go mod edit -json` tells it.
type goMod struct {
	Module  struct{ Path string }
	Go      string
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
	Exclude []struct{ Path string }
}

func modFile(t *testing.T, file string) goMod {
	t.Helper()
	out, err := command("go", "mod", "edit", "-json", filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	var m goMod
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The direct dependencies of the product are those that DECISIONS.md gives a reason for.
func TestDependencies(t *testing.T) {
	var direct []string
	for _, r := range modFile(t, "go.mod").Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	report(t, checkDependencies(direct, read(t, "DECISIONS.md")))

	if lines := strings.Count(read(t, "go.mod"), "\n"); lines > maxModuleLines {
		t.Errorf("go.mod has %d lines, at most %d are agreed: can the new one do without, or live in a nested module?", lines, maxModuleLines)
	}
}

func checkDependencies(direct []string, decisions string) (complaints []string) {
	reasons := firstColumn(decisions, "| module | why |")
	if len(reasons) == 0 {
		return []string{"DECISIONS.md: no table of dependencies, which begins | module | why |"}
	}
	for _, module := range direct {
		if !slices.Contains(reasons, module) {
			complaints = append(complaints, fmt.Sprintf("DECISIONS.md: no reason is given for %s, which go.mod requires", module))
		}
	}
	for _, module := range reasons {
		if !slices.Contains(direct, module) {
			complaints = append(complaints, fmt.Sprintf("DECISIONS.md: gives a reason for %s, which go.mod does not require directly", module))
		}
	}
	return complaints
}

// firstColumn returns the first cells of the Markdown table with that header.
func firstColumn(text, header string) (cells []string) {
	_, table, _ := strings.Cut(text, header+"\n")
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if cell := strings.Trim(strings.TrimSpace(strings.Split(line, "|")[1]), "`"); strings.Trim(cell, "-: ") != "" {
			cells = append(cells, cell)
		}
	}
	return cells
}

// Modules replace and exclude nothing, so that who depends on them gets what we tested. Nested ones replace the product by
// the one above them, which is theirs to test, and may pin a module to a version of itself: what they build may need an
// older one than the product does.
func TestModules(t *testing.T) {
	version := modFile(t, "go.mod").Go
	for _, file := range files(t) {
		if path.Base(file) == "go.mod" {
			report(t, checkModule(file, modFile(t, file), version))
		}
	}
}

// minor returns a version of Go without its last number, which what tests need may raise.
func minor(version string) string { return version[:strings.LastIndex(version, ".")] }

func checkModule(file string, m goMod, version string) (complaints []string) {
	dir := path.Dir(file)
	if want := path.Join(module, dir); m.Module.Path != want {
		complaints = append(complaints, fmt.Sprintf("%s: the module is called %s, its folder makes it %s", file, m.Module.Path, want))
	}
	if dir != "." && !strings.HasPrefix(dir, "test/") {
		complaints = append(complaints, fmt.Sprintf("%s: nested modules are for what only tests and tools need, under test/", file))
	}
	if m.Go != version && (dir == "." || minor(m.Go) != minor(version)) {
		complaints = append(complaints, fmt.Sprintf("%s: go %s, but the product says go %s", file, m.Go, version))
	}
	up := strings.Repeat("../", strings.Count(file, "/"))
	for _, r := range m.Replace {
		above := r.Old.Path == module && r.New.Path == strings.TrimSuffix(up, "/")
		pinned := r.New.Path == r.Old.Path && r.New.Version != ""
		if dir == "." || !above && !pinned {
			complaints = append(complaints, fmt.Sprintf("%s: replaces %s by %s", file, r.Old.Path, r.New.Path))
		}
	}
	for _, e := range m.Exclude {
		complaints = append(complaints, fmt.Sprintf("%s: excludes a version of %s", file, e.Path))
	}
	return complaints
}

func TestModulesComplain(t *testing.T) {
	decisions := "| module | why |\n|---|---|\n| `a.com/a` | x |\n| b.com/b | y |\n\n| c.com/c | not of the table |\n"
	complains(t, "fine", checkDependencies([]string{"a.com/a", "b.com/b"}, decisions))
	complains(t, "both", checkDependencies([]string{"a.com/a", "c.com/c"}, decisions),
		"DECISIONS.md: no reason is given for c.com/c, which go.mod requires",
		"DECISIONS.md: gives a reason for b.com/b, which go.mod does not require directly")
	complains(t, "no table", checkDependencies(nil, "# Decisions\n"), "DECISIONS.md: no table of dependencies, which begins | module | why |")

	mod := func(text string) (m goMod) {
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	complains(t, "fine", checkModule("test/x/go.mod", mod(`{"Module":{"Path":"sextant/test/x"},"Go":"1.26.0","Replace":[{"Old":{"Path":"sextant"},"New":{"Path":"../.."}}]}`), "1.26.0"))
	complains(t, "pinned", checkModule("test/x/go.mod", mod(`{"Module":{"Path":"sextant/test/x"},"Go":"1.26.0","Replace":[{"Old":{"Path":"a.com/a"},"New":{"Path":"a.com/a","Version":"v1.2.3"}}]}`), "1.26.0"))
	complains(t, "all", checkModule("tool/go.mod", mod(`{"Module":{"Path":"x"},"Go":"1.25.0","Replace":[{"Old":{"Path":"a.com/a"},"New":{"Path":"../a"}}],"Exclude":[{"Path":"b.com/b"}]}`), "1.26.0"),
		"tool/go.mod: the module is called x, its folder makes it sextant/tool",
		"tool/go.mod: nested modules are for what only tests and tools need, under test/",
		"tool/go.mod: go 1.25.0, but the product says go 1.26.0",
		"tool/go.mod: replaces a.com/a by ../a",
		"tool/go.mod: excludes a version of b.com/b")
	complains(t, "product", checkModule("go.mod", mod(`{"Module":{"Path":"sextant"},"Go":"1.26.0","Replace":[{"Old":{"Path":"sextant"},"New":{"Path":""}}]}`), "1.26.0"),
		"go.mod: replaces sextant by ")
}
