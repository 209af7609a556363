package verdict_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestProcess(t *testing.T) {
	const (
		no, yes, unknown = flow.No, flow.Yes, flow.Unknown
		pod, pod4        = "fd00:10:42::7", "10.42.0.7"
		dest             = "64:ff9b::140.82.121.3"
		own              = "2001:db8:64::140.82.121.3" // in a configured /96
		own56            = "2001:db8:56:38c:52:7903::" // in a configured /56
		misuse           = "64:ff9b::10.0.0.1"
		gua              = "2a00:1450:4001:80b::200e"
		to4, to4Other    = "2002:8c52:7903::1", "2002:102:304::1"
		teredo           = "2001:0:4136:e378:8000:63bf:3fff:fdd2"
		isatap           = "fd00::5efe:192.0.2.33"
		github           = "140.82.121.3"
		facts            = "needs_cluster_facts"
	)
	configured := prefixes(t, "2001:db8:64::/96", "2001:db8:56:300::/56")

	for _, row := range []struct {
		name                string
		reply               flow.Tristate
		source, destination string
		class               flow.Class
		rule                string
		embedded            string
	}{
		{"nat64 forward", no, pod, dest, flow.NAT64, "nat64_prefix", github},
		{"nat64 reply", yes, dest, pod, flow.NAT64, "nat64_prefix", github},
		{"nat64, side unknown, to it", unknown, pod, dest, flow.NAT64, "nat64_prefix", github},
		{"nat64, side unknown, from it", unknown, dest, pod, flow.NAT64, "nat64_prefix", github},
		{"nat64, configured /96", no, pod, own, flow.NAT64, "nat64_prefix", github},
		{"nat64, configured /56", no, pod, own56, flow.NAT64, "nat64_prefix", github},
		{"nat64, configured /56, bits 64 to 71 set", no, pod, "2001:db8:56:38c:152:7903::", flow.ClassUnknown, facts, ""},
		{"nat64 both ends, forward", no, "64:ff9b::1.2.3.4", dest, flow.NAT64, "nat64_prefix", github},
		{"nat64 both ends, reply", yes, dest, "64:ff9b::1.2.3.4", flow.NAT64, "nat64_prefix", github},
		{"nat64 both ends, side unknown", unknown, "64:ff9b::1.2.3.4", dest, flow.NAT64, "nat64_prefix", github},
		{"an IPv4 host begins", no, dest, pod, flow.NAT46, "nat46_prefix", ""},
		{"an IPv4 host is answered", yes, pod, dest, flow.NAT46, "nat46_prefix", ""},
		{"local use, not configured", no, pod, "64:ff9b:1::1.2.3.4", flow.ClassUnknown, facts, ""},

		{"well-known around private", no, pod, misuse, flow.NAT64, "nat64_wellknown_nonglobal", "10.0.0.1"},
		{"well-known around private, reply", yes, misuse, pod, flow.NAT64, "nat64_wellknown_nonglobal", "10.0.0.1"},
		{"well-known around documentation", no, pod, "64:ff9b::192.0.2.33", flow.NAT64, "nat64_wellknown_nonglobal", "192.0.2.33"},
		{"configured around private", no, pod, "2001:db8:64::10.0.0.1", flow.NAT64, "nat64_prefix", "10.0.0.1"},

		{"6to4 forward", no, pod, to4, flow.Tunnel6, "6to4_prefix", github},
		{"6to4 reply", yes, to4, pod, flow.Tunnel6, "6to4_prefix", github},
		{"6to4, side unknown", unknown, pod, to4, flow.Tunnel6, "6to4_prefix", github},
		{"6to4 to 6to4", no, to4Other, to4, flow.Tunnel6, "6to4_prefix", github},
		{"from 6to4", no, to4, gua, flow.Tunnel6, "6to4_prefix", ""},
		{"from 6to4, side unknown", unknown, to4, gua, flow.Tunnel6, "6to4_prefix", ""},
		{"teredo forward", no, pod, teredo, flow.Tunnel6, "teredo_prefix", "192.0.2.45"},
		{"teredo reply", yes, teredo, pod, flow.Tunnel6, "teredo_prefix", "192.0.2.45"},
		{"isatap", no, gua, isatap, flow.Tunnel6, "isatap_interface_id", "192.0.2.33"},
		{"from 6to4 to nat64", no, to4Other, dest, flow.NAT64, "nat64_prefix", github},

		{"clat forward", no, "192.0.0.4", github, flow.CLAT, "clat_prefix", ""},
		{"clat reply", yes, github, "192.0.0.4", flow.CLAT, "clat_prefix", ""},
		{"clat, side unknown", unknown, "192.0.0.4", github, flow.CLAT, "clat_prefix", ""},
		{"clat, side unknown, towards it", unknown, github, "192.0.0.4", flow.CLAT, "clat_prefix", ""},
		{"somebody asks a clat", no, github, "192.0.0.4", flow.ClassUnknown, facts, ""},
		{"a clat answers", yes, "192.0.0.4", github, flow.ClassUnknown, facts, ""},
		{"192.0.0.8 is no clat", no, "192.0.0.8", github, flow.ClassUnknown, facts, ""},

		{"native or nat66", no, pod, gua, flow.ClassUnknown, facts, ""},
		{"native or nat44", no, pod4, github, flow.ClassUnknown, facts, ""},
		{"one address", unknown, pod, "", flow.ClassUnknown, facts, ""},
		{"arp", unknown, "", "", flow.ClassUnknown, "no_addresses", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := flow.Record{IsReply: row.reply, Source: flow.End{IP: addr(row.source)}, Destination: flow.End{IP: addr(row.destination)}}
			b := &flow.Batch{Records: []flow.Record{r}}
			verdict.New(flow.NewInterner(), configured).Process(b)

			type judged struct {
				Class, Evidence, Rule, Embedded       string
				SourceNAT, SourceEvidence, SourceRule string
				SourceKind, DestinationKind           string
			}
			show := func(a netip.Addr) string {
				if !a.IsValid() {
					return ""
				}
				return a.String()
			}
			got := &b.Records[0]
			kinds := verdict.NewKinds()
			want := judged{
				row.class.String(), "inferred", row.rule, row.embedded, "unknown", "none", facts,
				kinds.Of(r.Source.IP).String(), kinds.Of(r.Destination.IP).String(),
			}
			if row.class == flow.ClassUnknown {
				want.Evidence = "none"
			}
			if row.rule == "no_addresses" {
				want.SourceRule = "no_addresses"
			}
			if diff := cmp.Diff(want, judged{
				got.Class.String(), got.ClassEvidence.String(), got.ClassRule.String(), show(got.EmbeddedIPv4),
				got.SourceNAT.String(), got.SourceNATEvidence.String(), got.SourceNATRule.String(),
				got.Source.Kind.String(), got.Destination.Kind.String(),
			}); diff != "" {
				t.Errorf("%s → %s, reply %s (-want +got):\n%s", row.source, row.destination, row.reply, diff)
			}
		})
	}
}

