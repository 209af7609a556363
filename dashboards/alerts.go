package dashboards

import (
	"strings"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/prometheus"
	"sextant/sinks/spool"
)

// Names of what is recorded, level:metric:operation.
const (
	observedRecord     = "cluster_node:sextant_observed:ratio"
	completenessRecord = "cluster:sextant_completeness:ratio"
	inventoryAgeRecord = "cluster:sextant_inventory_age:seconds"
	unexpectedRecord   = "cluster_namespace_workload_cause:sextant_unexpected_ipv4_connections:window"
	connectionsRecord  = "cluster_namespace:sextant_connections:window"
	ipv4ShareRecord    = "cluster_namespace:sextant_ipv4_share:ratio"
	nat64Record        = "cluster:sextant_nat64_connections:window"
)

// observedWindow is over which completeness is taken. Heartbeats come every minute, so that the rate over a stretch of time
// is wrong by up to a minute in it.
const observedWindow = 30 * time.Minute

// Records are the recording rules.
func Records(c Config) []Record {
	// A rate is too low where a series has just begun, and a slope where the collector began anew.
	observed := prometheus.MetricObservedSecondsTotal + "[" + promDuration(observedWindow) + "]"
	workloads := prometheus.MetricWorkloadConnectionsTotal
	through := `outcome=~"` + flow.Answered.String() + "|" + flow.OutcomeUnknown.String() + `",traffic="other"`
	return []Record{
		{
			observedRecord,
			"clamp_max(sum by (cluster, node) (rate(" + observed + ") >= deriv(" + observed + ") or deriv(" + observed + ")), 1) and on (cluster, node) " + prometheus.MetricObservedSecondsTotal,
			"Share of a node's time in which its flows were observed, in the last half hour; of a node that was not there for so long, since it was.",
		},
		{
			completenessRecord,
			"avg by (cluster) (" + observedRecord + ")",
			"The same of all nodes of a cluster.",
		},
		{
			inventoryAgeRecord,
			"time() - max by (cluster) (" + prometheus.MetricInventoryTimestampSeconds + ")",
			"Age of the newest inventory.",
		},
		{
			unexpectedRecord,
			"sum by (cluster, namespace, workload, cause) " + grown(prometheus.MetricIPv4EgressConnectionsTotal+`{class!="`+flow.NAT64.String()+`",cause!~"`+prometheus.CauseNoAAAA.String()+"|"+prometheus.CauseFallback.String()+`"}`, c.Window),
			"Connections to the outside over IPv4 in the window though nothing says that they have to.",
		},
		{
			connectionsRecord,
			"sum by (cluster, namespace) " + grown(workloads+"{"+through+`,family!="none"}`, c.Window),
			"Connections in the window that got through, without name lookups and pings, of the cluster's own end.",
		},
		{
			ipv4ShareRecord,
			"1 - sum by (cluster, namespace) " + grown(workloads+"{"+through+`,family="ipv6",class!="`+flow.NAT64.String()+`"}`, c.Window) + " / " + connectionsRecord +
				" or " + connectionsRecord + " * 0 + 1",
			"Share of these that end as IPv4.",
		},
		{
			nat64Record,
			"sum by (cluster) " + grown(prometheus.MetricConnectionsTotal+`{class="`+flow.NAT64.String()+`"}`, c.Window),
			"Connections through NAT64 in the window.",
		},
	}
}

