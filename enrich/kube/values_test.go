package kube_test

import (
	"log/slog"
	"testing"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// A node's configuration is the cluster's with its CiliumNodeConfigs laid over it; of a node that was not told, what these
// may change is left out.
func TestConfigurations(t *testing.T) {
	of := func(paths ...string) map[string]map[string]string {
		store := kube.NewStore(kube.Config{}, flow.NewInterner(), slog.New(slog.DiscardHandler))
		if _, err := store.Load(paths...); err != nil {
			t.Fatal(err)
		}
		return store.Configurations()
	}
	all := of(demo)
	for _, row := range []struct{ node, key, want string }{
		{"node-1", "monitor-aggregation", "low"},
		{"node-2", "monitor-aggregation", "medium"},
		{"", "monitor-aggregation", ""},
		{"node-1", "bpf-lb-sock", "true"},
		{"node-2", "bpf-lb-sock", "false"},
		{"", "hubble-listen-address", ":4244"},
	} {
		if got := all[row.node][row.key]; got != row.want {
			t.Errorf("%s of %q is %q, want %q", row.key, row.node, got, row.want)
		}
	}
	if got := of(recordings + "/objects.yaml"); len(got) != 0 {
		t.Errorf("without a cilium-config: %v", got)
	}
}