// TestProcessAgain: a verdict replaces an earlier one whole.
func TestProcessAgain(t *testing.T) {
	b := &flow.Batch{Records: []flow.Record{{Source: flow.End{IP: addr("fd00::1")}, Destination: flow.End{IP: addr("64:ff9b::1.1.1.1")}}}}
	stage := verdict.New(flow.NewInterner(), verdict.Prefixes{})
	stage.Process(b)
	b.Records[0].Destination.IP = addr("2a00::1")
	stage.Process(b)
	if r := b.Records[0]; r.Class != flow.ClassUnknown || r.ClassEvidence != flow.EvidenceNone || r.EmbeddedIPv4.IsValid() {
		t.Errorf("class %s, evidence %s, embedded %s, want nothing left of the first verdict", r.Class, r.ClassEvidence, r.EmbeddedIPv4)
	}
}

func TestProcessAllocatesNothing(t *testing.T) {
	names := flow.NewInterner()
	stage := verdict.New(names, prefixes(t, "2001:db8:64::/96", "2001:db8:56:300::/56"))
	all := mixed()
	for _, scenario := range []string{"05", "07", "10", "14", "20", "22", "41"} {
		all.Records = append(all.Records, record(t, names, recorded(t, scenario)...).Records...)
	}
	for _, facts := range []*verdict.Facts{nil, verdict.NewFacts(names, withPolicy(lab(bpf)))} {
		stage.SetFacts(facts)
		if n := testing.AllocsPerRun(10, func() { stage.Process(all) }); n != 0 {
			t.Errorf("Process allocated %v times", n)
		}
	}
}

// TestFactsWhileProcessing: facts and prefixes may change at any time.
func TestFactsWhileProcessing(t *testing.T) {
	names := flow.NewInterner()
	stage := verdict.New(names, verdict.Prefixes{})
	facts, own := verdict.NewFacts(names, lab(bpf)), prefixes(t, "2001:db8:64::/96")
	from := record(t, names, recorded(t, "06")...)
	var wg sync.WaitGroup
	for range 4 {
		b := &flow.Batch{Records: slices.Clone(from.Records)}
		wg.Go(func() {
			for range 20 {
				stage.Process(b)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			stage.SetFacts(facts)
			stage.SetPrefixes(own)
			stage.SetFacts(nil)
			stage.SetPrefixes(verdict.Prefixes{})
		}
	})
	wg.Wait()
}

func BenchmarkProcess(b *testing.B) {
	names := flow.NewInterner()
	for _, c := range []struct {
		name  string
		facts *verdict.Facts
		batch *flow.Batch
	}{
		{"mixed", nil, mixed()},
		{"recorded/without facts", nil, some(record(b, names, recorded(b, "demo")...))},
		{"recorded", verdict.NewFacts(names, withPolicy(demo(bpf, defaults))), some(record(b, names, recorded(b, "demo")...))},
	} {
		b.Run(c.name, func(b *testing.B) {
			stage := verdict.New(names, prefixes(b, "2001:db8:64::/96", "2001:db8:56:300::/56"))
			stage.SetFacts(c.facts)
			b.ReportAllocs()
			for b.Loop() {
				stage.Process(c.batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(c.batch.Records)), "ns/flow")
		})
	}
}

// some returns a batch of the size that travels through the pipeline.
func some(b *flow.Batch) *flow.Batch {
	return &flow.Batch{Records: b.Records[5000:6024]}
}

// mixed returns a batch with flows of every class that addresses decide, most of them of none.
func mixed() *flow.Batch {
	b := &flow.Batch{}
	for i := range 1024 {
		ends := [][2]string{
			{"fd00:10:42::7", "2a00:1450:4001:80b::200e"},
			{"10.42.0.7", "140.82.121.3"},
			{"fd00:10:42::7", "fd00:10:42::9"},
			{"fd00:10:42::7", "64:ff9b::140.82.121.3"},
			{"10.42.0.7", "10.42.0.9"},
			{"fd00:10:42::7", "2002:102:304::1"},
			{"192.0.0.4", "140.82.121.3"},
			{"", ""},
		}[i%8]
		r := b.Next()
		r.Source.IP, r.Destination.IP, r.IsReply = addr(ends[0]), addr(ends[1]), flow.Tristate(i/8%3)
	}
	return b
}

func addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}
