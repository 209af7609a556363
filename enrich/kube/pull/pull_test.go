package pull_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/pull"
)

// told prints result and time of pulls, in order of time.
func told(pulls []flow.Pull) string {
	slices.SortFunc(pulls, func(a, b flow.Pull) int { return a.Time.Compare(b.Time) })
	var out []string
	for _, p := range pulls {
		out = append(out, fmt.Sprintf("%s@%s", p.Result, p.Time.Sub(noon)))
	}
	return strings.Join(out, " ")
}

const (
	pulling  = `Pulling image "nginx"`
	success  = `Successfully pulled image "nginx" in 1s (1s including waiting)`
	failure  = `Failed to pull image "nginx": not found`
	combined = "(combined from similar events): "
)

func TestSeries(t *testing.T) {
	for _, row := range []struct {
		name   string
		events []*kube.Event
		want   string
	}{
		{"one", []*kube.Event{event("Pulled", success)}, "pulled@0s"},
		{"the same again", []*kube.Event{event("Pulled", success), event("Pulled", success)}, "pulled@0s"},
		{"counted on", []*kube.Event{
			event("Failed", failure, counted(3, 20*time.Second)), event("Failed", failure, counted(5, time.Minute)),
		}, "not_found@0s not_found@10s not_found@20s not_found@40s not_found@1m0s"},
		{"an earlier state later", []*kube.Event{
			event("Failed", failure, counted(5, time.Minute)), event("Failed", failure, counted(3, 20*time.Second)),
		}, "not_found@0s not_found@15s not_found@30s not_found@45s not_found@1m0s"},
		{"made anew under its name", []*kube.Event{
			event("Failed", failure), event("Failed", failure, counted(2, time.Minute), func(e *kube.Event) { e.Metadata.UID = "e-2" }),
		}, "not_found@0s not_found@1m0s"},
		{"as a series of events.k8s.io", []*kube.Event{event("Failed", failure, func(e *kube.Event) {
			e.Count, e.FirstTimestamp, e.LastTimestamp, e.EventTime = 0, time.Time{}, time.Time{}, noon
			e.Series.Count, e.Series.LastObservedTime = 2, noon.Add(time.Minute)
		})}, "not_found@0s not_found@1m0s"},
		{"without a name", []*kube.Event{event("Pulled", success, named("")), event("Pulled", success, named(""))}, "pulled@0s"},
		{"without a number", []*kube.Event{event("Pulled", success, func(e *kube.Event) { e.Count = 0 })}, "pulled@0s"},
		{"dated by its creation alone", []*kube.Event{event("Pulled", success, func(e *kube.Event) {
			e.FirstTimestamp, e.LastTimestamp, e.Metadata.Created = time.Time{}, time.Time{}, noon.Add(time.Second)
		})}, "pulled@1s"},
		{"by a clock that is fast", []*kube.Event{event("Pulled", success, once("a", time.Minute)), event("Pulled", success, once("b", 24*time.Hour))}, "pulled@1m0s pulled@1m0s"},
		{"of two pods of one name", []*kube.Event{event("Pulled", success), event("Pulled", success, func(e *kube.Event) { e.InvolvedObject.UID = "p-2" })}, "pulled@0s pulled@0s"},
		{"combined, each for itself", []*kube.Event{
			event("Failed", combined+failure), event("Failed", combined+"Error: ErrImagePull", counted(2, time.Second)),
			event("Failed", combined+failure, counted(4, 9*time.Second)), event("Failed", combined+failure, counted(4, 9*time.Second)),
		}, "not_found@0s not_found@9s"},

		{"begun and ended", []*kube.Event{event("Pulling", pulling, once("a", 0)), event("Pulled", success, once("b", time.Second))}, "pulled@1s"},
		{"ended and begun", []*kube.Event{event("Pulled", success, once("b", time.Second)), event("Pulling", pulling, once("a", 0))}, "pulled@1s"},
		{"begun", []*kube.Event{event("Pulling", pulling)}, "unknown@0s"},
		{"begun after the end", []*kube.Event{event("Pulled", success, once("a", 0)), event("Pulling", pulling, once("b", time.Second))}, "pulled@0s unknown@1s"},
		{"begun, failed and said so", []*kube.Event{
			event("Pulling", pulling, once("a", 0)), event("Failed", failure, once("b", time.Second)),
			event("Failed", "Error: ErrImagePull", once("c", time.Second)), event("BackOff", `Back-off pulling image "nginx"`, once("d", 2*time.Second)),
			event("Failed", "Error: ImagePullBackOff", once("e", 2*time.Second)),
		}, "not_found@1s"},
		{"begun, and the kubelet let it wait", []*kube.Event{
			event("Pulling", pulling, once("a", 0)), event("Failed", `Failed to pull image "nginx": pull QPS exceeded`, once("b", 0)),
			event("Pulling", pulling, once("a", 0), counted(2, time.Minute)), event("Pulled", success, once("c", time.Minute)),
		}, "pulled@1m0s"},
		{"begun more often than ended", []*kube.Event{
			event("Pulling", pulling), event("Pulling", pulling, counted(4, time.Minute)),
			event("Pulled", success, once("b", time.Second)), event("Pulled", success, once("c", time.Minute)),
		}, "pulled@1s unknown@20s unknown@40s pulled@1m0s"},
		{"begun often before anyone looked", []*kube.Event{
			event("Pulling", pulling, counted(9, time.Minute)), event("Pulled", success, once("c", time.Minute)),
		}, "pulled@1m0s"},
		{"begun for another image", []*kube.Event{
			event("Pulling", `Pulling image "redis"`, once("a", 0)), event("Pulled", success, once("b", time.Second)),
		}, "unknown@0s pulled@1s"},
		{"present", []*kube.Event{
			event("Pulling", pulling, once("a", 0)), event("Pulled", `Container image "nginx" already present on machine`, once("b", time.Second)),
		}, "unknown@0s present@1s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig()
			for _, e := range row.events {
				r.Add(noon.Add(time.Minute), e)
			}
			if diff := cmp.Diff(row.want, told(r.flush(true))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLookback(t *testing.T) {
	old := event("Failed", failure, counted(25, 0), func(e *kube.Event) { e.FirstTimestamp = noon.Add(-24 * time.Hour) })
	for _, row := range []struct {
		name     string
		at       time.Time
		lookback time.Duration
		want     int
	}{
		{"the last hour of a day", noon, time.Hour, 2},
		{"the last minute", noon, time.Minute, 1},
		{"over by an hour", noon.Add(time.Hour + time.Second), time.Hour, 0},
		{"all", noon, 0, 25},
		{"a dump", time.Time{}, time.Hour, 25},
	} {
		r := newRig(func(c *pull.Config) { c.Lookback = row.lookback })
		r.Add(row.at, old)
		if got := len(r.flush(true)); got != row.want {
			t.Errorf("%s: %d pulls, want %d", row.name, got, row.want)
		}
	}

	// What happens after the start is told however late it comes in.
	r := newRig()
	r.Add(noon, event("Pulled", success, once("a", -time.Minute)))
	r.Add(noon.Add(48*time.Hour), event("Pulled", success, once("b", time.Minute)))
	if got := len(r.flush(true)); got != 2 {
		t.Errorf("%d pulls, want 2", got)
	}
}

// An end is waited for as long as the settings say, and a pod for some seconds.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := flow.NewInterner()
		store, err := store(names)
		if err != nil {
			t.Fatal(err)
		}
		r := rigWith(store.Index, names)
		now := func(name string) func(*kube.Event) { return once(name, time.Since(noon)) }
		r.Add(time.Now(), event("Pulling", pulling, now("a")))
		r.Add(time.Now(), event("Pulling", pulling, now("b"), func(e *kube.Event) { e.InvolvedObject.UID = "p-2" }))
		time.Sleep(29 * time.Minute)
		r.Add(time.Now(), event("Pulled", success, now("c")))
		if got := len(r.flush(false)); got != 1 {
			t.Errorf("%d pulls before the time is over, want the one that ended", got)
		}
		time.Sleep(time.Minute)
		if got := r.flush(false); len(got) != 1 || got[0].Result != flow.PullUnknown {
			t.Errorf("after the time is over: %v", got)
		}
		time.Sleep(time.Hour)

		r.Add(time.Now(), event("Pulled", success, now("d"), func(e *kube.Event) { e.InvolvedObject.Name = "nobody" }))
		if got := len(r.flush(false)); got != 0 {
			t.Errorf("%d pulls for a pod that may become known, want 0", got)
		}
		time.Sleep(10 * time.Second)
		if got := len(r.flush(false)); got != 1 {
			t.Errorf("%d pulls for a pod that stays unknown, want 1", got)
		}
		if got := len(r.flush(true)); got != 0 {
			t.Errorf("%d pulls are left", got)
		}
	})
}

func TestEnrichment(t *testing.T) {
	names := flow.NewInterner()
	store, err := store(names)
	if err != nil {
		t.Fatal(err)
	}
	r := rigWith(store.Index, names)
	moved := event("Pulled", success, once("b", time.Second))
	moved.Source.Host = "node-2"
	nodeless := event("Pulled", success, once("c", 2*time.Second))
	nodeless.Source.Host = ""
	stranger := event("Pulled", success, once("d", 3*time.Second))
	stranger.InvolvedObject.Name = "gone"
	volume := event("Pulled", success, once("e", 4*time.Second))
	volume.InvolvedObject.FieldPath = "spec.volumes{data}"
	for _, e := range []*kube.Event{event("Pulled", success), moved, nodeless, stranger, volume} {
		r.Add(noon, e)
	}
	var got []string
	for _, p := range r.flush(true) {
		tags := ""
		for _, tag := range p.Tags.Get() {
			tags += tag.Get()
		}
		got = append(got, fmt.Sprint(p.Cluster, " ", p.Node, " ", p.Zone, " ", p.Namespace, "/", p.Pod, " ", p.WorkloadKind, "/", p.Workload, " ", p.Container, " ", p.Policy, " ", tags))
	}
	want := []string{
		"lab node-1 a shop/web-0 StatefulSet/web web Always team=shop",
		"lab node-2 b shop/web-0 StatefulSet/web web Always team=shop",
		"lab node-1 a shop/web-0 StatefulSet/web web Always team=shop",
		"lab node-1 a shop/gone / web  ",
		"lab node-1 a shop/web-0 StatefulSet/web   team=shop",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// store returns a cluster of two nodes in which shop/web-0 runs on node-1.
func store(names *flow.Interner) (*kube.Store, error) {
	s := kube.NewStore(kube.Config{Labels: []string{"team"}, Cluster: "lab"}, names, nil)
	for i, zone := range []string{"a", "b"} {
		n := &kube.Node{}
		n.Metadata.Name, n.Metadata.Labels = fmt.Sprintf("node-%d", i+1), map[string]string{"topology.kubernetes.io/zone": zone}
		if err := s.Put(noon, n); err != nil {
			return nil, err
		}
	}
	p := &kube.Pod{}
	p.Metadata.Namespace, p.Metadata.Name, p.Metadata.Labels = "shop", "web-0", map[string]string{"team": "shop"}
	p.Metadata.UID, p.Spec.NodeName = "p-1", "node-1"
	p.Metadata.Owners = []kube.Owner{{Kind: "StatefulSet", Name: "web", Controller: true}}
	p.Spec.Containers = []kube.Container{{Name: "web", ImagePullPolicy: "Always"}}
	return s, s.Put(noon, p)
}

func TestBounds(t *testing.T) {
	many := func(n int, each func(i int) *kube.Event, change ...func(*pull.Config)) *rig {
		r := newRig(change...)
		for i := range n {
			r.Add(noon, each(i))
		}
		return r
	}
	pulled := func(i int) *kube.Event {
		return event("Pulled", success, once(fmt.Sprint(i), time.Duration(i)*time.Millisecond))
	}

	t.Run("queue", func(t *testing.T) {
		r := many(100, pulled, func(c *pull.Config) { c.Queue = 10 })
		if got, lost := len(r.flush(true)), r.metric(t, "sextant_pull_lost_total", "queue_full"); got != 10 || lost != 90 {
			t.Errorf("%d told, %v lost", got, lost)
		}
	})
	t.Run("memory", func(t *testing.T) {
		r := many(1000, pulled, func(c *pull.Config) { c.Events = 100 })
		r.flush(true)
		if got := r.metric(t, "sextant_pull_events_forgotten_total", ""); got < 900 || got > 930 {
			t.Errorf("%v forgotten", got)
		}
		for i := 930; i < 1000; i++ { // the latest are remembered
			r.Add(noon, pulled(i))
		}
		if got := len(r.flush(true)); got != 0 {
			t.Errorf("%d told again", got)
		}
		r.Add(noon, pulled(0)) // the oldest is not, and keeps its identifier
		if got := r.flush(true); len(got) != 1 || got[0].ID != r.pulls[0].ID {
			t.Errorf("told again: %v", got)
		}
	})
	t.Run("memory of one age", func(t *testing.T) {
		r := many(1000, func(i int) *kube.Event { return event("Pulled", success, once(fmt.Sprint(i), 0)) }, func(c *pull.Config) { c.Events = 100 })
		if got := r.metric(t, "sextant_pull_events_forgotten_total", ""); got < 900 || got > 930 {
			t.Errorf("%v forgotten", got)
		}
	})
	t.Run("beginnings", func(t *testing.T) {
		r := many(1000, func(i int) *kube.Event {
			return event("Pulling", pulling, once(fmt.Sprint(i), 0), func(e *kube.Event) { e.InvolvedObject.UID = fmt.Sprint(i) })
		}, func(c *pull.Config) { c.Events = 100 })
		r.Add(noon, event("Pulled", success, func(e *kube.Event) { e.InvolvedObject.UID = "7" })) // finds its beginning though there is no room
		r.Add(noon, event("Pulled", success, func(e *kube.Event) { e.InvolvedObject.UID = "700" }))
		if got, lost := len(r.flush(true)), r.metric(t, "sextant_pull_lost_total", "pending_full"); got != 99+2 || lost != 900 {
			t.Errorf("%d told, %v lost", got, lost)
		}
	})
	t.Run("a series", func(t *testing.T) {
		r := newRig()
		for _, n := range []uint32{1 << 31, 1<<32 - 1, 1 << 20, 1} {
			r.Add(noon, event("Failed", failure, counted(n, time.Minute)))
		}
		if got, lost := len(r.flush(true)), r.metric(t, "sextant_pull_lost_total", "too_many"); got != 2*1024 || lost != 1<<32-1-2*1024 {
			t.Errorf("%d told, %v lost", got, lost)
		}
	})
}

func TestStorms(t *testing.T) {
	names := flow.NewInterner()
	store, err := store(names)
	if err != nil {
		t.Fatal(err)
	}
	r := rigWith(store.Index, names)
	add := func(image string, n int, every time.Duration) {
		for i := range n {
			after := time.Duration(i-n) * every
			r.Add(noon, event("Pulling", fmt.Sprintf("Pulling image %q", image), once(fmt.Sprint(image, "-", i), after)))
			r.Add(noon, event("Pulled", fmt.Sprintf("Successfully pulled image %q in 1s", image), once(fmt.Sprint(image, i), after+time.Second)))
		}
	}
	add("calm", 10, time.Minute)
	add("storm", 11, time.Minute)
	add("worse:v1", 50, time.Minute)
	add("slow", 40, 20*time.Minute)
	for i := range 100 {
		r.Add(noon, event("Pulled", `Container image "here" already present on machine`, once(fmt.Sprint("here", i), 0)))
	}
	r.flush(true)

	print := func(now time.Time) string {
		var out []string
		for _, s := range r.Storms(now) {
			out = append(out, fmt.Sprint(s.Node, " ", s.Namespace, "/", s.Workload, " ", s.Repository, ":", s.Tag, " ", s.Pulls))
		}
		return strings.Join(out, ", ")
	}
	for _, row := range []struct {
		after time.Duration
		want  string
	}{
		{0, "node-1 shop/web library/worse:v1 50, node-1 shop/web library/storm:latest 11"},
		{29 * time.Minute, "node-1 shop/web library/worse:v1 30, node-1 shop/web library/storm:latest 11"},
		{time.Hour, ""},
	} {
		if diff := cmp.Diff(row.want, print(noon.Add(row.after))); diff != "" {
			t.Errorf("after %s: %s", row.after, diff)
		}
	}
	if got := r.metric(t, "sextant_pull_storms", ""); got != 0 { // by the clock of the machine, which is not noon
		t.Errorf("gauge %v", got)
	}
}

func TestConfig(t *testing.T) {
	if err := pull.Default().Validate(); err != nil {
		t.Error(err)
	}
	err := pull.Config{Lookback: -1, Patience: 0, Storm: 0, Events: -1, Queue: 1 << 30}.Validate()
	for _, key := range []string{"pulls.lookback: ", "pulls.patience: ", "pulls.storm: ", "pulls.events: ", "pulls.queue: "} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("nothing about %s in: %v", key, err)
		}
	}
}

// A store calls Add while it holds the lock that its index takes.
func TestConcurrent(t *testing.T) {
	names := flow.NewInterner()
	var r *rig
	store := kube.NewStore(kube.Config{OnEvent: func(at time.Time, e *kube.Event) { r.Add(at, e) }}, names, nil)
	r = rigWith(store.Index, names)
	const workers, events = 4, 500
	var put sync.WaitGroup
	for w := range workers {
		put.Go(func() {
			for i := range events {
				if err := store.Put(noon, event("Pulled", success, once(fmt.Sprint(w%2, "-", i), 0))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { put.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			r.flush(false)
			r.Storms(noon)
		}
	}
	r.flush(true)
	if got := len(r.pulls); got != workers/2*events {
		t.Errorf("%d pulls of %d", got, workers/2*events)
	}
}
