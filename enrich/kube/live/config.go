package live

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Config is which API server is watched, and how much of the cluster.
type Config struct {
	Kubeconfig      string        `yaml:"kubeconfig" flag:"kubeconfig" doc:"kubeconfig file that names the API server to watch; none: that of the cluster this runs in"`
	Context         string        `yaml:"context" flag:"kube-context" doc:"context of the kubeconfig file; none: its current one"`
	Scope           string        `yaml:"scope" doc:"what is watched: cluster, or node for the pods of one node alone, or off; out of a cluster and without a kubeconfig nothing is"`
	NodeName        string        `yaml:"node_name" doc:"name of that node, for scope node (spec.nodeName of this pod)"`
	CiliumNamespace string        `yaml:"cilium_namespace" doc:"namespace of Cilium and its ConfigMap cilium-config"`
	Remote          string        `yaml:"remote" doc:"how pods of other nodes are known with scope node: lookup (each is asked for when a flow names it), cilium (all are watched as Cilium's endpoints and identities) or none"`
	LookupRate      float64       `yaml:"lookup_rate" doc:"most questions a second to the API server for single pods"`
	LookupPods      int           `yaml:"lookup_pods" doc:"most pods of other nodes that are remembered at once"`
	LookupTTL       time.Duration `yaml:"lookup_ttl" doc:"how long what was answered for a pod of another node is believed"`
	Recheck         time.Duration `yaml:"recheck" doc:"how often a watch that lacks a permission or a resource is tried again"`
	MaxWait         time.Duration `yaml:"max_wait" doc:"longest pause between two attempts to reach the API server"`

	// Annotations are the keys that the store makes tags of (kube.Config.Annotations). The others are not kept.
	Annotations []string
}

// Values of Config.Scope.
const (
	ScopeCluster = "cluster"
	ScopeNode    = "node"
	ScopeOff     = "off"
)

// Values of Config.Remote.
const (
	RemoteLookup = "lookup"
	RemoteCilium = "cilium"
	RemoteNone   = "none"
)

// Default returns the configuration of a service in the cluster that it watches.
func Default() Config {
	return Config{
		Scope:           ScopeCluster,
		CiliumNamespace: "kube-system",
		Remote:          RemoteLookup,
		LookupRate:      5,
		LookupPods:      4096,
		LookupTTL:       5 * time.Minute,
		Recheck:         2 * time.Minute,
		MaxWait:         30 * time.Second,
	}
}

// Enabled reports whether there is anything to watch: scope is not off, and a kubeconfig is named or this runs in a cluster.
func (c Config) Enabled() bool {
	return c.Scope != ScopeOff && (c.Kubeconfig != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != "")
}

// Validate returns all that is wrong, each with the key's path. It reads no files.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("kubernetes."+key+": "+format, args...))
	}
	if !slices.Contains([]string{ScopeCluster, ScopeNode, ScopeOff}, c.Scope) {
		bad("scope", "must be cluster, node or off, is %q", c.Scope)
	}
	if c.Scope == ScopeNode && c.NodeName == "" {
		bad("node_name", "must be set for scope node, in a pod from its field spec.nodeName")
	}
	if c.Context != "" && c.Kubeconfig == "" {
		bad("context", "needs kubeconfig")
	}
	if c.CiliumNamespace == "" {
		bad("cilium_namespace", "must not be empty")
	}
	if !slices.Contains([]string{RemoteLookup, RemoteCilium, RemoteNone}, c.Remote) {
		bad("remote", "must be lookup, cilium or none, is %q", c.Remote)
	}
	if !(c.LookupRate > 0 && c.LookupRate <= 1000) {
		bad("lookup_rate", "must be more than 0 and at most 1000, is %v", c.LookupRate)
	}
	if c.LookupPods < 1 || c.LookupPods > 1<<20 {
		bad("lookup_pods", "must be from 1 to %d, is %d", 1<<20, c.LookupPods)
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"lookup_ttl", c.LookupTTL}, {"recheck", c.Recheck}, {"max_wait", c.MaxWait}} {
		if d.value < time.Second {
			bad(d.key, "must be at least 1s, is %s", d.value)
		}
	}
	return errors.Join(errs...)
}
