package inventory_test

import (
	"log/slog"
	"strings"
	"testing"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

// TestRecorded: what is said of clusters that were there. deploy/demo/README.md and test/recordings/README.md describe them.
func TestRecorded(t *testing.T) {
	t.Parallel()
	for name, paths := range map[string][]string{
		"demo":       {"../../../deploy/demo/state"},
		"recordings": {"../../../test/recordings/state/objects.yaml", "../../../test/recordings/state/cilium-config-A.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := flow.NewInterner()
			store := kube.NewStore(kube.Config{}, names, slog.New(slog.DiscardHandler))
			if _, err := store.Load(paths...); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, item := range inventory.Of(names, store.View()) {
				b.WriteString(brief(item) + "\n")
			}
			golden(t, name+".golden", b.String())
		})
	}
}
