package repo_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A snippet is what a Markdown document sets as code: a fenced block, or words between backquotes.
type snippet struct {
	lang string // of a block; "" for words
	text string
}

var (
	fence  = regexp.MustCompile("(?ms)^[ \t]*```([\\w-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$")
	quoted = regexp.MustCompile("`([^`]+)`")
)

// snippets returns the code of a Markdown document.
func snippets(text string) (all []snippet) {
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		all = append(all, snippet{m[1], m[2]})
	}
	for _, m := range quoted.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all = append(all, snippet{"", strings.Join(strings.Fields(m[1]), " ")})
	}
	return all
}

// A newcomer types what the README shows first, and it is all that is needed.
func TestReadmeBegins(t *testing.T) {
	report(t, checkBegin(read(t, "README.md"), "make run", "make test"))
}

func checkBegin(text string, want ...string) []string {
	var commands []string
	for _, s := range snippets(text) {
		if s.lang == "sh" {
			for line := range strings.Lines(s.text) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
					commands = append(commands, line)
				}
			}
		}
	}
	if got := commands[:min(len(want), len(commands))]; !slices.Equal(got, want) {
		return []string{fmt.Sprintf("README.md: the first commands are %q, want %q", got, want)}
	}
	return nil
}

var (
	target     = regexp.MustCompile(`(?m)^([a-z][\w-]*):.*$`)
	makeCall   = regexp.MustCompile(`(?m)(?:^|[\s;&|(])make ((?:[\w=-]+ ?)+)`)
	targetName = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// Every target of make that a document, a script or a message names is there, and every target says what it does.
func TestTargets(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
		if !strings.Contains(m[0], " ## ") {
			t.Errorf("Makefile: target %s has no ## comment, so that `make` does not name it", m[1])
		}
	}
	if !targets["help"] {
		t.Error("Makefile: no target help")
	}
	for _, file := range files(t) {
		switch {
		case path.Ext(file) == ".md":
			for _, s := range snippets(read(t, file)) {
				report(t, checkTargets(file, s.text, targets))
			}
		case file == ".ci/run":
			report(t, checkTargets(file, read(t, file), targets))
		case path.Ext(file) == ".go" && !strings.HasPrefix(file, "test/repo/"):
			for _, m := range quoted.FindAllStringSubmatch(read(t, file), -1) {
				if strings.HasPrefix(m[1], "make ") {
					report(t, checkTargets(file, m[1], targets))
				}
			}
		}
	}
}

func checkTargets(file, text string, targets map[string]bool) (complaints []string) {
	for _, m := range makeCall.FindAllStringSubmatch(text, -1) {
		for word := range strings.FieldsSeq(m[1]) {
			if targetName.MatchString(word) && !targets[word] {
				complaints = append(complaints, fmt.Sprintf("%s: `make %s`: there is no such target", file, word))
			}
		}
	}
	return complaints
}

func TestReadmeComplains(t *testing.T) {
	const text = "See `x`.\n\n```yaml\nmake: no\n```\n\n```sh\n# first\nmake run\n```\n\nThen\n\n```sh\nmake test\n```\n"
	complains(t, "fine", checkBegin(text, "make run", "make test"))
	complains(t, "other", checkBegin(text, "make test"), `README.md: the first commands are ["make run"], want ["make test"]`)
	complains(t, "nothing", checkBegin("make run", "make run"), `README.md: the first commands are [], want ["make run"]`)

	targets := map[string]bool{"run": true, "test": true}
	check := func(text string) []string { return checkTargets("a.md", text, targets) }
	for _, fine := range []string{"make", "make run test", "cd x && make test TIME=3s", "cmake x", "(make run)"} {
		complains(t, fine, check(fine))
	}
	complains(t, "wrong", check("true\nmake run\nmake -s test tset | cat"), "a.md: `make tset`: there is no such target")
}
