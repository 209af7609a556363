package repo_test

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The repository must work wherever it is cloned: no text names a place on somebody's machine or the host of a registry
// (Go, npm and Debian know their own, and whoever has a mirror has told them).
var banned = []struct {
	text *regexp.Regexp // written so that it does not find itself
	why  string
}{
	{regexp.MustCompile(`\.\./share[d]\b`), "it is outside the repository"},
	{regexp.MustCompile(`(^|[^\w.:/*-])/wor[k]/`), "it is a path of one machine"},
	{regexp.MustCompile(`(^|[^\w.:-])/(hom[e]|Use[r]s)/[\w.-]+`), "it is somebody's home"},
	{regexp.MustCompile(`(^|[^\w.:-])/roo[t]/`), "it is somebody's home"},
	{regexp.MustCompile(`\b(prox[y]|su[m]|inde[x])\.golang\.org\b`), "Go knows its proxy"},
	{regexp.MustCompile(`\bregistr[y]\.(npmjs|yarnpkg)\.\w+`), "npm knows its registry"},
	{regexp.MustCompile(`\b(deb|security|ftp)\.debia[n]\.org\b`), "apt knows its mirror"},
	{regexp.MustCompile(`\b(pyp[i]\.org|files\.pythonhoste[d]\.org)\b`), "pip knows its index"},
}

func TestText(t *testing.T) {
	for _, file := range files(t) {
		if strings.HasPrefix(file, "test/recordings/") && path.Ext(file) != ".md" {
			continue // what a real cluster said
		}
		if file == "collector/bucket/catalogue.yaml" || file == "deploy/LIMITS.md" {
			continue // of registries that limit how much they are used
		}
		if text := read(t, file); utf8.ValidString(text) {
			report(t, checkText(file, text))
		}
	}
}

func checkText(file, text string) (complaints []string) {
	for i, line := range strings.Split(text, "\n") {
		for _, b := range banned {
			if found := b.text.FindString(line); found != "" {
				complaints = append(complaints, fmt.Sprintf("%s:%d: %q: %s", file, i+1, strings.TrimSpace(found), b.why))
			}
		}
	}
	return complaints
}

// A link from one document to a file of the repository leads somewhere.
func TestLinks(t *testing.T) {
	exists := map[string]bool{}
	for _, file := range files(t) {
		for ; file != "." && !exists[file]; file = path.Dir(file) {
			exists[file] = true
		}
	}
	for _, file := range files(t) {
		if path.Ext(file) == ".md" {
			report(t, checkLinks(file, read(t, file), exists))
		}
	}
}

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("(?ms)^```.*?^```$")
)

func checkLinks(file, text string, exists map[string]bool) (complaints []string) {
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, ":") {
			continue
		}
		if to := path.Join(path.Dir(file), target); !exists[to] {
			complaints = append(complaints, fmt.Sprintf("%s: link to %s, which is not there", file, to))
		}
	}
	return complaints
}

func TestTextComplains(t *testing.T) {
	for _, fine := range []string{"work/load", "network/", "a/work/b", "/workloads", "/home", "https://host/home/page", "golang.org", "www.debian.org"} {
		complains(t, fine, checkText("a.md", fine))
	}
	// Each is put together here, so that this file has none of them.
	for _, wrong := range [][2]string{
		{"../", "shared"},
		{"/wor", "k/main"},
		{"/ho", "me/ann/x"},
		{"/Us", "ers/ann"},
		{"/ro", "ot/go"},
		{"proxy.", "golang.org"},
		{"sum.", "golang.org"},
		{"registry.", "npmjs.org"},
		{"deb.", "debian.org"},
		{"pypi.", "org"},
	} {
		text := "see\n" + wrong[0] + wrong[1]
		if got := checkText("a.md", text); len(got) != 1 || !strings.HasPrefix(got[0], "a.md:2: ") {
			t.Errorf("%q: complaints %q", text, got)
		}
	}

	exists := map[string]bool{"a": true, "a/b.md": true}
	complains(t, "links", checkLinks("a/c.md", "[x](b.md) [x](../a) [x](b.md#y) [x](#z) [x](https://host/x) [x](d.md)", exists),
		"a/c.md: link to a/d.md, which is not there")
}
