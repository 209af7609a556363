package live

import (
	"fmt"
	"strings"
)

// rule is a rule of a ClusterRole, or of a Role when it has a namespace.
type rule struct {
	group, resource string
	name            string // empty is all
	namespace       string
	verbs           []string
}

// rule returns the permission that a watch needs. A list is for API servers that cannot stream one (WatchList).
func (r row) rule() rule {
	name, _ := strings.CutPrefix(r.fields, "metadata.name=")
	if name == r.fields {
		name = ""
	}
	return rule{group: r.group, resource: r.resource, name: name, namespace: r.namespace, verbs: []string{"list", "watch"}}
}

// String is the rule as YAML, and where it belongs.
func (r rule) String() string {
	text := fmt.Sprintf("{apiGroups: [%q], resources: [%s], ", r.group, r.resource)
	if r.name != "" {
		text += fmt.Sprintf("resourceNames: [%s], ", r.name)
	}
	text += fmt.Sprintf("verbs: [%s]}", strings.Join(r.verbs, ", "))
	if r.namespace != "" {
		return text + " in a Role of the namespace " + r.namespace
	}
	return text + " in the ClusterRole"
}

// full is the resource's full name, as in "ciliumnodes.cilium.io".
func (r rule) full() string {
	if r.group == "" {
		return r.resource
	}
	return r.resource + "." + r.group
}
