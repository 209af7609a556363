package verdict_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestExplainAddress(t *testing.T) {
	names := flow.NewInterner()
	stage := verdict.New(names, prefixes(t, "2001:db8:64::/96"))
	stage.SetFacts(verdict.NewFacts(names, withPolicy(lab(bpf))))
	type said struct{ Kind, Place, Embedded, Prefix, Class, Evidence, Rule string }
	for _, row := range []struct {
		addr string
		want said
	}{
		{"64:ff9b::140.82.121.3", said{"nat64", "", "140.82.121.3", "64:ff9b::/96", "nat64", "inferred", "nat64_prefix"}},
		{"2001:db8:64::10.0.0.1", said{"documentation", "", "10.0.0.1", "2001:db8:64::/96", "nat64", "inferred", "nat64_prefix"}},
		{"64:ff9b::10.0.0.1", said{"nat64", "", "10.0.0.1", "64:ff9b::/96", "nat64", "inferred", "nat64_wellknown_nonglobal"}},
		{"2002:8c52:7903::1", said{"6to4", "", "140.82.121.3", "", "tunnel6", "inferred", "6to4_prefix"}},
		{"2600::1", said{"gua", "", "", "", "unknown", "none", ""}},
		{"fd10:201:0:1::5ab6", said{"ula", "It belongs to a pod on node node-1.", "", "", "unknown", "none", ""}},
		{"172.31.250.2", said{"private", "It is an address of node node-2.", "", "", "unknown", "none", ""}},
		{"10.201.2.155", said{"private", "It is Cilium's own address on node node-2, on cilium_host.", "", "", "unknown", "none", ""}},
		{"10.96.0.100", said{"private", "It is a frontend of service shop/cart.", "", "", "unknown", "none", ""}},
		{"10.201.2.200", said{"private", "It is in a pod CIDR of node node-2, and belongs to no pod that is known.", "", "", "unknown", "none", ""}},
		{gateway6, said{"documentation", "It is the address that an egress gateway policy gives to the pods that it selects.", "", "", "unknown", "none", ""}},
		{"fe80::1", said{"link_local", "", "", "", "native6", "inferred", "on_link"}},
		{"::ffff:10.96.0.100", said{"private", "It is a frontend of service shop/cart.", "", "", "unknown", "none", ""}},
	} {
		got := stage.ExplainAddress(addr(row.addr))
		shown := said{got.Kind.String(), got.PlaceMeans, "", "", got.Class.String(), got.Evidence.String(), got.Rule.Name}
		if got.EmbeddedIPv4.IsValid() {
			shown.Embedded = got.EmbeddedIPv4.String()
		}
		if got.Prefix.IsValid() {
			shown.Prefix = got.Prefix.String()
		}
		if diff := cmp.Diff(row.want, shown); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.addr, diff)
		}
		for _, sentence := range []string{got.KindMeans, got.Rule.Means, got.Rule.Certain} {
			if !isSentence(sentence) {
				t.Errorf("%s: %q is no sentence", row.addr, sentence)
			}
		}
	}
}

func TestExplainRecord(t *testing.T) {
	names := flow.NewInterner()
	stage := verdict.New(names, verdict.Prefixes{})
	stage.SetFacts(verdict.NewFacts(names, lab(iptables)))
	r := record1(names, cart, world, true)
	r.Destination.IP = addr("64:ff9b::140.82.121.3")
	got := stage.ExplainRecord(r)
	if got.Class.Name != "nat64_prefix" || got.Source.Name != "masquerade_iptables" || got.Record.Class != flow.NAT64 || r.Class != flow.ClassUnknown {
		t.Errorf("got %s and %s, class %s; the record itself %s", got.Class.Name, got.Source.Name, got.Record.Class, r.Class)
	}
}

// TestRuleTexts: every rule can be explained, and none can hide another.
func TestRuleTexts(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range verdict.Rules() {
		if seen[rule.Name] {
			t.Errorf("%s stands there twice", rule.Name)
		}
		seen[rule.Name] = true
		if !isSentence(rule.Means) || !isSentence(rule.Certain) {
			t.Errorf("%s: %q or %q is no sentence", rule.Name, rule.Means, rule.Certain)
		}
		if strings.Trim(rule.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q is no name", rule.Name)
		}
	}
	for _, name := range []string{verdict.RulePostMasquerade, verdict.RuleMasqueradePair, verdict.RuleWhoBeganUnknown} {
		if !seen[name] {
			t.Errorf("there is no rule %s", name)
		}
	}
}

func isSentence(text string) bool {
	return len(text) > 10 && strings.HasSuffix(text, ".") && strings.ToUpper(text[:1]) == text[:1]
}

// TestRulesWithoutFacts: needs_cluster_facts is what is left when nothing is known.
func TestRulesWithoutFacts(t *testing.T) {
	for _, six := range []bool{false, true} {
		names := flow.NewInterner()
		stage := verdict.New(names, verdict.Prefixes{})
		for _, row := range []struct {
			from, to who
			rule     string
		}{
			{cart, world, "needs_cluster_facts"},
			{world, cart, "needs_cluster_facts"},
			{cart, node2, "needs_cluster_facts"},
			{nobody, nobody, "needs_cluster_facts"},
			{cartAtNode, world, "needs_cluster_facts"},
			{hidden, db, "needs_cluster_facts"},
			{cart, db, "in_cluster"},
			{node1, world, "node_own"},
			{node1, cart, "node_or_hidden_client"},
		} {
			b := &flow.Batch{Records: []flow.Record{record1(names, row.from, row.to, six)}}
			stage.Process(b)
			if got := b.Records[0].ClassRule.String(); got != row.rule {
				t.Errorf("%s → %s: %s, want %s", b.Records[0].Source.IP, b.Records[0].Destination.IP, got, row.rule)
			}
		}
	}
}
