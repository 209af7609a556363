// Package fault kills what the record is made with, as often and in as many ways as it can, and counts what is left of it.
// All parts are real: the command, the engine, the network between them. Only Hubble is a recording of one.
package fault_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

var (
	faults = flag.Int("faults", 5, "how many faults")
	speed  = flag.Int("speed", 0, "how many times faster than recorded the seven minutes are played; 0: so that a fault comes every three seconds")
)

// seedVariable repeats a test with the seed that it printed.
const seedVariable = "SEXTANT_FAULT_SEED"

func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return n
}

// TestFaults kills the engine, the collector and the network between them while a recorded cluster is played. In the end
// every flow and every connection is there once, as if nothing had happened, or a gap says of its node and time that
// something did.
func TestFaults(t *testing.T) {
	began := time.Now()
	r := &rig{t: t, engine: embeddedtest.Own(t), dir: t.TempDir()}
	n := seed(t)
	t.Logf("%s=%d", seedVariable, n)
	r.rand = rand.New(rand.NewPCG(n, 0))
	binary := build(t)
	r.proxy = newProxy(t, r.engine.Addr())
	if *speed == 0 {
		*speed = min(20, max(1, 450/(3*max(1, *faults))))
	}
	cluster, peers := play(t, *speed, 75**speed)
	recorded := record(t, cluster, peers)
	ctx, cancel := context.WithTimeout(t.Context(), cluster.Span()+5*time.Minute)
	defer cancel()
	r.ctx, r.began = ctx, time.Now()

	r.collector = &process{t: t, binary: binary, log: filepath.Join(r.dir, "collector.log"), args: append([]string{
		"run", "--sink", "clickhouse", "--peers", peers[0], "--hubble-traffic", "include", "--since", cluster.Start().Format(time.RFC3339Nano),
		"--listen", "localhost:0", "--spool-dir", filepath.Join(r.dir, "spool"),
		"--clickhouse", r.proxy.addr, "--clickhouse-database", "faults", "--spool-held", "500ms", "--batch-wait", "50ms", "--delivery-wait", "500ms", "--clickhouse-insert-timeout", "10s",
	}, r.common()...)}
	t.Cleanup(r.collector.kill)
	t.Cleanup(func() {
		if t.Failed() {
			keep(t, r.collector.log)
		}
	})
	r.collector.start()
	r.play(cluster.Span()*9/10, *faults)
	r.wait(time.Until(cluster.Start().Add(cluster.Span())))

	select {
	case err := <-recorded.err:
		if err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("the time was up before the recording was")
	}
	r.drain(recorded.flows)
	replay := exec.CommandContext(ctx, binary, append(append([]string{
		"replay", "--sink", "clickhouse", "--clickhouse", r.engine.Addr(), "--clickhouse-database", "reference",
	}, r.common()...), recorded.files...)...)
	if out, err := replay.CombinedOutput(); err != nil {
		t.Fatalf("sextant replay: %v\n%s", err, out)
	}
	res := r.result(recorded.flows)
	t.Logf("after %s:\n%s", time.Since(began).Round(time.Second), res.table(r))
	for _, problem := range res.problems(r) {
		t.Error(problem)
	}
}

// rig is what is broken, and by whom.
type rig struct {
	t         *testing.T
	ctx       context.Context
	dir       string
	rand      *rand.Rand
	began     time.Time
	engine    *embedded.Server
	proxy     *proxy
	collector *process

	done   []fault
	healed [actors]func() // what ends the fault that an actor is in; nil where it is in none
	until  [actors]time.Time
	kills  int           // of the collector …
	down   time.Duration // … and how long it was away, in all
	deaths int           // of the engine, by itself
}

func (r *rig) common() []string {
	state := r.engine.State()
	common := []string{
		"--state", "../../deploy/demo/state", "--nat64-discovery", "off", "--clickhouse-store-uuid",
		"--clickhouse-username", state.User, "--clickhouse-password-file", state.PasswordFile,
	}
	for _, table := range []string{"flows", "connections", "gaps", "pulls", "inventory"} {
		common = append(common, "--clickhouse-ttl-"+table, "0")
	}
	return common
}

// actor is who has a fault: one at a time.
type actor int

const (
	theEngine actor = iota
	theCollector
	theNetwork
	actors
)

// fault is one that happened.
type fault struct {
	kind string
	at   time.Duration // since the begin
	for_ time.Duration
}

// kinds are the faults there are, and what ends each. What stands twice happens twice as often.
var kinds = []struct {
	name  string
	actor actor
	begin func(*rig) (end func())
}{
	{"engine killed", theEngine, killEngine},
	{"engine killed", theEngine, killEngine},
	{"collector killed", theCollector, killCollector},
	{"collector killed", theCollector, killCollector},
	{"network reset", theNetwork, func(r *rig) func() { r.proxy.reset(); return func() {} }},
	{"network stalled", theNetwork, func(r *rig) func() { r.proxy.stall(); return r.proxy.resume }},
	{"network half closed to the engine", theNetwork, func(r *rig) func() { r.proxy.deafen(true); return func() {} }},
	{"network half closed to the collector", theNetwork, func(r *rig) func() { r.proxy.deafen(false); return func() {} }},
	{"network refuses", theNetwork, func(r *rig) func() {
		r.proxy.refuse()
		return func() {
			if err := r.proxy.listen(); err != nil {
				r.t.Fatal(err)
			}
		}
	}},
}

