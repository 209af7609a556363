package kubetest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
	"sextant/enrich/kube/live"
	kubetest "sextant/test/kube"
)

// settings are what a test's watcher is asked to do.
type settings struct {
	kube kube.Config
	live live.Config
}

// watching is a store that a watcher keeps up to date.
type watching struct {
	*kube.Store
	*live.Watcher

	t        *testing.T
	settings settings
	names    *flow.Interner
	metrics  *prometheus.Registry
	stop     func() // returns when the watcher has ended; it ends with the test anyway
}

// watch returns a store of which the watcher says that it is up to date.
func watch(t *testing.T, config *rest.Config, change ...func(*settings)) *watching {
	t.Helper()
	w := begin(t, config, change...)
	w.synced()
	return w
}

// begin starts a watcher. It tries again sooner than the default would, which nobody wants to wait for here.
func begin(t *testing.T, config *rest.Config, change ...func(*settings)) *watching {
	t.Helper()
	s := settings{
		kube: kube.Config{Labels: []string{"team"}, Annotations: []string{"cost-centre"}},
		live: live.Default(),
	}
	s.live.Kubeconfig = kubetest.Kubeconfig(t, config)
	s.live.Recheck, s.live.MaxWait = 300*time.Millisecond, 200*time.Millisecond
	for _, f := range change {
		f(&s)
	}
	s.live.Annotations = s.kube.Annotations

	w := &watching{t: t, settings: s, names: flow.NewInterner(), metrics: prometheus.NewRegistry()}
	w.Store = kube.NewStore(s.kube, w.names, logger(t))
	w.Watcher = live.New(s.live, w.Store, logger(t), w.metrics)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Watcher.Run(ctx); err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	w.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(w.stop)
	return w
}

func logger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// synced waits until the watcher says that all that can be known is in the store.
func (w *watching) synced() {
	w.t.Helper()
	eventually(w.t, func() string {
		if err := w.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// who is a pod in words.
type who struct{ Namespace, Pod, Node, Zone, Workload, Kind, Tags string }

func whoOf(w kube.Who, found bool) who {
	if !found {
		return who{}
	}
	var tags []string
	for _, tag := range w.Tags.Get() {
		tags = append(tags, tag.String())
	}
	return who{
		w.Namespace.String(), w.Pod.String(), w.Node.String(), w.Zone.String(), w.Workload.String(), w.WorkloadKind.String(),
		strings.Join(tags, " "),
	}
}

// at says who has an address now.
func (w *watching) at(ip string) who { return w.then(ip, time.Now()) }

// then says who had an address at a time.
func (w *watching) then(ip string, t time.Time) who {
	return whoOf(w.Index().At(netip.MustParseAddr(ip), t))
}

// pod says who has a name.
func (w *watching) pod(namespace, name string) who { return whoOf(w.Index().Pod(namespace, name)) }

// service says whose frontend or endpoint an address is, and how that is known.
func (w *watching) service(ip string, port uint16) string {
	service, evidence := w.Index().Service(netip.MustParseAddr(ip), port, flow.TCP)
	return fmt.Sprintf("%s %s", service, evidence)
}

// wants waits until what a function returns is as wanted.
func wants[T any](t *testing.T, want T, got func() T) {
	t.Helper()
	eventually(t, func() string { return cmp.Diff(want, got(), values...) })
}

// values are compared as what they stand for.
var values = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b flow.Name) bool { return a == b }),
}

// facts are those about the cluster for verdicts.
func (w *watching) facts() *verdict.Cluster {
	w.t.Helper()
	c, err := w.Cluster()
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// node are the facts about one node, zero when it is not known.
func (w *watching) node(name string) verdict.Node {
	w.t.Helper()
	nodes := w.facts().Nodes
	if i := slices.IndexFunc(nodes, func(n verdict.Node) bool { return n.Name == name }); i >= 0 {
		return nodes[i]
	}
	return verdict.Node{}
}

// viewed is one service as the inventory sees it, zero when it is not known.
func (w *watching) viewed(namespace, name string) kube.ViewService {
	services := w.View().Services
	if i := slices.IndexFunc(services, func(s kube.ViewService) bool { return s.Namespace == namespace && s.Name == name }); i >= 0 {
		return services[i]
	}
	return kube.ViewService{}
}

// states are those of all features.
func (w *watching) states() map[string]string {
	states := map[string]string{}
	for _, f := range w.Features() {
		states[f.Name] = f.State.String()
	}
	return states
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// count is the value of a metric of a watch.
func (w *watching) count(name, kind string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "sextant_kubernetes_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == kind {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	w.t.Fatalf("there is no metric %s of %s", name, kind)
	return 0
}
