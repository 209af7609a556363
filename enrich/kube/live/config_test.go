package live_test

import (
	"testing"
	"time"

	"sextant/enrich/kube/live"
)

func TestConfig(t *testing.T) {
	with := func(change func(*live.Config)) live.Config {
		c := live.Default()
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  live.Config
		want string
	}{
		"default":        {live.Default(), ""},
		"off":            {with(func(c *live.Config) { c.Scope = live.ScopeOff }), ""},
		"node":           {with(func(c *live.Config) { c.Scope, c.NodeName = live.ScopeNode, "n1" }), ""},
		"context":        {with(func(c *live.Config) { c.Kubeconfig, c.Context = "f", "c" }), ""},
		"no such scope":  {with(func(c *live.Config) { c.Scope = "pod" }), `kubernetes.scope: must be cluster, node or off, is "pod"`},
		"no node":        {with(func(c *live.Config) { c.Scope = live.ScopeNode }), "kubernetes.node_name: must be set for scope node, in a pod from its field spec.nodeName"},
		"context of no":  {with(func(c *live.Config) { c.Context = "c" }), "kubernetes.context: needs kubeconfig"},
		"no namespace":   {with(func(c *live.Config) { c.CiliumNamespace = "" }), "kubernetes.cilium_namespace: must not be empty"},
		"no such remote": {with(func(c *live.Config) { c.Remote = "maybe" }), `kubernetes.remote: must be lookup, cilium or none, is "maybe"`},
		"no rate":        {with(func(c *live.Config) { c.LookupRate = 0 }), "kubernetes.lookup_rate: must be more than 0 and at most 1000, is 0"},
		"no pods":        {with(func(c *live.Config) { c.LookupPods = 0 }), "kubernetes.lookup_pods: must be from 1 to 1048576, is 0"},
		"times": {
			with(func(c *live.Config) { c.LookupTTL, c.Recheck, c.MaxWait = 0, time.Millisecond, -1 }),
			"kubernetes.lookup_ttl: must be at least 1s, is 0s\nkubernetes.recheck: must be at least 1s, is 1ms\nkubernetes.max_wait: must be at least 1s, is -1ns",
		},
	} {
		got := ""
		if err := c.cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestEnabled(t *testing.T) {
	c := live.Default()
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if c.Enabled() {
		t.Error("out of a cluster, without a kubeconfig, something is to be watched")
	}
	c.Kubeconfig = "f"
	if !c.Enabled() {
		t.Error("a kubeconfig was given, and nothing is to be watched")
	}
	c.Kubeconfig = ""
	t.Setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
	if !c.Enabled() {
		t.Error("in a cluster nothing is to be watched")
	}
	c.Scope = live.ScopeOff
	if c.Enabled() {
		t.Error("off, and yet something is to be watched")
	}
}
