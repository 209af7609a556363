package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// stored replays the recorded cluster into an engine of the test's own, as `sextant replay --sink clickhouse` does.
func stored(t *testing.T) clickhouse.Config {
	t.Helper()
	p := newPlant()
	p.verdictCfg.State = []string{demoDir + "state"}
	c := &p.clickhouseCfg
	c.Address = embeddedtest.Own(t).Addr()
	c.TTLFlows, c.TTLConnections, c.TTLGaps, c.TTLPulls, c.TTLInventory = 0, 0, 0, 0, 0
	a := &app{ctx: t.Context(), logger: slog.New(slog.DiscardHandler)}
	if err := p.build(a, blueprint{sinks: []string{"clickhouse"}, lossless: true}, nil); err != nil {
		t.Fatal(err)
	}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: []string{demoDir + "node-1.jsonl.gz", demoDir + "node-2.jsonl.gz"}, Strict: true,
		Names: p.names, Pool: flow.NewPool(p.pipelineCfg.BatchRows), Logger: a.logger,
	})
	if err := p.pipeline.Run(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	p.store.Close()
	return *c
}

// The window of the recording, as ground-truth.json has it.
const recordedSince, recordedUntil = "2026-11-24T03:26:59Z", "2026-11-24T03:34:12Z"

// asked runs `sextant sql` and returns the rows of its answer.
func asked(t *testing.T, c clickhouse.Config, args ...string) ([]map[string]any, error) {
	t.Helper()
	args = append([]string{"sql", "--format", "json", "--clickhouse", c.Address, "--since", recordedSince, "--until", recordedUntil}, args...)
	var all cli
	all.Run.init()
	all.Replay.init()
	all.Demo.init()
	all.SQL.init()
	all.Explain.init()
	all.Check.init()
	parser, err := newParser(&all, args)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = cmd.Run(&app{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard, logger: slog.New(slog.DiscardHandler)})
	var rows []map[string]any
	decoder := json.NewDecoder(&out)
	decoder.UseNumber()
	for decoder.More() {
		row := map[string]any{}
		if err := decoder.Decode(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows, err
}

// lines returns some columns of the rows, a line each.
func lines(rows []map[string]any, columns string) []string {
	var list []string
	for _, row := range rows {
		var cells []string
		for name := range strings.FieldsSeq(columns) {
			cells = append(cells, fmt.Sprint(row[name]))
		}
		list = append(list, strings.Join(cells, " | "))
	}
	return list
}

// recorded says what each query answers about the recorded cluster. Its README.md and ground-truth.json tell the same, as
// the client programs counted it: TestTruth compares connection by connection.
var recorded = []struct{ query, columns, rows string }{
	{"adoption", "direction connections ipv6 nat64 ipv4 ipv6_percent application_percent failed_ipv6 failed_ipv4", `
		all | 1961 | 1554 | 27 | 380 | 79.2 | 63.6 | 45 | 14
		egress | 1099 | 843 | 27 | 229 | 76.7 | 55.3 | 38 | 14
		internal | 702 | 606 | 0 | 96 | 86.3 | 76.6 | 7 | 0
		ingress | 160 | 105 | 0 | 55 | 65.6 | 65.6 | 0 | 0`},
	{"adoption-over-time", "time connections ipv6 nat64 ipv4", `
		2026-11-24T03:25:00Z | 889 | 703 | 12 | 174
		2026-11-24T03:30:00Z | 1072 | 851 | 15 | 206`},
	{"adoption-by-namespace", "namespace ipv6 nat64 ipv4 application_percent", `
		shop | 617 | 23 | 144 | 66.5
		backend | 45 | 4 | 88 | 25.8
		legacy | 0 | 0 | 55 | 0
		ci | 571 | 0 | 45 | 78.7
		monitoring | 137 | 0 | 43 | 69
		 | 55 | 0 | 5 | 77.3
		kube-system | 129 | 0 | 0 | <nil>`},
	{"adoption-by-workload --namespace shop", "workload ipv6 nat64 ipv4 application_percent", `
		web | 386 | 0 | 109 | 69.1
		mailer | 24 | 23 | 0 | 14.3
		cart | 81 | 0 | 18 | 75
		checkout | 126 | 0 | 17 | 67.3`},
	{"ways-out", "class evidence connections", `
		nat66 | inferred | 532
		nat66 | observed | 285
		nat44 | inferred | 167
		nat44 | observed | 61
		native6 | inferred | 55
		nat64 | confirmed | 27
		native4 | inferred | 5`},
	{"ipv4-dependencies", "namespace workload destination port cause connections failed", `
		backend | catalog-sync | 198.51.100.53 | 53 | literal | 40 | 0
		legacy | erp-client | legacy-erp.example.net | 443 | no_aaaa | 30 | 0
		ci | image-build | registry-1.docker.io | 443 | application | 23 | 0
		backend | catalog-sync | www.example.com | 443 | application | 22 | 0
		shop | mailer | nat64-only.example.net | 443 | no_aaaa | 18 | 0
		ci | runner | api.github.com | 443 | no_aaaa | 17 | 0
		shop | checkout | api.partner.example | 443 | fallback | 17 | 0
		legacy | erp-client | 203.0.113.81 | 443 | literal | 15 | 0
		backend | catalog-sync | packages.example.org | 443 | application | 14 | 0
		monitoring | node-agent | 198.51.100.123 | 123 | literal | 12 | 0
		shop | web | cdn.partner.example | 443 | fallback | 12 | 0
		legacy | erp-client | 198.51.100.53 | 53 | literal | 10 | 0
		monitoring | node-agent | 198.51.100.10 | 0 | literal | 7 | 0
		ci | image-build | api.github.com | 443 | no_aaaa | 5 | 0
		shop | mailer | nat64-only.example.net | 0 | no_aaaa | 5 | 0
		backend | catalog-sync | nat64-only.example.net | 443 | no_aaaa | 4 | 0
		legacy | erp-client | 198.51.100.66 | 443 | literal | 4 | 4
		 |  | 198.51.100.20 | 443 | unknown | 3 | 0
		 |  | 172.31.250.100 | 6443 | unknown | 1 | 0
		 |  | 198.51.100.21 | 443 | unknown | 1 | 0`},
	{"unexpected-ipv4 --namespace backend", "workload destination address port cause connections", `
		catalog-sync | 198.51.100.53 | 198.51.100.53 | 53 | literal | 40
		catalog-sync | www.example.com | 198.51.100.10 | 443 | application | 22
		catalog-sync | packages.example.org | 198.51.100.40 | 443 | application | 14`},
	{"avoidable-ipv4 --namespace ci", "workload destination port outcome connections", `
		image-build | registry-1.docker.io | 443 | answered | 23`},
	{"fallbacks", "workload destination address outcome attempts", `
		web | cdn.partner.example | 2001:db8:ffff:101::101 | unanswered | 12
		checkout | api.partner.example | 2001:db8:ffff:100::100 | refused | 17`},
	{"nat64", "embedded_ipv4 name evidence connections failed who", `
		203.0.113.90 | nat64-only.example.net | confirmed | 27 | 0 | [backend/catalog-sync shop/mailer]`},
	{"nat64-trouble", "name embedded_ipv4 connections failed_percent", `
		nat64-only.example.net | 203.0.113.90 | 27 | 0`},
	{"egress-addresses", "egress_address network nodes workloads network_connections", `
		2001:db8:a::1 | 2001:db8:a::/64 | 1 | 7 | 895
		172.31.250.2 | 172.31.250.2 | 1 | 5 | 167
		172.31.250.1 | 172.31.250.1 | 1 | 5 | 66
		2001:db8:a::2 | 2001:db8:a::/64 | 1 | 3 | 895
		 |  | 1 | 1 | 4`},
	{"drops", "family drop_reason direction workload destination connections", `
		ipv6 | POLICY_DENIED | egress | batch | www.example.com | 7
		ipv4 | POLICY_DENIED | egress | batch | www.example.com | 6
		ipv4 | POLICY_DENIED | egress | runner | legacy-erp.example.net | 4
		ipv6 | POLICY_DENIED | internal | node-agent | backend/db | 4
		ipv6 | POLICY_DENIED | internal | prometheus | backend/db | 3
		ipv6 | POLICY_DENIED | egress | erp-client | 2001:db8:ffff::10 | 2`},
	{"inbound", "namespace workload service port family way connections clients failed", `
		shop | web | shop/web | 8080 | ipv6 | world_to_pod | 89 | 1 | 0
		shop | web | shop/web | 8080 | ipv4 | world_to_pod | 45 | 1 | 0
		shop | web | shop/web | 8080 | ipv6 | client_hidden | 16 | 1 | 0
		shop | web | shop/web | 8080 | ipv4 | client_hidden | 10 | 1 | 0`},
	{"services", "namespace service declared used one_family", `
		monitoring | prometheus | dual | ipv6 | 1
		backend | db | dual | dual | 0
		default | kubernetes | ipv6 | none | 0
		kube-system | kube-dns | dual | dual | 0
		shop | cart | dual | dual | 0
		shop | web | dual | dual | 0`},
	{"unsure --limit 2", "class evidence rule connections makes_certain", `
		native6 | inferred | in_cluster | 593 | It needs nothing more.
		nat66 | inferred | masquerade_iptables | 284 | BPF masquerade with monitor aggregation low or none, or a capture outside.`},
	{"recent --workload runner --limit 1", "namespace destination class outcome", `
		ci | registry-1.docker.io | nat66 | answered`},
	{"completeness", "node causes hidden flows", `
		node-2 | [hidden_by_settings] | 1 | 6799
		node-1 | [] | 0 | 13189`},
	{"gaps", "node cause events", `
		node-2 | hidden_by_settings | <nil>`},
	{"pulls", "", ""}, // nobody recorded events
	{"prefixes", "kind family prefix node used", `
		cluster_prefix | ipv4 |  |  | 2
		cluster_prefix | ipv6 |  |  | 2
		node_prefix | ipv4 | 10.201.1.0/24 | node-1 | 8
		node_prefix | ipv4 | 10.201.2.0/24 | node-2 | 7
		node_prefix | ipv6 | fd10:201:0:1::/96 | node-1 | 8
		node_prefix | ipv6 | fd10:201:0:2::/96 | node-2 | 7
		service_prefix | ipv4 |  |  | 5
		service_prefix | ipv6 |  |  | 6`},
	{"findings --namespace default", "finding kind name", `
		no_endpoints | service | kubernetes`},
	{"rate-limits", "service bucket family evidence used peak_used limit headroom window_seconds unseen nodes namespaces pods", `
		registry-1.docker.io | 2001:db8:a::/64 | ipv6 | observed | 150 | 150 | 100 | 0 | 21600 | node | 2 | 1 | 2
		api.github.com | 172.31.250.2 | ipv4 | inferred | 17 | 17 | 60 | 43 | 3600 | node | 1 | 1 | 1
		registry-1.docker.io | 172.31.250.1 | ipv4 | observed | 27 | 27 | 100 | 73 | 21600 | nothing | 1 | 1 | 1
		api.github.com | 172.31.250.1 | ipv4 | observed | 5 | 5 | 60 | 55 | 3600 | nothing | 1 | 1 | 1
		registry-1.docker.io abuse | 2001:db8:a::/64 | ipv6 | observed | 10 | 26 | <nil> | <nil> | 60 | node | 2 | 1 | 2
		registry-1.docker.io abuse | 172.31.250.1 | ipv4 | observed | 2 | 5 | <nil> | <nil> | 60 | nothing | 1 | 1 | 1
		registry-1.docker.io | 172.31.250.2 | ipv4 | inferred | <nil> | <nil> | 100 | <nil> | 21600 | node | 0 | 0 | 0`},
	{"rate-limit-top --limit 5", "service bucket kind who uses used", `
		registry-1.docker.io | 2001:db8:a::/64 | workload | ci/image-build | 91 | 150
		registry-1.docker.io | 2001:db8:a::/64 | workload | ci/runner | 45 | 150
		registry-1.docker.io | 2001:db8:a::/64 | node | node-1 | 105 | 150
		registry-1.docker.io | 2001:db8:a::/64 | node | node-2 | 45 | 150
		api.github.com | 172.31.250.2 | workload | ci/runner | 17 | 17`},
	{"rate-limited", "", ""}, // nobody was
	{"storage --rate 1000 --limit 3", "table column flows_per_second ttl_days", `
		all |  | 1000 | <nil>
		flows |  | 1000 | <nil>
		connections |  | 1000 | <nil>`},
	{"storage --limit 3", "table column flows_per_second bytes_kept", `
		all |  | 46.4 | <nil>
		flows |  | 46.4 | <nil>
		connections |  | 46.4 | <nil>`},
}

// TestCookbook asks every query about the recorded cluster.
func TestCookbook(t *testing.T) {
	t.Parallel()
	c := stored(t)
	covered := map[string]bool{"connection": true}
	for _, test := range recorded {
		args := strings.Fields(test.query)
		covered[args[0]] = true
		rows, err := asked(t, c, args...)
		if err != nil {
			t.Errorf("%s: %v", test.query, err)
			continue
		}
		var want []string
		for line := range strings.Lines(strings.TrimPrefix(test.rows, "\n")) {
			want = append(want, strings.TrimRight(strings.TrimPrefix(line, "\t\t"), "\n"))
		}
		if diff := cmp.Diff(want, lines(rows, test.columns)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.query, diff)
		}
		q, _ := cookbook.Find(args[0])
		for _, row := range rows {
			checkColumns(t, q, row)
		}
	}
	for _, q := range cookbook.Queries {
		if !covered[q.Name] {
			t.Errorf("nobody says what %s answers about the recorded cluster", q.Name)
		}
	}
	t.Run("story", func(t *testing.T) { checkStory(t, c) })
	t.Run("truth", func(t *testing.T) { checkAdoption(t, c) })
	t.Run("views", func(t *testing.T) { checkViews(t, c) })
	t.Run("hostile", func(t *testing.T) { checkHostile(t, c) })
	t.Run("wrong", func(t *testing.T) { checkWrong(t, c) })
}

// checkColumns: every column is documented, and a share or a count says how much was seen.
func checkColumns(t *testing.T, q cookbook.Query, row map[string]any) {
	t.Helper()
	var documented []string
	for _, column := range q.Columns {
		documented = append(documented, column.Name)
	}
	slices.Sort(documented)
	if diff := cmp.Diff(documented, slices.Sorted(func(yield func(string) bool) {
		for name := range row {
			if !yield(name) {
				return
			}
		}
	})); diff != "" {
		t.Errorf("%s: columns (-documented +answered)\n%s", q.Name, diff)
	}
	if seen, ok := row["completeness_percent"]; ok {
		if share, err := seen.(json.Number).Float64(); err != nil || share < 90 || share > 100 {
			t.Errorf("%s: completeness_percent is %v", q.Name, seen)
		}
	} else if _, counts := row["connections"]; counts {
		t.Errorf("%s counts connections and does not say how much was seen", q.Name)
	}
}

// checkStory: an IPv6 attempt that was refused, with the flows of it.
func checkStory(t *testing.T, c clickhouse.Config) {
	rows, err := asked(t, c, "SELECT id FROM each_connection WHERE fallen_back AND outcome = 'refused' ORDER BY first LIMIT 1")
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, error %v", rows, err)
	}
	rows, err = asked(t, c, "connection", "--id", fmt.Sprint(rows[0]["id"]))
	if err != nil {
		t.Fatal(err)
	}
	q, _ := cookbook.Find("connection")
	checkColumns(t, q, rows[0])
	want := []string{
		"connection | refused | shop/checkout to api.partner.example, 4 flows, 0 ms, fell back to IPv4",
		"policy_verdict | FORWARDED | UNKNOWN_POINT TRACE_REASON_UNKNOWN SYN, policy_verdict",
		"trace | FORWARDED | TO_NETWORK NEW SYN",
		"trace | FORWARDED | TO_NETWORK TRACE_REASON_UNKNOWN SYN, nat_evidence",
		"trace | FORWARDED | TO_ENDPOINT REPLY ACK,RST, reply",
	}
	if diff := cmp.Diff(want, lines(rows, "record verdict says")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// checkAdoption: for every workload the view counts what the client programs counted, by the family that they used. Name
// lookups and pings are left out, as is what the nodes' own programs did beside their pulls.
func checkAdoption(t *testing.T, c clickhouse.Config) {
	type key struct{ who, family string }
	want, total := map[key]int{}, map[string]int{}
	for k, n := range clientTold(t) {
		if k.outcome != "answered" {
			continue
		}
		who := k.client
		switch who {
		case "world/internet-client":
			who = k.destination
		case "node/kubelet":
			who = "/"
		}
		family := k.family
		if k.destination == "nat64-only.example.net" {
			family = "nat64"
		}
		want[key{who, family}] += n
		total[family] += n
	}
	rows, err := asked(t, c, `SELECT concat(namespace, '/', workload) AS who, sum(a.ipv6) AS ipv6, sum(a.nat64) AS nat64, sum(a.ipv4) AS ipv4,
		sum(a.connections) - ipv6 - nat64 - ipv4 AS neither
		FROM ipv6_adoption(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) AS a WHERE traffic = 'other' GROUP BY who`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[key]int{}
	for _, row := range rows {
		for _, family := range []string{"ipv6", "nat64", "ipv4", "neither"} {
			n, err := row[family].(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			if n != 0 {
				got[key{row["who"].(string), family}] = int(n)
			}
		}
	}
	got[key{"/", "ipv4"}]-- // node-1's agent and the API server
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-clients +view)\n%s", diff)
	}

	rows, err = asked(t, c, "adoption", "--limit", "1")
	if err != nil {
		t.Fatal(err)
	}
	all := total["ipv6"] + total["nat64"] + total["ipv4"] + 1
	share := math.Round(1000*float64(total["ipv6"])/float64(all)) / 10
	if got := fmt.Sprint(rows[0]["application_percent"]); got != fmt.Sprint(share) {
		t.Errorf("application_percent is %s, the clients' is %v", got, share)
	}
}

// checkViews: every view answers and tells something, but for those of what nobody recorded.
func checkViews(t *testing.T, c clickhouse.Config) {
	for name, comment := range c.Views() {
		call := name
		if strings.HasPrefix(comment, "(since, until)") {
			call += "(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})"
		}
		rows, err := asked(t, c, "SELECT * FROM "+call)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if empty := name == "image_pulls"; (len(rows) == 0) != empty {
			t.Errorf("%s has %d rows", name, len(rows))
		}
	}
	for _, q := range cookbook.Queries {
		for _, table := range q.Needs() {
			name := strings.TrimPrefix(table, "system.")
			rows, err := asked(t, c, "SELECT 1 FROM system.tables WHERE name = '"+name+"' AND database IN (currentDatabase(), 'system')")
			if err != nil || len(rows) == 0 {
				t.Errorf("%s needs %s, which is not there (error %v)", q.Name, table, err)
			}
		}
	}
}

// checkHostile: what a user says is a value and nothing else.
func checkHostile(t *testing.T, c clickhouse.Config) {
	before, err := asked(t, c, "SELECT name, total_rows FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		"'; DROP TABLE connections; --", "' OR '1' = '1", `\`, `\' OR 1 = 1 --`, "{limit:UInt32}", "a\tb\nc", "%s%n", "日本", `"`, "`", "shop' UNION ALL SELECT 1 --",
		strings.Repeat("x", 100_000),
	}
	for _, flag := range []string{"--namespace", "--workload", "--cluster"} {
		for _, text := range texts {
			if rows, err := asked(t, c, "recent", flag+"="+text); err != nil || len(rows) != 0 {
				t.Errorf("recent %s %.40q: %d rows, error %v", flag, text, len(rows), err)
			}
		}
	}
	for _, q := range cookbook.Queries {
		args := []string{q.Name}
		for _, p := range q.Params() {
			if p.Type == "String" && p.Name != "rate" { // which the command takes for a number
				args = append(args, "--"+p.Name+"="+texts[0])
			}
		}
		if rows, err := asked(t, c, args...); len(args) > 1 && (err != nil || len(rows) != 0) {
			t.Errorf("%s: %d rows, error %v", args, len(rows), err)
		}
	}
	if _, err := asked(t, c, "connection", "--id", "'; DROP TABLE connections; --"); err == nil {
		t.Error("an id that is none finds a connection")
	}
	after, err := asked(t, c, "SELECT name, total_rows FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("tables (-before +after)\n%s", diff)
	}
	// The values arrive as they are.
	for _, text := range texts {
		db, err := clickhouse.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := ask(clickhouse.WithParameters(context.Background(), map[string]string{"namespace": text}), db, "SELECT {namespace:String} AS v")
		if err != nil || rows[0]["v"] != text {
			t.Errorf("%.40q arrives as %.40v, error %v", text, rows, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// checkWrong: what cannot be meant is refused before anything is asked.
func checkWrong(t *testing.T, c clickhouse.Config) {
	for _, test := range []struct{ args, want string }{
		{"adoptoin", `no query is called "adoptoin": did you mean "adoption"?`},
		{"connection", "the query connection needs --id"},
		{"adoption --id x", "the query adoption takes no --id"},
		{"gaps --namespace shop", "the query gaps takes no --namespace"},
		{"adoption --since yesterday", `--since: must be how long ago (90m, 7d) or a time (2026-11-24T03:27:00Z), is "yesterday"`},
		{"adoption --until 2020-01-01T00:00:00Z", "--since: must be before --until"},
	} {
		if _, err := asked(t, c, strings.Fields(test.args)...); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %s", test.args, err, test.want)
		}
	}
}
