package kubetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
	"sextant/enrich/kube/live"
	kubetest "sextant/test/kube"
)

// How many pods a large cluster has here, and what a watcher of them may need: about twice of what was measured.
const (
	manyPods = 10_000
	mostHeap = 4 << 10   // bytes for each pod, of store, index and facts together
	mostRSS  = 200 << 20 // bytes of the process at its highest
)

// childConfig names the environment variable with the kubeconfig of a process that does nothing but watch.
const childConfig = "KUBETEST_CHILD_KUBECONFIG"

// measures are what such a process says of itself.
type measures struct {
	Sync        time.Duration // from the start of the watcher to the first complete index
	Heap        int           // bytes that the cluster takes after a garbage collection: store, index and facts
	StoreHeap   int           // those of the store alone
	PeakRSS     int           // bytes
	Rebuild     time.Duration // of index and facts
	At          lookup        // who has an address
	Pod         lookup        // who has a name
	Service     lookup        // whose frontend is it; of an address of a pod, which is none
	PodsIndexed int
}

type lookup struct{ Ns, Allocs int64 }

// Ten thousand pods, as large as pods are, from an API server that streams lists and from one that does not.
func TestManyPods(t *testing.T) {
	for name, args := range map[string][]string{"Streamed": nil, "Listed": {"--feature-gates=WatchList=false"}} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.New(t, kubetest.Options{Args: args})
			m := measure(t, s)
			t.Logf("%d pods: %d B of heap each (%d B of them the store's), peak RSS %d MiB, up to date after %v, index and facts made anew in %v, lookup by address %d ns, by name %d ns, of a service %d ns",
				manyPods, m.Heap/manyPods, m.StoreHeap/manyPods, m.PeakRSS>>20, m.Sync.Round(time.Millisecond), m.Rebuild.Round(time.Millisecond), m.At.Ns, m.Pod.Ns, m.Service.Ns)
			if m.PodsIndexed != manyPods {
				t.Errorf("%d of %d pods are found by each of their addresses and their name", m.PodsIndexed, manyPods)
			}
			if got := m.Heap / manyPods; got > mostHeap {
				t.Errorf("a pod takes %d bytes, at most %d are agreed", got, mostHeap)
			}
			if m.PeakRSS > mostRSS {
				t.Errorf("the process grew to %d MiB, at most %d are agreed", m.PeakRSS>>20, mostRSS>>20)
			}
			if m.At.Allocs+m.Pod.Allocs+m.Service.Allocs != 0 {
				t.Errorf("lookups allocate: %+v", m)
			}
		})
	}
}

// measure has a process watch many pods.
func measure(t *testing.T, s *kubetest.Server) measures {
	t.Helper()
	c := s.Client(t)
	for i := range 200 {
		c.Node(kubetest.Node{Name: fmt.Sprintf("node-%d", i), Zone: fmt.Sprintf("z%d", i%3), PodCIDRs: []string{fmt.Sprintf("fd00:7700:0:%x::/64", i)}})
	}
	var pods []*corev1.Pod
	for i := range manyPods {
		pods = append(pods, realistic("default", i))
	}
	size := 0
	for _, p := range pods[:100] {
		size += p.Size()
	}
	start := time.Now()
	s.SeedPods(t, pods)
	t.Logf("%d pods of %d B seeded in %v", len(pods), size/100, time.Since(start).Round(time.Millisecond))

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childConfig+"="+kubetest.Kubeconfig(t, s.Config(t)))
	child.Stderr = t.Output()
	out, err := child.Output()
	if err != nil {
		t.Fatalf("watch in a process of its own: %v", err)
	}
	var m measures
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return m
}

// watchAlone is all that the process does.
func watchAlone() {
	m, err := watchAndMeasure(os.Getenv(childConfig))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
		os.Exit(1)
	}
}

func watchAndMeasure(kubeconfig string) (m measures, err error) {
	before := heap()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	names := flow.NewInterner()
	quietly := slog.New(slog.DiscardHandler)
	cfg := live.Default()
	cfg.Kubeconfig = kubeconfig
	store := kube.NewStore(kube.Config{Labels: []string{"team"}}, names, quietly)
	watcher := live.New(cfg, store, quietly, prometheus.NewRegistry())
	var latest atomic.Pointer[made]

	start := time.Now()
	var running sync.WaitGroup
	running.Go(func() { _ = watcher.Run(ctx) }) // whose errors nobody misses
	running.Go(func() {
		_ = store.Run(ctx, func(x *kube.Index, c *verdict.Cluster) { latest.Store(&made{x, c}) })
	})
	for !latest.Load().complete() {
		if ctx.Err() != nil {
			return m, fmt.Errorf("no complete index, with %d pods watched: %w", watcher.Features()[0].Objects, watcher.Ready())
		}
		time.Sleep(time.Millisecond)
	}
	m.Sync = time.Since(start)
	m.PeakRSS, err = peakRSS()
	if err != nil {
		return m, err
	}
	cancel()
	running.Wait()

	m.Heap = heap() - before
	x := latest.Load().index
	m.PodsIndexed = indexed(x)
	m.At, m.Pod, m.Service = lookups(x)
	latest.Store(nil)
	m.StoreHeap = heap() - before
	start = time.Now()
	store.Index()
	_, err = store.Cluster()
	m.Rebuild = time.Since(start)
	return m, err
}

// made is what is made of a store.
type made struct {
	index *kube.Index
	facts *verdict.Cluster
}

func (m *made) complete() bool {
	if m == nil {
		return false
	}
	_, last := m.index.At(realistic6(manyPods-1), time.Now())
	_, first := m.index.At(realistic6(0), time.Now())
	return first && last && m.facts != nil && len(m.facts.Pods) == manyPods
}

// heap is what is in use after a garbage collection, or two, since what is weak takes one more.
func heap() int {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

var highest = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakRSS is the most memory that this process had so far.
func peakRSS() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	found := highest.FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no VmHWM in %s", status)
	}
	n, err := strconv.Atoi(string(found[1]))
	return n << 10, err
}

// indexed is how many pods are found as they should be.
func indexed(x *kube.Index) int {
	found := 0
	for i := range manyPods {
		want := realistic("default", i).Name
		named, ok := x.Pod("default", want)
		for _, ip := range []netip.Addr{realistic6(i), realistic4(i)} {
			who, there := x.At(ip, time.Now())
			ok = ok && there && who.Endpoint == named.Endpoint && who.Pod.String() == want && who.WorkloadKind.String() == "Deployment" && !who.Zone.IsZero()
		}
		if ok {
			found++
		}
	}
	return found
}

func lookups(x *kube.Index) (at, pod, service lookup) {
	now := time.Now()
	var ips []netip.Addr
	var names []string
	for i := range manyPods {
		ips = append(ips, realistic6(i*7919%manyPods))
		names = append(names, realistic("default", i*7919%manyPods).Name)
	}
	bench := func(one func(i int)) lookup {
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				one(i % manyPods)
			}
		})
		return lookup{r.NsPerOp(), r.AllocsPerOp()}
	}
	at = bench(func(i int) { x.At(ips[i], now) })
	pod = bench(func(i int) { x.Pod("default", names[i]) })
	service = bench(func(i int) { x.Service(ips[i], 8080, flow.TCP) })
	return at, pod, service
}
