package kube

import (
	"slices"
	"strings"
)

// command is how a node's agent is run, as far as its pod tells: flags go before every configuration, and whoever set up
// the pod may have changed which configurations there are.
type command struct {
	where string
	flags map[string]string // of cilium-agent
	build map[string]string // of build-config, which merges the configurations (cilium-dbg/cmd/build-config.go)
}

// commandOf reads an agent's pod, and returns nil for others.
func commandOf(o *Pod, where string) *command {
	if o.Metadata.Labels["k8s-app"] != "cilium" {
		return nil
	}
	c := &command{where: where}
	for _, each := range slices.Concat(o.Spec.InitContainers, o.Spec.Containers) {
		words := slices.Concat(each.Command, each.Args)
		switch {
		case each.Name == "cilium-agent":
			c.flags = flagsIn(words)
		case slices.Contains(words, "build-config"):
			c.build = flagsIn(words)
		}
	}
	if c.flags == nil {
		return nil
	}
	return c
}

// flagsIn reads --key=value, --key value, and --key for a switch.
func flagsIn(words []string) map[string]string {
	flags := map[string]string{}
	for i, word := range words {
		flag, ok := strings.CutPrefix(word, "--")
		if !ok {
			continue
		}
		key, text, told := strings.Cut(flag, "=")
		switch {
		case told:
		case i+1 < len(words) && !strings.HasPrefix(words[i+1], "-"):
			text = words[i+1]
		default:
			text = "true"
		}
		flags[key] = text
	}
	return flags
}

// overridable leaves out of a CiliumNodeConfig what this agent does not let it change (pkg/option/resolver/resolver.go:65).
func (c command) overridable(defaults map[string]string) map[string]string {
	allow, deny := words(c.build["allow-config-keys"]), words(c.build["deny-config-keys"])
	if len(allow) == 0 && len(deny) == 0 {
		return defaults
	}
	left := map[string]string{}
	for key, text := range defaults {
		if len(allow) > 0 && slices.Contains(allow, key) || len(allow) == 0 && !slices.Contains(deny, key) {
			left[key] = text
		}
	}
	return left
}

// ordinary reports whether the agent takes its configuration from where agents usually do.
func (c command) ordinary() bool {
	source, told := c.build["source"]
	return !told || source == "config-map:cilium-config,cilium-node-config"
}
