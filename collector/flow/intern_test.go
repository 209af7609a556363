package flow_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sextant/collector/flow"
)

func TestNameSameTextSameHandle(t *testing.T) {
	in := flow.NewInterner()
	a, b := in.Name("kind-worker"), in.Bytes([]byte("kind-worker"))
	if a != b {
		t.Error("two handles on one text differ")
	}
	if in.Name("kind-worker2") == a {
		t.Error("two texts share a handle")
	}
	if got := a.String(); got != "kind-worker" {
		t.Errorf("text is %q", got)
	}
}

func TestNameCopiesTheCallersBytes(t *testing.T) {
	in := flow.NewInterner()
	buf := []byte("default")
	n := in.Bytes(buf)
	copy(buf, "XXXXXXX")
	if n.String() != "default" {
		t.Errorf("the name changed with the caller's buffer: %q", n)
	}
	if in.Name("default") != n {
		t.Error("the key changed with the caller's buffer")
	}
}

func TestZeroHandles(t *testing.T) {
	in := flow.NewInterner()
	var name flow.Name
	var list flow.Names
	var endpoint flow.Ref[flow.Endpoint]
	if in.Name("") != name || in.Bytes(nil) != name || !name.IsZero() || name.String() != "" || name.Number() != 0 {
		t.Error("the empty text is not the zero Name")
	}
	if in.Names(nil) != list || in.Names([]flow.Name{}) != list || list.Get() != nil {
		t.Error("the empty list is not the zero Names")
	}
	if in.Endpoint(flow.Endpoint{}) != endpoint || endpoint.Get() != (flow.Endpoint{}) {
		t.Error("the empty endpoint is not the zero handle")
	}
}

func TestNames(t *testing.T) {
	in := flow.NewInterner()
	list := func(texts ...string) flow.Names {
		var names []flow.Name
		for _, s := range texts {
			names = append(names, in.Name(s))
		}
		return in.Names(names)
	}
	if list("a", "b") != list("a", "b") {
		t.Error("equal lists have two handles")
	}
	lists := []flow.Names{
		list("a", "b"), list("b", "a"), list("a"), list("ab"), list("a", "b", ""), list("", "a", "b"), list(""), list("", ""),
		list("a\x00b"), list("a\x00", "b"), list("a", "\x00b"),
	}
	for i, a := range lists {
		for _, b := range lists[i+1:] {
			if a == b {
				t.Errorf("%q and %q share a handle", a.Get(), b.Get())
			}
		}
	}

	mine := []flow.Name{in.Name("x"), in.Name("y")}
	handle := in.Names(mine)
	mine[0] = in.Name("z")
	if got := handle.Get()[0].String(); got != "x" {
		t.Errorf("the list changed with the caller's slice: %q", got)
	}
}

func TestEndpoint(t *testing.T) {
	in := flow.NewInterner()
	pod := func(name string, id uint32) flow.Endpoint {
		return flow.Endpoint{ID: id, Namespace: in.Name("shop"), Pod: in.Name(name), Labels: in.Names([]flow.Name{in.Name("k8s:app=" + name)})}
	}
	a := in.Endpoint(pod("cart", 7))
	if a != in.Endpoint(pod("cart", 7)) {
		t.Error("equal endpoints have two handles")
	}
	if a == in.Endpoint(pod("cart", 8)) || a == in.Endpoint(pod("till", 7)) {
		t.Error("different endpoints share a handle")
	}
	if a.Get() != pod("cart", 7) {
		t.Errorf("endpoint is %+v", a.Get())
	}
}

func TestNumbersAreDenseAndUnique(t *testing.T) {
	in := flow.NewInterner()
	held := make([]flow.Name, 5000)
	seen := make([]bool, len(held)+1)
	for i := range held {
		held[i] = in.Name(strconv.Itoa(i))
		n := held[i].Number()
		if n == 0 || int(n) > len(held) || seen[n] {
			t.Fatalf("name %d has number %d, which is zero, too large or taken", i, n)
		}
		seen[n] = true
	}
	for i, n := range held {
		if in.Name(strconv.Itoa(i)).Number() != n.Number() {
			t.Fatalf("the number of %q changed while a handle on it was held", n)
		}
	}
}

// kept is how many names an interner keeps although nobody holds them: 64 shards of 512.
const kept = 64 * 512

func TestMemoryIsBoundedByWhatIsHeld(t *testing.T) {
	in := flow.NewInterner()
	held := in.Name("held throughout")
	number := held.Number()
	const distinct = 1_000_000
	for i := range distinct {
		in.Name(strconv.Itoa(i))
	}
	collect(t, in, kept+1)
	if in.Name("held throughout") != held || held.Number() != number {
		t.Error("a held name was forgotten")
	}

	// Numbers of forgotten names are given out again, so what is indexed by them stays small too.
	peak := uint32(0)
	for i := range distinct / 10 {
		peak = max(peak, in.Name("again "+strconv.Itoa(i)).Number())
	}
	if peak > distinct+1 {
		t.Errorf("numbers grew to %d, past the %d names that were ever alive at once", peak, distinct+1)
	}
	runtime.KeepAlive(held)
}

// Lists and endpoints hold names; when nobody holds them, the names are forgotten with them.
func TestListsAndEndpointsAreForgotten(t *testing.T) {
	in := flow.NewInterner()
	for i := range 4 * kept {
		n := in.Name(strconv.Itoa(i))
		in.Endpoint(flow.Endpoint{Pod: n, Labels: in.Names([]flow.Name{n, n})})
	}
	collect(t, in, 3*kept) // each kept name, list and endpoint may hold another name
}