// Alerts are the alerts.
func Alerts(c Config) []Alert {
	w := promDuration(c.Window)
	unexpected := []string{unexpectedRecord}
	for _, a := range c.allowed() {
		if a.InMetrics() {
			unexpected = append(unexpected, a.promQL(unexpectedRecord))
		}
	}
	bucket := "cluster, service, bucket, family, evidence"
	return []Alert{
		{
			Name: "SextantUnexpectedIPv4", Severity: Warn, Guard: Observed,
			Value: strings.Join(unexpected, " unless on (cluster, namespace, workload, cause) "), Compare: Above, Limit: c.Unexpected, For: 5 * time.Minute, About: []string{"cluster", "namespace", "workload", "cause"},
			SQL:         unexpectedSQL(c),
			Summary:     "{{ if $labels.workload }}{{ $labels.namespace }}/{{ $labels.workload }} leaves{{ else }}A node itself leaves{{ end }} over IPv4 though nothing says that it has to",
			Description: "{{ $value | humanize }} connections to the outside within " + w + " went over IPv4; cause: {{ $labels.cause }}.",
			Means:       "A workload reached the outside over IPv4, though its destination has an IPv6 address or nobody knows whether it has. Where IPv4 is switched off, this breaks.",
			Do: []string{
				"Ask which destination it is, and why: `application` has an IPv6 address that was not used, `literal` was not asked for by name, `policy` was denied over IPv6, `unknown` means that the workload's DNS answers are not seen.",
				"`application`: look for a library that prefers IPv4, or a setting such as `preferIPv4Stack`. `literal`: look for an address in a setting. `policy`: allow IPv6 as IPv4 is allowed.",
				"Where it has to stay for now, add an entry to `alerts.allow_ipv4` with a day on which it ends, and generate the rules anew.",
			},
			Queries: []string{"unexpected-ipv4", "ipv4-dependencies"}, Dashboard: needsUID,
		},
		{
			Name: "SextantIPv4ShareRising", Severity: Warn, Guard: Observed,
			Value:   "(" + ipv4ShareRecord + " - " + ipv4ShareRecord + " offset " + promDuration(c.ShareAgainst) + ") and " + connectionsRecord + " >= " + number(c.Connections),
			Compare: Above, Limit: c.ShareRise, For: 15 * time.Minute, About: []string{"cluster", "namespace"},
			Summary:     "{{ $labels.namespace }} uses more IPv4 than " + promDuration(c.ShareAgainst) + " ago",
			Description: "The share of IPv4 in its connections has risen by {{ $value | humanizePercentage }}.",
			Means:       "The migration goes backwards: a rollout, a dependency or a resolver made a namespace use IPv4 where it used IPv6.",
			Do: []string{
				"See when the share rose, and what was rolled out then: deployments are marked in the charts.",
				"Ask for the workloads whose share is lowest, and what they depend on.",
			},
			Queries: []string{"adoption-over-time", "adoption-by-workload", "ipv4-dependencies"}, Dashboard: standingUID,
		},
		{
			Name: "SextantRateLimitNear", Severity: Warn, Guard: Observed,
			Value:   "max by (" + bucket + ") (" + prometheus.MetricRateLimitUsed + ") / max by (" + bucket + ") (" + prometheus.MetricRateLimitLimit + ")",
			Compare: Above, Limit: c.LimitUsed, For: 5 * time.Minute, About: []string{"cluster", "service", "bucket", "family", "evidence"},
			Summary:     "{{ $labels.service }} will soon refuse {{ $labels.bucket }}",
			Description: "{{ $value | humanizePercentage }} of its limit are used (prefix {{ $labels.evidence }}).",
			Means:       "All who share the prefix are about to be refused by the service, whoever of them used most of it.",
			Do: []string{
				"See who shares the bucket, and who fills it.",
				"Move the largest user to a mirror or to credentials of its own; pull images through a cache.",
				"Where nodes share a /64, or a NAT address: `sextant report` says what separate prefixes would change.",
			},
			Queries: []string{"rate-limits", "rate-limit-top", "egress-addresses"}, Dashboard: limitsUID,
		},
		{
			Name: "SextantRateLimitExhausting", Severity: Warn, Guard: Observed,
			Value:   "min by (" + bucket + ") (" + prometheus.MetricRateLimitExhaustedInSeconds + ")",
			Compare: Below, Limit: c.LimitExhausted.Seconds(), For: 5 * time.Minute, About: []string{"cluster", "service", "bucket", "family", "evidence"},
			Summary:     "{{ $labels.service }} will refuse {{ $labels.bucket }} in {{ $value | humanizeDuration }}",
			Description: "At the present speed the limit is reached then.",
			Means:       "The bucket fills faster than its window slides.",
			Do: []string{
				"See what uses the service just now: a rollout that pulls on every node, or a loop.",
				"Stop or slow it; what waits is served later, what is refused fails.",
			},
			Queries: []string{"rate-limits", "rate-limit-top", "pulls"}, Dashboard: limitsUID,
		},
		{
			Name: "SextantRateLimited", Severity: Critical, Guard: Observed,
			Value:   "sum by (cluster, service) " + grown(prometheus.MetricRateLimitRefusalsTotal, c.Window),
			Compare: Above, Limit: 0, About: []string{"cluster", "service"},
			Summary:     "{{ $labels.service }} refuses this cluster",
			Description: "It answered {{ $value | humanize }} uses within " + w + " with too many.",
			Means:       "Somebody is cut off: pods wait for images, or requests fail.",
			Do: []string{
				"See which prefix it is and who fills its bucket.",
				"Use credentials or a mirror until the window has passed.",
			},
			Queries: []string{"rate-limited", "rate-limit-top"}, Dashboard: limitsUID,
		},
		{
			Name: "SextantNAT64Failing", Severity: Critical, Guard: Observed,
			Value: "sum by (cluster) " + grown(prometheus.MetricConnectionsTotal+`{class="`+flow.NAT64.String()+`",outcome=~"`+flow.Refused.String()+"|"+flow.Unanswered.String()+`"}`, c.Window) +
				" / " + nat64Record + " and " + nat64Record + " >= " + number(c.Connections),
			Compare: Above, Limit: c.NAT64Failed, For: 10 * time.Minute, About: []string{"cluster"},
			Summary:     "Connections through NAT64 fail",
			Description: "{{ $value | humanizePercentage }} of them were refused or not answered within " + w + ".",
			Means:       "Whoever has no IPv4 of its own reaches IPv4-only destinations badly or not at all.",
			Do: []string{
				"Ask whether one destination fails or all do: one is the destination's trouble, all are the translator's.",
				"Look at the translator: its state table, its pool of addresses and ports, and the route to its prefix.",
			},
			Queries: []string{"nat64-trouble", "nat64"}, Dashboard: waysUID,
		},
		{
			Name: "SextantTranslationFailing", Severity: Warn, Guard: Observed,
			Value:   "sum by (cluster, family, drop_reason) " + grown(prometheus.MetricTranslationFailuresTotal, c.Window),
			Compare: Above, Limit: c.Translations, For: 5 * time.Minute, About: []string{"cluster", "family", "drop_reason"},
			Summary:     "The datapath drops packets that it cannot translate",
			Description: "{{ $value | humanize }} {{ $labels.family }} packets within " + w + ": {{ $labels.drop_reason }}.",
			Means:       "Source translation (masquerade, egress gateway, NAT46) had no mapping or no port left. Connections hang.",
			Do: []string{
				"`SNAT_NO_MAP_FOUND` and `NO_MAPPING_FOR_NAT_MASQUERADE`: see whether one node or destination takes all ports; raise `bpf-nat-global-max`, or spread over more egress addresses.",
				"Ask which nodes and destinations drop.",
			},
			Queries: []string{"drops", "egress-addresses"}, Dashboard: waysUID,
		},
		{
			Name: "SextantIPv6Fallback", Severity: Warn, Guard: Observed,
			Value:   "sum by (cluster, namespace, workload) " + grown(prometheus.MetricFallbacksTotal, c.Window),
			Compare: Above, Limit: c.Fallbacks, For: 5 * time.Minute, About: []string{"cluster", "namespace", "workload"},
			Summary:     "{{ if $labels.workload }}{{ $labels.namespace }}/{{ $labels.workload }} tries{{ else }}A node itself tries{{ end }} IPv6 in vain",
			Description: "{{ $value | humanize }} connections within " + w + " fell back to IPv4.",
			Means:       "IPv6 is broken on the way to a destination. Dual-stack applications wait and then use IPv4; without IPv4 they would fail.",
			Do: []string{
				"See which destination, and whether attempts are refused (nobody listens on IPv6) or not answered (a route or a firewall).",
				"In the cluster: does the server listen on ::, and do policies allow IPv6? Outside: tell the owner, or take the AAAA record away.",
			},
			Queries: []string{"fallbacks", "drops"}, Dashboard: needsUID,
		},
		{
			Name: "SextantPrefixNearlyFull", Severity: Warn, Guard: Fresh,
			Value: "max by (cluster, kind, family, prefix, node) (" + prometheus.MetricPrefixUsed + ") / (max by (cluster, kind, family, prefix, node) (" +
				prometheus.MetricPrefixCapacity + ") > 0)",
			Compare: Above, Limit: c.PrefixUsed, For: 10 * time.Minute, About: []string{"cluster", "kind", "family", "prefix", "node"},
			Summary:     "{{ $labels.prefix }} is nearly used up",
			Description: "{{ $value | humanizePercentage }} of the {{ $labels.kind }} ({{ $labels.family }}) are given out.",
			Means:       "New pods, nodes or services will soon get no address.",
			Do: []string{
				"`node_prefix`: the node takes no more pods; spread them, or give nodes larger prefixes (new nodes only).",
				"`cluster_prefix`: add a prefix to the pool before the next node joins.",
				"`service_prefix`: add a ServiceCIDR.",
			},
			Queries: []string{"prefixes", "findings"}, Dashboard: prefixesUID,
		},
		{
			Name: "SextantServiceOneFamily", Severity: Warn, Guard: Fresh,
			Value: "(max by (cluster, namespace, name, family) (" + prometheus.MetricServiceReadyEndpoints + ") == bool 0) * on (cluster, namespace, name) group_left () max by (cluster, namespace, name) (" +
				prometheus.MetricServiceReadyEndpoints + ")",
			Compare: Above, Limit: 0, For: 10 * time.Minute, About: []string{"cluster", "namespace", "name", "family"},
			Summary:     "{{ $labels.namespace }}/{{ $labels.name }} promises {{ $labels.family }} and has no endpoint there",
			Description: "It is declared for both families; {{ $value | humanize }} endpoints are ready in the other one.",
			Means:       "Clients that choose this family are refused. Dual-stack ones fall back and lose time.",
			Do: []string{
				"Do its pods have addresses of this family? Pods from before the cluster became dual-stack have not: restart them.",
				"Or take the family from the service: `ipFamilies`, `ipFamilyPolicy: SingleStack`.",
			},
			Queries: []string{"services", "findings"}, Dashboard: prefixesUID,
		},
		{
			Name: "SextantBlind", Severity: Warn, Guard: Unguarded,
			Value: completenessRecord, Compare: Below, Limit: c.Completeness, For: 5 * time.Minute, About: []string{"cluster"},
			Summary:     "Too little of {{ $labels.cluster }} is observed: alerts about its traffic are held back",
			Description: "{{ $value | humanizePercentage }} of the nodes' time was observed in the last half hour. Silence of other alerts means nothing until that is more.",
			Means:       "Numbers are too low, and alerts about traffic are not given, lest an absence of data passes for an absence of IPv4.",
			Do: []string{
				"See which nodes are missing and why.",
				"`node_unavailable`: is the agent up, and may Sextant reach it? `lost_…` and `ring_…`: Hubble loses events; raise its buffers. `queue_full`: Sextant's sink cannot keep up.",
			},
			Queries: []string{"completeness", "gaps"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantInventoryStale", Severity: Warn, Guard: Unguarded,
			Value: inventoryAgeRecord, Compare: Above, Limit: c.InventoryAge.Seconds(), For: 5 * time.Minute, About: []string{"cluster"},
			Summary:     "The inventory of {{ $labels.cluster }} is old: alerts about prefixes and services are held back",
			Description: "It was taken {{ $value | humanizeDuration }} ago.",
			Means:       "Sextant does not hear from the Kubernetes API server. What is said of prefixes and services is what was so then.",
			Do:          []string{"Look at Sextant's log for the watch that fails: a role that is missing, or the API server.", "`sextant check` says what it may see."},
			Queries:     []string{"prefixes"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantNodeUnobserved", Severity: Warn, Guard: Unguarded,
			Value: observedRecord, Compare: Below, Limit: c.NodeObserved, For: 10 * time.Minute, About: []string{"cluster", "node"},
			Summary:     "Flows of {{ $labels.node }} are not observed",
			Description: "Only {{ $value | humanizePercentage }} of its time was, in the last half hour.",
			Means:       "A blind spot: what happens on this node is in no number.",
			Do:          []string{"Is its Cilium agent up, and Hubble enabled in it?", "May Sextant reach its Hubble port? With Hubble Relay: does Relay know the node?"},
			Queries:     []string{"completeness", "gaps"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantBlindSpot", Severity: Info, Guard: Unguarded,
			Value:   "max by (cluster, node) (" + prometheus.MetricGapsTotal + `{cause="` + flow.GapHidden.String() + `"})`,
			Compare: Above, Limit: 0, About: []string{"cluster", "node"},
			Summary:     "What {{ $labels.node }} itself does does not show",
			Description: "Settings keep the node's own connections, image pulls among them, out of Hubble's sight. Pods show all the same.",
			Means:       "Rate limits are counted too low where nodes pull images, unless Kubernetes' events tell of the pulls.",
			Do:          []string{"`sextant check` says which setting it is and what would change it.", "Let Sextant watch events, so that pulls are counted all the same."},
			Queries:     []string{"gaps", "completeness"}, Dashboard: limitsUID,
		},
		{
			Name: "SextantSinkLosing", Severity: Critical, Guard: Unguarded,
			Value:   "sum by (job, instance, sink, reason) " + grown(collector.MetricSinkLostTotal, c.Window),
			Compare: Above, Limit: 0, About: []string{"job", "instance", "sink", "reason"},
			Summary:     "Sextant loses rows for {{ $labels.sink }}",
			Description: "{{ $value | humanize }} rows within " + w + ": {{ $labels.reason }}. They stand in gaps.",
			Means:       "The history has holes, which are told as gaps.",
			Do: []string{
				"`queue_full`: the sink is too slow or down; see its writes and retries. A spool (`spool.dir`) keeps rows on disk meanwhile.",
				"`rejected`: the store refuses rows: see the log, and run `sextant migrate`.",
			},
			Queries: []string{"gaps", "storage"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantSinkRetrying", Severity: Warn, Guard: Unguarded,
			Value:   "sum by (job, instance, sink) " + grown(collector.MetricSinkRetriesTotal, c.Window),
			Compare: Above, Limit: c.Retries, For: 5 * time.Minute, About: []string{"job", "instance", "sink"},
			Summary:     "{{ $labels.sink }} does not take what Sextant writes",
			Description: "{{ $value | humanize }} writes within " + w + " had to be tried again.",
			Means:       "Nothing is lost yet: rows wait in memory or on disk.",
			Do:          []string{"Is the store up and reachable, and has it room on its disk?", "The log says what it answers."},
			Queries:     []string{"storage"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantSpoolOld", Severity: Warn, Guard: Unguarded,
			Value:   "max by (job, instance) (" + spool.MetricOldestSeconds + ")",
			Compare: Above, Limit: c.SpoolAge.Seconds(), For: 5 * time.Minute, About: []string{"job", "instance"},
			Summary:     "Rows have waited on Sextant's disk for {{ $value | humanizeDuration }}",
			Description: "The store has not taken them. When the spool is full, the oldest are lost.",
			Means:       "The history is behind; panels that ask the store show the past.",
			Do:          []string{"Is the store up and reachable?", "If it cannot be soon, give the spool more room."},
			Queries:     []string{"storage"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantLagging", Severity: Warn, Guard: Unguarded,
			Value:   "max by (job, instance) (" + collector.MetricLagSeconds + ")",
			Compare: Above, Limit: c.Lag.Seconds(), For: 10 * time.Minute, About: []string{"job", "instance"},
			Summary:     "Sextant is {{ $value | humanizeDuration }} behind",
			Description: "Flows are this old when they have come through.",
			Means:       "The collector cannot keep up, or the clocks of nodes differ.",
			Do:          []string{"Has it enough CPU? Compare what it uses with its limit.", "Are the nodes' clocks right?"},
			Queries:     []string{"completeness"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantDown", Severity: Critical, Guard: Unguarded,
			Value: "absent(" + collector.MetricFlowsTotal + ")", Compare: Above, Limit: 0, For: 10 * time.Minute,
			Summary:     "No Sextant is scraped",
			Description: "Prometheus has no metrics of it: none of its alerts can be given.",
			Means:       "Nothing is collected, or nothing is scraped.",
			Do:          []string{"Does the pod run, and does its log say why not?", "Does Prometheus scrape it: is there a ServiceMonitor or a job, and may it connect?"},
			Queries:     []string{"completeness"}, Dashboard: itselfUID,
		},
		{
			Name: "SextantSeriesOverflow", Severity: Info, Guard: Unguarded,
			Value:   "sum by (job, instance, metric) " + grown(prometheus.MetricSeriesOverflowTotal, c.Window),
			Compare: Above, Limit: 0, For: 15 * time.Minute, About: []string{"job", "instance", "metric"},
			Summary:     "{{ $labels.metric }} has no room for more series",
			Description: "{{ $value | humanize }} rows within " + w + " were counted as ~other.",
			Means:       "Metrics no longer tell apart what came last. The history has everything.",
			Do:          []string{"Raise `prometheus.max_series`, if Prometheus can bear it."},
			Queries:     []string{"adoption-by-workload"}, Dashboard: itselfUID,
		},
	}
}

// unexpectedSQL asks the history for unexpected IPv4. It knows names and addresses, and so the whole allow-list.
func unexpectedSQL(c Config) SQL {
	conditions := []string{"u.completeness_percent >= " + number(100*c.Completeness)}
	for _, a := range c.allowed() {
		conditions = append(conditions, "NOT ("+a.sql()+")")
	}
	return fill(`SELECT cluster, namespace, workload, cause, sum(u.connections) AS connections
FROM unexpected_ipv4_egress<window> AS u
WHERE ` + strings.Join(conditions, "\n    AND ") + `
GROUP BY cluster, namespace, workload, cause`)
}