func killEngine(r *rig) func() {
	r.engine.Kill()
	return r.startEngine
}

func killCollector(r *rig) func() {
	r.collector.kill()
	r.kills++
	killed := time.Now()
	return func() {
		r.down += time.Since(killed)
		r.collector.start()
	}
}

// play lets n faults happen within a time, at random. One may begin while another lasts.
func (r *rig) play(within time.Duration, n int) {
	r.t.Helper()
	every := within / time.Duration(n+1)
	first := r.rand.Perm(int(actors)) // each has a fault, however few there are
	for i := range n {
		r.wait(time.Duration(float64(every) * (0.5 + 0.9*r.rand.Float64()))) // a little less than every, as some wait for others
		kind := kinds[r.rand.IntN(len(kinds))]
		for r.healed[kind.actor] != nil || i < len(first) && int(kind.actor) != first[i] {
			r.wait(10 * time.Millisecond)
			kind = kinds[r.rand.IntN(len(kinds))]
		}
		a := kind.actor
		lasts := time.Duration(float64(min(every, 4*time.Second)) * r.rand.Float64())
		f := fault{kind.name, time.Since(r.began), lasts}
		r.t.Logf("%8.3fs %s for %s", f.at.Seconds(), f.kind, f.for_.Round(time.Millisecond))
		r.healed[a], r.until[a] = kind.begin(r), time.Now().Add(lasts)
		r.done = append(r.done, f)
	}
	for a := range r.healed {
		if r.healed[a] != nil {
			r.wait(time.Until(r.until[a]) + time.Millisecond)
		}
	}
}

// wait lets time go by, and ends the faults whose time has come.
func (r *rig) wait(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); ; {
		for a, heal := range r.healed {
			if heal != nil && !time.Now().Before(r.until[a]) {
				heal()
				r.healed[a] = nil
			}
		}
		if err := r.collector.ended(); err != nil {
			r.t.Fatal(err)
		}
		if r.healed[theEngine] == nil {
			select {
			case <-r.engine.Done(): // libchdb does not survive every broken client
				r.deaths++
				r.t.Logf("%8.3fs the engine has died by itself", time.Since(r.began).Seconds())
				r.startEngine()
			default:
			}
		}
		if r.ctx.Err() != nil {
			r.t.Fatal("the time was up")
		}
		left := time.Until(end)
		if left <= 0 {
			return
		}
		time.Sleep(min(left, 10*time.Millisecond))
	}
}

func (r *rig) startEngine() {
	if err := r.engine.Start(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// drain waits until the newest flow of every node is stored, and ends the collector once its spool is empty.
func (r *rig) drain(flows map[string]played) {
	r.t.Helper()
	newest := map[string]played{}
	for id, f := range flows {
		if f.at.After(newest[f.node].at) {
			newest[f.node] = played{id, f.at}
		}
	}
	for _, f := range newest {
		for len(r.ask("SELECT 1 FROM faults.flows WHERE uuid = '"+f.node+"' LIMIT 1")) == 0 {
			r.wait(100 * time.Millisecond)
		}
	}
	for range 5 {
		for r.spooled() {
			r.wait(100 * time.Millisecond)
		}
		if err := r.collector.stop(time.Minute); err != nil {
			r.t.Fatalf("the end of the collector: %v", err)
		}
		if !r.spooled() {
			return
		}
		r.collector.start() // its last rows were on their way
	}
	r.t.Fatal("the spool does not empty")
}

// spooled reports whether something waits on disk.
func (r *rig) spooled() bool {
	waiting, err := filepath.Glob(filepath.Join(r.dir, "spool", "*.spool"))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(waiting) > 0
}

// ask returns the rows of an answer, none where there is no table yet.
func (r *rig) ask(sql string) (all [][]any) {
	r.t.Helper()
	cfg := clickhouse.Default()
	state := r.engine.State()
	cfg.Address, cfg.Username, cfg.PasswordFile, cfg.Database = state.Native, state.User, state.PasswordFile, "faults"
	db, err := clickhouse.Open(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(r.ctx, sql)
	if err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
	for row, err := range rows.All() {
		if err != nil {
			r.t.Fatalf("%s: %v", sql, err)
		}
		all = append(all, slices.Clone(row))
	}
	return all
}

// keep puts a file where it outlives the test.
func keep(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("sextant-fault-%d.log", os.Getpid()))
	if os.WriteFile(kept, text, 0o600) == nil {
		t.Logf("what the collector said stands in %s", kept)
	}
}