// collect waits until no more than most names are left.
func collect(t *testing.T, in *flow.Interner, most int) {
	t.Helper()
	for begin := time.Now(); in.Len() > most; runtime.GC() {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d names are left where at most %d are in use", in.Len(), most)
		}
		time.Sleep(time.Millisecond) // cleanups run beside the collector
	}
}

// A name that nobody holds is kept for a while, so that one in steady use is not made again after each batch.
func TestRecentNamesAreKept(t *testing.T) {
	in := flow.NewInterner()
	number := in.Name("steady").Number()
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond)
		if in.Len() != 1 || in.Name("steady").Number() != number {
			t.Fatal("a name used a moment ago was forgotten")
		}
	}
}

// Names that come back while the interner is about to forget them have one handle and one number all the same.
func TestNamesThatComeBack(t *testing.T) {
	in := flow.NewInterner()
	texts := make([]string, 3*kept)
	held := make([]flow.Name, len(texts))
	for i := range texts {
		texts[i] = strconv.Itoa(i)
	}
	for range 3 {
		clear(held)
		for _, text := range texts {
			in.Name(text)
		}
		runtime.GC() // most are dead now; the interner learns of it little by little, meanwhile:
		for i, text := range texts {
			held[i] = in.Name(text)
		}
		collect(t, in, len(texts))
		time.Sleep(20 * time.Millisecond) // for the last of the cleanups
		numbers := map[uint32]bool{}
		for i, text := range texts {
			if in.Name(text) != held[i] {
				t.Fatalf("there are two handles on %q", text)
			}
			if n := held[i].Number(); numbers[n] {
				t.Fatalf("%q has a number that another name has too", text)
			} else {
				numbers[n] = true
			}
		}
	}
}

// Goroutines that meet a new name at the same moment get one handle.
func TestInternTogether(t *testing.T) {
	in := flow.NewInterner()
	const workers, texts = 4, 10_000
	var held [workers][texts]flow.Name
	var arrived atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range texts {
				text := strconv.Itoa(i)
				for arrived.Add(1); arrived.Load() < int64(workers*(i+1)); {
					runtime.Gosched()
				}
				held[w][i] = in.Name(text)
			}
		})
	}
	wg.Wait()
	for i := range texts {
		for w := range workers {
			if held[w][i] != held[0][i] {
				t.Fatalf("there are two handles on %d", i)
			}
		}
	}
}

// Names come and go in many goroutines while the garbage collector takes what nobody holds. Whoever holds a handle must
// find every equal text under it, and no number may belong to two names that are held.
func TestInternWhileCollecting(t *testing.T) {
	in := flow.NewInterner()
	const workers, rounds, texts = 4, 9, 300

	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
		}
	})
	for round := range rounds {
		held := make([][]flow.Name, workers)
		ends := make([][]flow.Ref[flow.Endpoint], workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range texts {
					n := in.Bytes(fmt.Appendf(nil, "%d-%d", round%3, i))
					ep := flow.Endpoint{Pod: n, Labels: in.Names([]flow.Name{n, n})}
					held[w] = append(held[w], n)
					ends[w] = append(ends[w], in.Endpoint(ep))
				}
				for i := range 3_000 { // pushes the names of the last round but two out of what the interner keeps
					in.Name(fmt.Sprintf("waste %d %d %d", round, w, i))
				}
			})
		}
		wg.Wait()
		owner := map[uint32]string{}
		for i := range texts {
			want := fmt.Sprintf("%d-%d", round%3, i)
			for w := range workers {
				if held[w][i] != held[0][i] || ends[w][i] != ends[0][i] {
					t.Fatalf("round %d: two goroutines hold different handles on %q", round, want)
				}
			}
			n := held[0][i]
			if n.String() != want {
				t.Fatalf("round %d: the handle on %q reads %q", round, want, n)
			}
			if other, taken := owner[n.Number()]; taken {
				t.Fatalf("round %d: %q and %q are both number %d", round, want, other, n.Number())
			}
			owner[n.Number()] = want
			if labels := ends[0][i].Get().Labels.Get(); !slices.Equal(labels, []flow.Name{n, n}) {
				t.Fatalf("round %d: the endpoint of %q has labels %q", round, want, labels)
			}
		}
	}
	close(stop)
	collector.Wait()
}

func TestInternHitsDoNotAllocate(t *testing.T) {
	for _, hit := range hits() {
		if n := testing.AllocsPerRun(100, hit.run); n != 0 {
			t.Errorf("%s: %v allocations for a value that is known", hit.name, n)
		}
	}
}

func BenchmarkIntern(b *testing.B) {
	for _, hit := range hits() {
		b.Run(hit.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hit.run()
			}
		})
	}
}

type hit struct {
	name string
	run  func()
}

func hits() []hit {
	in := flow.NewInterner()
	text := []byte("k8s:io.kubernetes.pod.namespace=kube-system")
	list := []flow.Name{in.Bytes(text), in.Name("k8s:k8s-app=kube-dns"), in.Name("k8s:io.cilium.k8s.policy.cluster=default")}
	ep := flow.Endpoint{Identity: 104, Namespace: in.Name("kube-system"), Pod: in.Name("coredns-0"), Labels: in.Names(list)}
	in.Endpoint(ep)
	return []hit{
		{"name", func() { in.Bytes(text) }},
		{"names", func() { in.Names(list) }},
		{"endpoint", func() { in.Endpoint(ep) }},
	}
}
