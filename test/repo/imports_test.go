package repo_test

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A row of the import table says what the files of one package, tests aside, may import beside the standard library.
type row struct {
	pkg     string   // from the root; "…/..." stands for everything below
	sextant []string // packages of this repository, from the root
	others  []string // modules, or folders of modules, with everything below
	why     string   // what the row is for, in words that tell where the import belongs
}

// table is the import table. The first row that fits holds.
var table = []row{
	{
		"cmd/sextant",
		[]string{"..."},
		[]string{
			"github.com/alecthomas/kong", "go.yaml.in/yaml/v3", "golang.org/x/term",
			"github.com/prometheus/client_golang", "github.com/prometheus/common/expfmt", "go.opentelemetry.io/otel",
		},
		"the command wires and decides nothing: protocols, storage and rules stand in the packages that it wires; gRPC only " +
			"comes in with OpenTelemetry's exporters",
	},
	{
		"cmd/sextant/preflight",
		[]string{"collector/flow", "collector/hubble", "collector/verdict", "enrich/kube/inventory"},
		nil,
		"it judges what others have found out, and asks nobody",
	},
	{
		"collector",
		[]string{"collector/flow"},
		[]string{"github.com/cenkalti/backoff/v7", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel"},
		"the pipeline knows rows and queues, not where rows come from, what they mean or where they go",
	},
	{
		"collector/bucket",
		[]string{"collector/flow"},
		[]string{"github.com/gaissmai/bart", "github.com/prometheus/client_golang", "go.yaml.in/yaml/v3"},
		"buckets are made of rows and of facts that are handed in; who probes, stores and shows is not known here",
	},
	{
		"collector/bucket/probe",
		[]string{"collector/flow"},
		[]string{"github.com/prometheus/client_golang"},
		"it asks registries and hands on what they say; what follows for buckets is told there",
	},
	{
		"collector/bucket/probe/probetest",
		nil,
		nil,
		"a registry for tests stores nothing and knows nobody",
	},
	{
		"collector/flow",
		nil,
		nil,
		"everything imports the data model, so it imports the standard library alone",
	},
	{
		"collector/hubble",
		[]string{"collector/flow", "collector/sysdump"},
		[]string{
			"github.com/cilium/cilium/api/v1", "google.golang.org/grpc", "google.golang.org/protobuf",
			"github.com/cenkalti/backoff/v7", "github.com/prometheus/client_golang",
		},
		"sources turn Hubble's messages into rows and know no stage, pipeline or sink",
	},
	{
		"collector/hubble/playback",
		[]string{"collector/hubble"},
		[]string{"github.com/cilium/cilium/api/v1", "google.golang.org/grpc", "google.golang.org/protobuf"},
		"a Hubble that plays recordings speaks Hubble's API and nothing else",
	},
	{
		"collector/sysdump",
		nil,
		nil,
		"what an archive holds is told by names; what its files say is others'",
	},
	{
		"collector/sysdump/sysdumptest",
		nil,
		[]string{"go.yaml.in/yaml/v3"},
		"it writes a sysdump for tests",
	},
	{
		"collector/track",
		[]string{"collector/flow", "collector/verdict"},
		nil,
		"connections and names are made of rows and their verdicts, whoever gave these",
	},
	{
		"collector/verdict",
		[]string{"collector/flow"},
		[]string{"github.com/gaissmai/bart"},
		"a verdict is a pure function of a row and of facts about the cluster",
	},
	{
		"dashboards",
		[]string{
			"collector", "collector/flow", "collector/hubble", "sinks/clickhouse", "sinks/clickhouse/cookbook", "sinks/prometheus", "sinks/spool",
		},
		nil,
		"definitions name metrics, columns and queries where these are declared; nothing is drawn or asked here",
	},
	{
		"dashboards/grafana",
		[]string{"dashboards", "dashboards/rules"},
		[]string{"github.com/grafana/grafana-foundation-sdk/go", "go.yaml.in/yaml/v3"},
		"it turns definitions into Grafana's files and knows no data",
	},
	{
		"dashboards/page",
		[]string{"dashboards", "sinks/clickhouse"},
		[]string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model"},
		"the page draws definitions and asks the store; nothing else may depend on it but the command",
	},
	{
		"dashboards/rules",
		[]string{"dashboards", "sinks/clickhouse/cookbook"},
		[]string{"go.yaml.in/yaml/v3"},
		"it turns definitions into Prometheus's files and knows no data",
	},
	{
		"deploy/demo",
		nil,
		nil,
		"it only embeds the recorded cluster",
	},
	{
		"enrich/dns64",
		[]string{"collector/verdict"},
		nil,
		"what a resolver says becomes prefixes; who uses them is not known here",
	},
	{
		"enrich/kube",
		[]string{"collector/flow", "collector/sysdump", "collector/verdict"},
		[]string{"github.com/gaissmai/bart", "github.com/prometheus/client_golang", "go.yaml.in/yaml/v3"},
		"what a Kubernetes cluster says becomes facts; who told it, and who uses them, is not known here",
	},
	{
		"enrich/kube/inventory",
		[]string{"collector/flow", "enrich/kube"},
		[]string{"github.com/prometheus/client_golang"},
		"it judges what a cluster says, and asks nobody",
	},
	{
		"enrich/kube/live",
		[]string{"collector/flow", "enrich/kube"},
		[]string{
			"github.com/go-logr/logr", "github.com/prometheus/client_golang", "k8s.io/api", "k8s.io/apimachinery",
			"k8s.io/client-go", "k8s.io/klog/v2",
		},
		"it moves objects from an API server into a store; what they mean is told there",
	},
	{
		"enrich/kube/pull",
		[]string{"collector/flow", "enrich/kube"},
		[]string{"github.com/distribution/reference", "github.com/prometheus/client_golang"},
		"pulls are made of events and of the index, whoever watched them",
	},
	{
		"sinks/clickhouse",
		[]string{"collector", "collector/flow"},
		[]string{
			"github.com/ClickHouse/ch-go", "github.com/ClickHouse/clickhouse-go/v2", "github.com/cespare/xxhash/v2", "github.com/google/uuid",
			"github.com/prometheus/client_golang",
		},
		"a sink takes deliveries from the pipeline and talks to its storage; it does not start that storage",
	},
	{
		"sinks/clickhouse/cookbook",
		[]string{"collector/flow", "collector/verdict"},
		nil,
		"queries are data: they connect to nothing, and know of verdicts only the rules' sentences",
	},
	{
		"sinks/clickhouse/embedded",
		nil,
		[]string{"github.com/ebitengine/purego", "golang.org/x/sys/unix"},
		"starting an engine on this machine has nothing to do with flows",
	},
	{
		"sinks/clickhouse/embedded/embeddedtest",
		[]string{"sinks/clickhouse/embedded"},
		nil,
		"it gives tests an engine",
	},
	{
		"sinks/prometheus",
		[]string{"collector", "collector/flow"},
		[]string{"github.com/prometheus/client_golang"},
		"a sink takes deliveries from the pipeline and knows no other sink",
	},
	{
		"sinks/sinktest",
		[]string{"collector", "collector/flow"},
		nil,
		"what every sink must pass knows no sink",
	},
	{
		"sinks/spool",
		[]string{"collector", "collector/flow"},
		[]string{"github.com/prometheus/client_golang"},
		"a sink around whatever sink; it keeps rows and knows no storage",
	},
	{
		"sinks/stdout",
		[]string{"collector", "collector/flow"},
		nil,
		"a sink takes deliveries from the pipeline and knows no other sink",
	},
	{
		"test/bench",
		[]string{
			"collector", "collector/flow", "collector/track", "collector/verdict", "enrich/kube", "enrich/kube/inventory", "sinks/clickhouse",
			"sinks/clickhouse/cookbook", "sinks/clickhouse/embedded",
		},
		[]string{"github.com/prometheus/client_golang"},
		"it measures what the command wires",
	},
}

// A ban is an import that only some packages may have, whatever their row says, and why.
type ban struct {
	what   string   // import path; "…/..." stands for everything below
	except []string // packages, from the root; "…/..." stands for everything below
	why    string
}

var bans = []ban{
	{"sextant/cmd/...", []string{"cmd/sextant"}, "the command is the end of every arrow"},
	{"testing/...", []string{"sinks/clickhouse/embedded/embeddedtest", "sinks/sinktest"}, "it is for tests; a package that helps them says so in its name"},
	{"log", nil, "log/slog, with a logger that was passed in"},
	{"os", []string{"cmd/sextant", "collector/bucket/...", "collector/hubble/...", "collector/sysdump/...", "enrich/kube/...", "sinks/...", "test/bench"}, "stages are pure: what they need is handed to them"},
	{"os/exec", []string{"sinks/clickhouse/embedded"}, "only the engine is a process of its own"},
	{"net", []string{"cmd/sextant", "collector/bucket/probe/...", "collector/hubble/...", "dashboards/page", "enrich/dns64", "enrich/kube/live", "sinks/..."}, "stages do no I/O; addresses are net/netip's"},
	{"net/http/...", []string{"cmd/sextant", "collector/bucket/probe/...", "dashboards/page", "enrich/kube/live", "sinks/clickhouse/embedded"}, "only the command and its page serve HTTP, and only registries, the API server and the engine are asked over it"},
	{"github.com/cilium/cilium/...", []string{"collector/hubble/..."}, "one place knows Hubble's messages, so that a faster decoder can take over there"},
	{"google.golang.org/grpc/...", []string{"collector/hubble/..."}, "one place knows gRPC"},
	{"google.golang.org/protobuf/...", []string{"collector/hubble/..."}, "one place knows protobuf"},
	{"github.com/ClickHouse/...", []string{"sinks/clickhouse"}, "one place knows ClickHouse's protocol"},
	{"k8s.io/...", []string{"enrich/kube/live"}, "one place knows client-go; a dump needs none of it"},
	{"github.com/ebitengine/purego/...", []string{"sinks/clickhouse/embedded"}, "one place loads a library"},
}

// use is one import of one file.
type use struct{ pkg, file, path string }

func TestImports(t *testing.T) {
	var uses []use
	pkgs := map[string]bool{}
	for _, s := range sources(t) {
		pkgs[s.pkg] = true
		for _, spec := range s.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			uses = append(uses, use{s.pkg, s.path, imported})
		}
	}
	report(t, checkImports(table, bans, uses))
	report(t, checkTable(table, pkgs, uses))
}

