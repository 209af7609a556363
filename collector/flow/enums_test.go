package flow_test

import (
	"fmt"
	"regexp"
	"testing"

	"sextant/collector/flow"
)

// enums has one row per enum: its words as the field table knows them, its first, its last and an impossible value.
var enums = []struct {
	field                   string
	first, last, impossible fmt.Stringer
	words                   string // first and last word
	size                    int
}{
	{"family", flow.FamilyNone, flow.FamilyIPv6, flow.Family(255), "none…ipv6", 3},
	{"is_reply", flow.Unknown, flow.Yes, flow.Tristate(255), "unknown…yes", 3},
	{"event_type", flow.EventUnknown, flow.EventOther, flow.EventType(255), "unknown…other", 9},
	{"observation_point", flow.PointUnknown, flow.ToCrypto, flow.ObservationPoint(255), "UNKNOWN_POINT…TO_CRYPTO", 15},
	{"trace_reason", flow.ReasonUnknown, flow.ReasonEncryptOverlay, flow.TraceReason(255), "TRACE_REASON_UNKNOWN…ENCRYPT_OVERLAY", 9},
	{"verdict", flow.VerdictUnknown, flow.Translated, flow.Verdict(255), "VERDICT_UNKNOWN…TRANSLATED", 8},
	{"traffic_direction", flow.DirectionUnknown, flow.Egress, flow.TrafficDirection(255), "TRAFFIC_DIRECTION_UNKNOWN…EGRESS", 3},
	{"protocol", flow.ProtocolUnknown, flow.IGMP, flow.Protocol(255), "unknown…igmp", 8},
	{"socket_point", flow.SocketNone, flow.SocketPostReverse, flow.SocketPoint(255), "none…post_rev", 5},
	{"tunnel_protocol", flow.TunnelNone, flow.Geneve, flow.TunnelProtocol(255), "none…geneve", 4},
	{"l7_type", flow.L7None, flow.L7Sample, flow.L7Type(255), "none…sample", 4},
	{"class", flow.ClassUnknown, flow.NAT46, flow.Class(255), "unknown…nat46", 9},
	{"class_evidence", flow.EvidenceNone, flow.Observed, flow.Evidence(255), "none…observed", 4},
	{"source_nat", flow.SourceNATUnknown, flow.SourceNAT66, flow.SourceNAT(255), "unknown…nat66", 4},
	{"source_kind", flow.KindUnknown, flow.KindReserved, flow.AddressKind(255), "unknown…reserved", 24},
	{"direction", flow.UnknownDirection, flow.ForwardedDirection, flow.Direction(255), "unknown…forwarded", 5},
	{"source_side", flow.SideUnknown, flow.SideLocal, flow.Side(255), "unknown…local", 12},
	{"noise", flow.NoiseNone, flow.NoiseMulticast, flow.Noise(255), "none…multicast", 8},
	{"source_name_source", flow.NameSourceNone, flow.NameSourceDNS, flow.NameSource(255), "none…dns", 3},
	{"source_resolution", flow.ResolutionNone, flow.Unresolved, flow.Resolution(255), "none…unresolved", 4},
	{"result", flow.PullUnknown, flow.PullUnreachable, flow.PullResult(255), "unknown…unreachable", 8},
	{"kind", flow.ItemUnknown, flow.ItemWorkload, flow.ItemKind(255), "unknown…workload", 7},
	{"evidence", flow.BucketUnknown, flow.BucketProbed, flow.BucketEvidence(255), "unknown…probed", 6},
	{"measure", flow.MeasureUnknown, flow.MeasurePull, flow.Measure(255), "unknown…pull", 4},
	{"used_evidence", flow.UsedUnknown, flow.UsedProbed, flow.UsedEvidence(255), "unknown…probed", 3},
	{"unseen", flow.UnseenUnknown, flow.UnseenNode, flow.Unseen(255), "unknown…node", 3},
	{"outcome", flow.OutcomeUnknown, flow.Denied, flow.Outcome(255), "unknown…denied", 5},
	{"view", flow.ViewUnknown, flow.ViewDestination, flow.View(255), "unknown…destination", 6},
	{"cause", flow.GapUnknown, flow.GapRestart, flow.GapCause(255), "unknown…collector_restart", 16},
	{"tcp_flags", flow.TCPFlags(0), flow.TCPFlags(511), flow.TCPFlags(512), "…SYN,ACK,FIN,RST,PSH,URG,ECE,CWR,NS", 512},
}

func TestEnums(t *testing.T) {
	// Every word fits a JSON string and a Prometheus label without escapes, and a ClickHouse Enum8.
	charset := regexp.MustCompile(`^[A-Za-z0-9_,]*$`)
	for _, e := range enums {
		words := allWords(t)[e.field]
		if len(words) != e.size {
			t.Errorf("%s has %d words for %d values", e.field, len(words), e.size)
			continue
		}
		if got := e.first.String() + "…" + e.last.String(); got != e.words {
			t.Errorf("%s runs %s, want %s", e.field, got, e.words)
		}
		if e.last.String() != words[len(words)-1] {
			t.Errorf("%s: the last value is %s, the last word %s", e.field, e.last, words[len(words)-1])
		}
		if e.impossible.String() != words[0] {
			t.Errorf("%s: a value out of range reads %q, want %q", e.field, e.impossible, words[0])
		}
		seen := map[string]bool{}
		for _, w := range words {
			if !charset.MatchString(w) || seen[w] {
				t.Errorf("%s: the word %q is there twice or has odd characters", e.field, w)
			}
			seen[w] = true
		}
	}
}

// TestEveryEnumIsTested keeps the table above complete.
func TestEveryEnumIsTested(t *testing.T) {
	tested := map[*string]bool{}
	for _, e := range enums {
		tested[&allWords(t)[e.field][0]] = true
	}
	for field, words := range allWords(t) {
		if !tested[&words[0]] {
			t.Errorf("no row for the enum of %s", field)
		}
	}
}

func allWords(t *testing.T) map[string][]string {
	t.Helper()
	words := map[string][]string{}
	addWords(words, flow.Fields)
	addWords(words, flow.ConnectionFields)
	addWords(words, flow.GapFields)
	addWords(words, flow.PullFields)
	addWords(words, flow.ItemFields)
	addWords(words, flow.ChargeFields)
	addWords(words, flow.BucketFields)
	return words
}

func addWords[R any](words map[string][]string, fields []flow.Field[R]) {
	for _, f := range fields {
		if f.Enum != nil {
			words[f.Name] = f.Words
		}
	}
}

func TestTCPFlags(t *testing.T) {
	for want, flags := range map[string]flow.TCPFlags{
		"":                                   0,
		"SYN":                                flow.SYN,
		"SYN,ACK":                            flow.SYN | flow.ACK,
		"ACK,FIN":                            flow.FIN | flow.ACK,
		"ACK,PSH":                            flow.PSH | flow.ACK,
		"ACK,RST":                            flow.RST | flow.ACK,
		"SYN,ECE,CWR":                        flow.SYN | flow.ECE | flow.CWR,
		"SYN,ACK,FIN,RST,PSH,URG,ECE,CWR,NS": 511,
	} {
		if got := flags.String(); got != want {
			t.Errorf("%09b reads %q, want %q", flags, got, want)
		}
	}
	// The bits are the header's (RFC 9293 section 3.1): FIN is the lowest.
	if flow.FIN != 1 || flow.SYN != 2 || flow.ACK != 16 || flow.CWR != 128 {
		t.Error("the bits are not the header's")
	}
}
