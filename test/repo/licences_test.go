package repo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A licence and the words by which its text is known.
type licence struct {
	name  string
	words []string // in lower case, single spaces; all of them
}

// licences, the strict ones first: a text that holds both kinds is of the first. MPL-2.0 names the GNU licences as ones it
// may be combined with, so it goes before them.
var licences = []licence{
	{"MPL-2.0", []string{"mozilla public license", "secondary license"}},
	{"AGPL", []string{"gnu affero general public license"}},
	{"LGPL", []string{"gnu lesser general public license"}},
	{"GPL", []string{"gnu general public license"}},
	{"SSPL", []string{"server side public license"}},
	{"BUSL", []string{"business source license"}},
	{"Apache-2.0", []string{"apache license version 2.0, january 2004", "end of terms and conditions"}},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"}},
	{"BSD", []string{"redistribution and use in source and binary forms, with or without modification, are permitted"}},
}

// permissive are the licences that ask for no more than their own text in what is shipped.
var permissive = []string{"Apache-2.0", "MIT", "ISC", "BSD"}

// weak are the licences of modules that may be used in tests, which are not shipped.
var weak = []string{"MPL-2.0"}

// exceptions are modules of the product under another licence, and why that is fine.
var exceptions = map[string]string{
	"github.com/hashicorp/go-version":     "MPL-2.0 asks for the source of its own files, which are shipped as they are served; clickhouse-go needs it",
	"github.com/opencontainers/go-digest": "its code is Apache-2.0; LICENSE.docs (CC-BY-SA) is for its documents, which are not shipped; distribution/reference needs it",
}

// dependency is a module of which packages are built into the product or its tests.
type dependency struct {
	path, dir string
	testOnly  bool
}

func TestLicences(t *testing.T) {
	if got := licenceOf(read(t, "LICENSE")); got != "Apache-2.0" {
		t.Errorf("LICENSE: found %q, want Apache-2.0", got)
	}

	var found []dependency
	product := moduleDirs(t)
	for path, dir := range product {
		found = append(found, dependency{path, dir, false})
	}
	for path, dir := range moduleDirs(t, "-test") {
		if product[path] == "" {
			found = append(found, dependency{path, dir, true})
		}
	}
	if len(product) < 10 {
		t.Errorf("only %d modules found", len(product))
	}
	slices.SortFunc(found, func(a, b dependency) int { return strings.Compare(a.path, b.path) })
	for _, d := range found {
		texts, err := licenceTexts(d.dir)
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkLicence(d, texts, exceptions))
	}
	for path := range exceptions {
		if product[path] == "" {
			t.Errorf("%s needs no exception: it is no part of the product", path)
		}
	}
}

// moduleDirs returns the folder of every module of which a package is built, the product's own left out.
func moduleDirs(t *testing.T, flags ...string) map[string]string {
	t.Helper()
	args := append([]string{"list", "-e", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}"}, flags...)
	out, err := command("go", append(args, "./...")...)
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && path != module {
			dirs[path] = dir
		}
	}
	return dirs
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying)(|[-.].*)$`)

// licenceTexts returns the texts of the licence files at the top of a module.
func licenceTexts(dir string) (texts []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			texts = append(texts, string(text))
		}
	}
	return texts, nil
}

func checkLicence(d dependency, texts []string, exceptions map[string]string) (complaints []string) {
	if exceptions[d.path] != "" {
		return nil
	}
	if len(texts) == 0 {
		return []string{fmt.Sprintf("%s: no licence file in %s", d.path, d.dir)}
	}
	for _, text := range texts {
		name := licenceOf(text)
		if !slices.Contains(permissive, name) && !(d.testOnly && slices.Contains(weak, name)) {
			complaints = append(complaints, fmt.Sprintf("%s: licence %s is not one of %s", d.path, name, strings.Join(permissive, ", ")))
		}
	}
	return complaints
}

// licenceOf returns the name of the licence whose text this is, "unknown" for others.
func licenceOf(text string) string {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	for _, l := range licences {
		if !slices.ContainsFunc(l.words, func(w string) bool { return !strings.Contains(text, w) }) {
			return l.name
		}
	}
	return "unknown"
}

func TestLicencesComplain(t *testing.T) {
	const (
		mit  = "MIT License\n\nPermission is hereby granted, free of\ncharge, to any person obtaining a copy"
		mpl  = "Mozilla Public License, version 2.0 … “Secondary License” means the GNU General Public License"
		agpl = "GNU AFFERO GENERAL PUBLIC LICENSE Version 3"
	)
	none := map[string]string{}
	product, test := dependency{"a.com/a", "dir", false}, dependency{"a.com/a", "dir", true}
	complains(t, "MIT", checkLicence(product, []string{mit}, none))
	complains(t, "MPL in tests", checkLicence(test, []string{mpl}, none))
	complains(t, "MPL", checkLicence(product, []string{mpl}, none), "a.com/a: licence MPL-2.0 is not one of Apache-2.0, MIT, ISC, BSD")
	complains(t, "MPL, excepted", checkLicence(product, []string{mpl}, map[string]string{"a.com/a": "because"}))
	complains(t, "AGPL in tests", checkLicence(test, []string{agpl}, none), "a.com/a: licence AGPL is not one of Apache-2.0, MIT, ISC, BSD")
	complains(t, "two", checkLicence(product, []string{mit, "All rights reserved."}, none), "a.com/a: licence unknown is not one of Apache-2.0, MIT, ISC, BSD")
	complains(t, "both in one", checkLicence(product, []string{mit + agpl}, none), "a.com/a: licence AGPL is not one of Apache-2.0, MIT, ISC, BSD")
	complains(t, "none", checkLicence(product, nil, none), "a.com/a: no licence file in dir")
}