// checkImports names every import that the table or a ban forbids.
func checkImports(table []row, bans []ban, uses []use) (complaints []string) {
	rowless := map[string]bool{}
	for _, u := range uses {
		from := fromRoot(u.pkg)
		if i := slices.IndexFunc(bans, func(b ban) bool { return covers(b.what, u.path) && !anyCovers(b.except, from) }); i >= 0 {
			complaints = append(complaints, fmt.Sprintf("%s: may not import %q: %s", u.file, u.path, bans[i].why))
			continue
		}
		i := slices.IndexFunc(table, func(r row) bool { return covers(r.pkg, from) })
		switch {
		case i < 0 && !rowless[from]:
			rowless[from] = true
			complaints = append(complaints, fmt.Sprintf("%s: package %s has no row in the import table (test/repo/imports_test.go)", u.file, from))
		case i >= 0 && !table[i].allows(u.path):
			complaints = append(complaints, fmt.Sprintf("%s: package %s may not import %q: %s", u.file, from, u.path, table[i].why))
		}
	}
	return complaints
}

func (r row) allows(imported string) bool {
	switch {
	case standard(imported):
		return true
	case covers(module+"/...", imported):
		return anyCovers(r.sextant, fromRoot(imported))
	default:
		return slices.ContainsFunc(r.others, func(other string) bool { return covers(other+"/...", imported) })
	}
}

