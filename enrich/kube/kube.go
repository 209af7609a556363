// Package kube tells what a Kubernetes cluster says about itself: who has, and had, which address, and the Cilium settings
// that decide whether traffic is translated.
//
// A Store holds its objects, whether a dump told them or a watch, and makes of them an Index of pods, nodes and services by
// address and time, the facts that verdicts ask for, and a View for whoever looks at the cluster as a whole. A Stage fills
// in with an Index what Hubble did not tell of the ends of flows.
//
// It takes what stands there and what an agent of Cilium 1.20 makes of a key that its configuration leaves out (see
// settings.go), and refuses to guess the rest: without a cilium-config every setting is unknown, an address that two claim
// is nobody's, and what shares a node's address is never told from what else runs there. It asks no API server, and writes
// nothing.
package kube

import (
	"fmt"
	"slices"
	"strings"

	"sextant/collector/verdict"
)

// Report says what was made of a dump.
type Report struct {
	Files   int            // that were read, the skipped ones among them
	Objects map[string]int // that were taken, by apiVersion and kind: "cilium.io/v2 CiliumNode"
	Ignored map[string]int // of kinds that decide nothing here
	Skipped []string       // files, or parts of files, that hold no Kubernetes objects, and why
	Doubts  []string       // what makes the facts less certain, or other, than whoever wrote the dump may think
}

// LoadState reads the Kubernetes objects in all files named *.yaml, *.yml and *.json below the directories, in any layout
// and with any names, and in the files among paths whatever their name. Lists, single objects, several documents in
// one file and JSON are all the same to it.
//
// Where an object is told twice, the later path wins; within a directory the later file in lexical order, which is
// reported. An error names the file, the object and the field.
func LoadState(paths ...string) (*verdict.Cluster, Report, error) {
	s := newState(Config{})
	report, err := s.loadAll(paths)
	if err != nil {
		return nil, report, err
	}
	cluster, err := s.cluster()
	return cluster, s.report, err
}

func newReport() Report { return Report{Objects: map[string]int{}, Ignored: map[string]int{}} }

// maxNotes bounds each list of a report.
const maxNotes = 100

func note(list *[]string, format string, args ...any) {
	switch {
	case len(*list) < maxNotes:
		*list = append(*list, fmt.Sprintf(format, args...))
	case len(*list) == maxNotes:
		*list = append(*list, "and more")
	}
}

// doubt says a doubt once, however many nodes share it.
func (s *state) doubt(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.report.Doubts, text) {
		note(&s.report.Doubts, "%s", text)
	}
}

// count adds one to a kind's number. Hostile files invent kinds without end, so there is an end.
func count(kinds map[string]int, kind string) {
	if _, known := kinds[kind]; !known && len(kinds) >= maxNotes {
		kind = "others"
	}
	kinds[kind]++
}

// name is what an object is called within its kind.
type name struct{ namespace, name string }

func (n name) String() string {
	if n.namespace == "" {
		return n.name
	}
	return n.namespace + "/" + n.name
}

func (n name) compare(other name) int {
	if c := strings.Compare(n.namespace, other.namespace); c != 0 {
		return c
	}
	return strings.Compare(n.name, other.name)
}
