package sysdump

import (
	"path"
	"slices"
	"strings"
)

// content is what a file holds by its name.
type content uint8

const (
	other   content = iota // logs, pages, profiles and the like
	objects                // Kubernetes objects
	flows                  // recorded flows
	strange                // something else that is named like objects
	archive                // an archive of its own
)

// hidden are the files and folders that nobody looks at: cilium-cli unpacks the archive that every agent packs, and what
// lies there is for reading, some of it JSON and YAML.
var hidden = []string{".*", "cilium-bugtool-*", "tetragon-bugtool-*"}

// named tells what a file holds by the first pattern of path.Match that fits. The stars stand for a pod, a container and the
// time, the question marks for the time.
var named = []struct {
	pattern string
	content content
}{
	{"hubble-flows-*.json", flows},
	{"hubble-flows-*.json.gz", flows},
	{"*.jsonl", flows},
	{"*.jsonl.gz", flows},
	{"*-metrics-????????-??????.yaml", strange}, // a page for Prometheus, of the API server and in old versions of others
	{"cilium-helm-values-*.yaml", strange},
	{"cilium-helm-metadata-*.yaml", strange},
	{"cilium-spire-server-entries-*.json", strange},
	{"kvstore-*.json", strange}, // what lies in etcd
	{"*.yaml", objects},
	{"*.yml", objects},
	{"*.json", objects},
	{"*.zip", archive},
	{"*.tar", archive},
	{"*.tgz", archive},
	{"*.tar.gz", archive},
	{"*.gpg", archive}, // a sysdump that cilium-cli encrypted, which it did for a while
}

// holds says what a file holds whose slash-separated name, below the dump, is given.
func holds(name string) content {
	folders, base := path.Split(strings.ToLower(name))
	for element := range strings.SplitSeq(folders, "/") {
		if isHidden(element) {
			return other
		}
	}
	if isHidden(base) {
		return other
	}
	for _, n := range named {
		if matches(n.pattern, base) {
			return n.content
		}
	}
	return other
}

func isHidden(element string) bool {
	return slices.ContainsFunc(hidden, func(pattern string) bool { return matches(pattern, element) })
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // the patterns are right
	return ok
}
