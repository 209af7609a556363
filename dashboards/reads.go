package dashboards

import (
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
)

// Reads are the columns that the queries of panels, variables, annotations and alerts name, by the view or table that has
// them. Nothing is made of it: it is here so that renaming a column is a compile error beside the queries that name it. Those
// of the cookbook are its own.
var Reads = map[string][]string{
	"charges": {
		flow.ChargeColumns.Bucket, flow.ChargeColumns.Cluster, flow.ChargeColumns.Family, flow.ChargeColumns.Limited, flow.ChargeColumns.Measure,
		flow.ChargeColumns.Service, flow.ChargeColumns.Time, flow.ChargeColumns.Uses,
	},
	clickhouse.ViewCompleteness: {
		of.Completeness.Cluster, of.Completeness.CompletenessPercent, of.Completeness.ExpectedSeconds, of.Completeness.Hidden, of.Completeness.LostEvents,
		of.Completeness.ObservedSeconds,
	},
	"connections": {
		flow.ConnectionColumns.Cluster, flow.ConnectionColumns.DestinationNamespace, flow.ConnectionColumns.DestinationWorkload,
		flow.ConnectionColumns.First, flow.ConnectionColumns.ID, flow.ConnectionColumns.SourceNamespace, flow.ConnectionColumns.SourceWorkload,
	},
	clickhouse.ViewEachConnection: {
		of.EachConnection.AvoidableIPv4, of.EachConnection.Class, of.EachConnection.ClassEvidence, of.EachConnection.Cluster,
		of.EachConnection.DestinationAddress, of.EachConnection.DestinationName, of.EachConnection.DestinationNamespace, of.EachConnection.DestinationPod,
		of.EachConnection.DestinationPort, of.EachConnection.DestinationService, of.EachConnection.DestinationWorkload, of.EachConnection.Direction,
		of.EachConnection.Family, of.EachConnection.First, of.EachConnection.ID, of.EachConnection.Last, of.EachConnection.Outcome,
		of.EachConnection.Protocol, of.EachConnection.SourceAddress, of.EachConnection.SourceNAT, of.EachConnection.SourceNATEvidence,
		of.EachConnection.SourceNamespace, of.EachConnection.SourceNode, of.EachConnection.SourcePod, of.EachConnection.SourceWorkload,
	},
	clickhouse.ViewFallbacks: {
		of.Fallbacks.Attempts, of.Fallbacks.Cluster, of.Fallbacks.LostSeconds, of.Fallbacks.Namespace, of.Fallbacks.Workload,
	},
	"flows": {
		flow.RecordColumns.Class, flow.RecordColumns.ClassRule, flow.RecordColumns.Cluster, flow.RecordColumns.DestinationIP,
		flow.RecordColumns.DestinationName, flow.RecordColumns.DestinationNamespace, flow.RecordColumns.DestinationPod, flow.RecordColumns.DestinationPort,
		flow.RecordColumns.DestinationService, flow.RecordColumns.DestinationWorkload, flow.RecordColumns.DropReason, flow.RecordColumns.EventType,
		flow.RecordColumns.Family, flow.RecordColumns.Node, flow.RecordColumns.Protocol, flow.RecordColumns.SourceIP, flow.RecordColumns.SourceNamespace,
		flow.RecordColumns.SourcePod, flow.RecordColumns.SourcePort, flow.RecordColumns.SourceWorkload, flow.RecordColumns.Time, flow.RecordColumns.Verdict,
	},
	"gaps": {
		flow.GapColumns.Cause, flow.GapColumns.Detail, flow.GapColumns.From, flow.GapColumns.Node, flow.GapColumns.To,
	},
	"heartbeats": {
		flow.BeatColumns.Cluster, flow.BeatColumns.Flows, flow.BeatColumns.From, flow.BeatColumns.Node, flow.BeatColumns.To,
	},
	clickhouse.ViewImagePulls: {
		of.ImagePulls.Image, of.ImagePulls.Namespace, of.ImagePulls.Time, of.ImagePulls.Workload,
	},
	clickhouse.ViewIPv4Dependencies: {
		of.IPv4Dependencies.Cause, of.IPv4Dependencies.Cluster, of.IPv4Dependencies.Connections, of.IPv4Dependencies.Namespace, of.IPv4Dependencies.Workload,
	},
	clickhouse.ViewIPv6Adoption: {
		of.IPv6Adoption.Cluster, of.IPv6Adoption.Connections, of.IPv6Adoption.FailedIPv6, of.IPv6Adoption.IPv4, of.IPv6Adoption.IPv6,
		of.IPv6Adoption.Namespace, of.IPv6Adoption.Nat64, of.IPv6Adoption.Traffic, of.IPv6Adoption.Workload,
	},
	clickhouse.ViewPrefixPlan: {
		of.PrefixPlan.Cluster, of.PrefixPlan.Family, of.PrefixPlan.Kind, of.PrefixPlan.Node, of.PrefixPlan.Prefix, of.PrefixPlan.UsedPercent,
	},
	clickhouse.ViewRateLimitExposure: {
		of.RateLimitExposure.Bucket, of.RateLimitExposure.Cluster, of.RateLimitExposure.Family, of.RateLimitExposure.Limit,
		of.RateLimitExposure.Service, of.RateLimitExposure.Unseen, of.RateLimitExposure.Used,
	},
	clickhouse.ViewServiceFamilies: {
		of.ServiceFamilies.Cluster, of.ServiceFamilies.Declared, of.ServiceFamilies.Namespace, of.ServiceFamilies.ReadyIPv4, of.ServiceFamilies.ReadyIPv6,
		of.ServiceFamilies.Used,
	},
	clickhouse.ViewUnexpectedIPv4Egress: {
		of.UnexpectedIPv4Egress.Cause, of.UnexpectedIPv4Egress.Cluster, of.UnexpectedIPv4Egress.CompletenessPercent, of.UnexpectedIPv4Egress.Connections,
		of.UnexpectedIPv4Egress.Namespace, of.UnexpectedIPv4Egress.Workload,
	},
}

var of = clickhouse.ViewColumns
