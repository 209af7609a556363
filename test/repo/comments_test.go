package repo_test

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every package has one comment, in the file that is named for it, and it begins as a sentence about the package.
func TestPackageComments(t *testing.T) {
	for pkg, files := range byPackage(t) {
		report(t, checkComment(pkg, files))
	}
}

func checkComment(pkg string, files []source) (complaints []string) {
	home := path.Base(pkg) + ".go"
	begin := "Package " + path.Base(pkg) + " "
	if files[0].ast.Name.Name == "main" {
		home = "main.go"
		begin = strings.ToUpper(path.Base(pkg)[:1]) + path.Base(pkg)[1:] + " "
	}
	var found bool
	for _, f := range files {
		if f.ast.Doc == nil {
			continue
		}
		text := strings.TrimSpace(f.ast.Doc.Text())
		switch {
		case path.Base(f.path) != home:
			complaints = append(complaints, fmt.Sprintf("%s: the package comment belongs into %s", f.path, home))
		case !strings.HasPrefix(text, begin):
			complaints = append(complaints, fmt.Sprintf("%s: the package comment does not begin with %q", f.path, begin))
		case !sentence(text):
			complaints = append(complaints, fmt.Sprintf("%s: the package comment holds no whole sentence", f.path))
		}
		found = true
	}
	if !found {
		complaints = append(complaints, fmt.Sprintf("%s: package %s has no comment", path.Join(fromRoot(pkg), home), fromRoot(pkg)))
	}
	return complaints
}

// sentence reports whether the first paragraph of a comment has at least four words and ends like a sentence.
func sentence(text string) bool {
	var parser comment.Parser
	for _, block := range parser.Parse(text).Content {
		if p, ok := block.(*comment.Paragraph); ok {
			var printer comment.Printer
			first := strings.TrimSpace(string(printer.Text(&comment.Doc{Content: []comment.Block{p}})))
			return len(strings.Fields(first)) >= 4 && strings.ContainsAny(first[len(first)-1:], ".:")
		}
	}
	return false
}

// An error names the step that was tried and the thing it was tried on; that it did not work is known. It joins others
// after a colon, so it begins in lower case and ends without a stop (which a linter checks).
func TestErrorTexts(t *testing.T) {
	for _, s := range sources(t) {
		report(t, checkErrorTexts(s))
	}
}

var excuse = regexp.MustCompile(`(?i)\b(failed to|failure to|unable to|error while|error when|an error occurred)\b`)

func checkErrorTexts(s source) (complaints []string) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 || !isError(call.Fun) {
			return true
		}
		if text, ok := literal(call.Args[0]); ok {
			if found := excuse.FindString(text); found != "" {
				complaints = append(complaints, fmt.Sprintf("%s: %q: say what was tried, without %q", s.at(call.Pos()), text, found))
			}
		}
		return true
	})
	return complaints
}

// isError reports whether a call of f makes an error out of a text.
func isError(f ast.Expr) bool {
	name := selector(f)
	return name == "fmt.Errorf" || name == "errors.New"
}

// selector returns x.y for that expression, and "" for others.
func selector(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			return x.Name + "." + sel.Sel.Name
		}
	}
	return ""
}

// literal returns the value of a string literal, or of several that are added.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, okX := literal(e.X)
		y, okY := literal(e.Y)
		return x + y, okX && okY
	}
	return "", false
}

func TestCommentsComplain(t *testing.T) {
	check := func(file, text string) []string {
		return checkComment("sextant/a/thing", []source{parse(t, "sextant/a/thing", "a/thing/"+file, text)})
	}
	complains(t, "fine", check("thing.go", "// Package thing does what it says, and only that.\npackage thing"))
	complains(t, "fine", check("main.go", "// Thing is a command with a comment.\npackage main"))
	complains(t, "none", check("thing.go", "// Thing.\n\npackage thing"), "a/thing/thing.go: package a/thing has no comment")
	complains(t, "place", check("x.go", "// Package thing does what it says.\npackage thing"), "a/thing/x.go: the package comment belongs into thing.go")
	complains(t, "begin", check("thing.go", "// This package does what it says.\npackage thing"), `a/thing/thing.go: the package comment does not begin with "Package thing "`)
	complains(t, "short", check("thing.go", "// Package thing rocks.\npackage thing"), "a/thing/thing.go: the package comment holds no whole sentence")

	errorText := func(call string) []string {
		return checkErrorTexts(parse(t, "sextant/a", "a/a.go", "package a\nvar _ = "+call))
	}
	complains(t, "fine", errorText(`fmt.Errorf("dial %s: %w", addr, err)`))
	complains(t, "excuse", errorText(`fmt.Errorf("x: " + "Failed to dial: %w", err)`), `a/a.go:2: "x: Failed to dial: %w": say what was tried, without "Failed to"`)
	complains(t, "excuse", errorText(`errors.New("unable to dial")`), `a/a.go:2: "unable to dial": say what was tried, without "unable to"`)
}