// checkTable names rows and allowances that nothing uses: a table that allows what nobody does says little.
func checkTable(table []row, pkgs map[string]bool, uses []use) (complaints []string) {
	for _, r := range table {
		if !pkgs[path.Join(module, r.pkg)] {
			complaints = append(complaints, fmt.Sprintf("import table: there is no package %s", r.pkg))
			continue
		}
		used := func(fits func(imported string) bool) bool {
			return slices.ContainsFunc(uses, func(u use) bool { return covers(r.pkg, fromRoot(u.pkg)) && fits(u.path) })
		}
		for _, s := range r.sextant {
			if !used(func(p string) bool { return covers(module+"/...", p) && covers(s, fromRoot(p)) }) {
				complaints = append(complaints, fmt.Sprintf("import table: %s does not import %s", r.pkg, s))
			}
		}
		for _, other := range r.others {
			if !used(func(p string) bool { return covers(other+"/...", p) }) {
				complaints = append(complaints, fmt.Sprintf("import table: %s does not import %s", r.pkg, other))
			}
		}
	}
	return complaints
}

// fromRoot shortens the import path of one of our packages; others stay as they are.
func fromRoot(pkg string) string { return strings.TrimPrefix(pkg, module+"/") }

// covers reports whether a pattern, a package or "…/..." for it and everything below, covers a package.
func covers(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if prefix, all := strings.CutSuffix(pattern, "/..."); all {
		return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
	}
	return pattern == pkg
}

func anyCovers(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, pkg) })
}

// standard reports whether an import path is of the standard library: its first element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return first != module && !strings.Contains(first, ".")
}

func TestImportsComplain(t *testing.T) {
	r := row{"a", []string{"a/b", "c/..."}, []string{"example.com/x"}, "a knows b"}
	bans := []ban{{"os", []string{"a/io"}, "pure"}, {"sextant/cmd/...", nil, "the end"}}
	check := func(pkg, imported string) []string {
		return checkImports([]row{r}, bans, []use{{"sextant/" + pkg, pkg + "/file.go", imported}})
	}
	for _, fine := range []string{"fmt", "os/signal", "example.com/x", "example.com/x/y", "sextant/a/b", "sextant/c", "sextant/c/d"} {
		complains(t, fine, check("a", fine))
	}
	for _, wrong := range []string{"example.com", "example.com/xy", "sextant/a/b/c", "sextant/d", "sextant"} {
		complains(t, wrong, check("a", wrong), `a/file.go: package a may not import "`+wrong+`": a knows b`)
	}
	complains(t, "ban", check("a", "os"), `a/file.go: may not import "os": pure`)
	complains(t, "command", check("a", "sextant/cmd/sextant"), `a/file.go: may not import "sextant/cmd/sextant": the end`)
	complains(t, "no row", check("a/b", "fmt"), "a/b/file.go: package a/b has no row in the import table (test/repo/imports_test.go)")

	complains(t, "stale row", checkTable([]row{r}, nil, nil), "import table: there is no package a")
	complains(t, "stale allowances",
		checkTable([]row{r}, map[string]bool{"sextant/a": true}, []use{{"sextant/a", "a/file.go", "sextant/c/d"}}),
		"import table: a does not import a/b", "import table: a does not import example.com/x")
}
