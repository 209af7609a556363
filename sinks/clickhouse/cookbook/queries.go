package cookbook

// Queries are the named queries.
var Queries = []Query{
	{
		Name: "adoption", Title: "How much is IPv6 already?",
		Doc: "Connections that were answered, or that nothing says failed, by the address family of their packets. What goes to a NAT64 prefix " +
			"ends as IPv4 and is counted apart. Name lookups and pings are many and say little, hence the second share.",
		SQL: fill(`SELECT way AS direction, sum(a.connections) AS connections, sum(a.ipv6) AS ipv6, sum(a.nat64) AS nat64, sum(a.ipv4) AS ipv4,
    <ipv6_percent>,
    <application_percent>,
    sum(a.failed_ipv6) AS failed_ipv6, sum(a.failed_ipv4) AS failed_ipv4, min(a.completeness_percent) AS completeness_percent
FROM ipv6_adoption<window> AS a
ARRAY JOIN ['all', toString(direction)] AS way
WHERE <scope>
GROUP BY way ORDER BY way = 'all' DESC, connections DESC`),
		Columns: []Column{
			{"direction", "which way the connections go, seen from the cluster; all of them first"},
			connections,
			{"ipv6", "to an IPv6 destination"},
			{"nat64", "over IPv6 to a NAT64 prefix"},
			{"ipv4", "over IPv4"},
			{"ipv6_percent", "share of ipv6 in connections"},
			{"application_percent", "the same without name lookups and pings"},
			{"failed_ipv6", "IPv6 attempts that were denied, refused or not answered"},
			{"failed_ipv4", "the same of IPv4"},
			completeness,
		},
	},
	{
		Name: "adoption-over-time", Title: "How does the share of IPv6 change?",
		Doc: "As adoption, every five minutes.",
		SQL: fill(`SELECT time, sum(a.connections) AS connections, sum(a.ipv6) AS ipv6, sum(a.nat64) AS nat64, sum(a.ipv4) AS ipv4,
    <ipv6_percent>,
    <application_percent>,
    min(a.completeness_percent) AS completeness_percent
FROM ipv6_adoption<window> AS a
WHERE <scope>
GROUP BY time ORDER BY time`),
		Columns: []Column{
			{"time", "begin of the five minutes (UTC)"},
			connections,
			{"ipv6", "to an IPv6 destination"},
			{"nat64", "over IPv6 to a NAT64 prefix"},
			{"ipv4", "over IPv4"},
			{"ipv6_percent", "share of ipv6 in connections"},
			{"application_percent", "the same without name lookups and pings"},
			completeness,
		},
	},
	{
		Name: "adoption-by-namespace", Title: "Which namespaces are on IPv6, and which are not?",
		Doc: "As adoption, of the cluster's own end: who connects, or who is connected to from outside. A row without namespace is the nodes' own traffic.",
		SQL: fill(`SELECT cluster, namespace, sum(a.connections) AS connections, sum(a.ipv6) AS ipv6, sum(a.nat64) AS nat64, sum(a.ipv4) AS ipv4,
    <ipv6_percent>,
    <application_percent>,
    min(a.completeness_percent) AS completeness_percent
FROM ipv6_adoption<window> AS a
WHERE <scope>
GROUP BY cluster, namespace ORDER BY ipv4 + nat64 DESC, namespace <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "namespace"},
			connections,
			{"ipv6", "to an IPv6 destination"},
			{"nat64", "over IPv6 to a NAT64 prefix"},
			{"ipv4", "over IPv4"},
			{"ipv6_percent", "share of ipv6 in connections"},
			{"application_percent", "the same without name lookups and pings"},
			completeness,
		},
	},
	{
		Name: "adoption-by-workload", Title: "Which workloads are on IPv6, and which are not?",
		Doc: "As adoption-by-namespace, for workloads.",
		SQL: fill(`SELECT cluster, namespace, workload, sum(a.connections) AS connections, sum(a.ipv6) AS ipv6, sum(a.nat64) AS nat64, sum(a.ipv4) AS ipv4,
    <ipv6_percent>,
    <application_percent>,
    min(a.completeness_percent) AS completeness_percent
FROM ipv6_adoption<window> AS a
WHERE <scope>
GROUP BY cluster, namespace, workload ORDER BY ipv4 + nat64 DESC, namespace, workload <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "namespace"},
			{"workload", "workload"},
			connections,
			{"ipv6", "to an IPv6 destination"},
			{"nat64", "over IPv6 to a NAT64 prefix"},
			{"ipv4", "over IPv4"},
			{"ipv6_percent", "share of ipv6 in connections"},
			{"application_percent", "the same without name lookups and pings"},
			completeness,
		},
	},
	{
		Name: "ways-out", Title: "Which way do connections leave the cluster, and how do we know?",
		Doc: "Classes of connections from the cluster to the world, denied ones left out. Evidence tells observed translation from what settings or prefixes imply.",
		SQL: fill(`SELECT class, class_evidence AS evidence, sum(p.connections) AS connections, round(100 * connections / sum(connections) OVER (), 1) AS percent,
    min(p.completeness_percent) AS completeness_percent
FROM translation_paths<window> AS p
WHERE direction = 'egress' AND <scope>
GROUP BY class, class_evidence ORDER BY connections DESC, class, evidence`),
		Columns: []Column{
			{"class", "which way they took"}, {"evidence", "how that is known"}, connections, {"percent", "share of all of them"}, completeness,
		},
	},
	{
		Name: "ipv4-dependencies", Title: "Who still needs IPv4 to reach the outside, for what, and why?",
		Doc: "What was reached over IPv4 or NAT64. The cause is told from what was seen: policy (IPv6 to the same name is denied), fallback (IPv6 was tried and failed), " +
			"application (the name has an IPv6 address that was not used), no_aaaa (the name has none), literal (no name was asked for), or unknown " +
			"(DNS answers of that workload are not seen: let Cilium's DNS proxy see them).",
		SQL: fill(`SELECT cluster, namespace, workload, destination, port, class, cause, sum(d.connections) AS connections, sum(d.failed) AS failed,
    max(d.last) AS last, any(d.owner) AS owner, min(d.completeness_percent) AS completeness_percent
FROM ipv4_dependencies<window> AS d
WHERE <scope>
GROUP BY cluster, namespace, workload, destination, port, class, cause
ORDER BY connections DESC, namespace, workload, destination, port <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "who needs it; none: a node itself"},
			{"workload", "who needs it"},
			{"destination", "name of what was reached, or its address"},
			{"port", "its port"},
			{"class", "which way it took"},
			{"cause", "why it was not IPv6"},
			connections,
			{"failed", "those refused or not answered"},
			{"last", "when it was last used (UTC)"},
			owner, completeness,
		},
	},
	{
		Name: "unexpected-ipv4", Title: "What leaves over IPv4 though nothing says that it has to?",
		Doc: "IPv4 dependencies but for those whose destination has no IPv6 address and those that fell back. What is unknown counts as unexpected.",
		SQL: fill(`SELECT cluster, namespace, workload, node, destination, address, port, cause, sum(d.connections) AS connections,
    min(d.first) AS first, max(d.last) AS last, any(d.owner) AS owner, min(d.completeness_percent) AS completeness_percent
FROM unexpected_ipv4_egress<window> AS d
WHERE <scope>
GROUP BY cluster, namespace, workload, node, destination, address, port, cause
ORDER BY connections DESC, namespace, workload, destination, address, port <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "who; none: a node itself"},
			{"workload", "who"},
			{"node", "the node, where it is a node itself"},
			{"destination", "name of what was reached, or its address"},
			{"address", "its address"},
			{"port", "its port"},
			{"cause", "why it was not IPv6, as in ipv4-dependencies"},
			connections,
			{"first", "when it was first used (UTC)"},
			{"last", "when it was last used (UTC)"},
			owner, completeness,
		},
	},
	{
		Name: "avoidable-ipv4", Title: "Where is IPv4 used though a usable IPv6 address had been answered?",
		Doc: "The pod had asked for the name's IPv6 addresses, had got one, and connected over IPv4 without trying it. These connections move to IPv6 without anybody else's help.",
		SQL: fill(`SELECT cluster, source_namespace AS namespace, source_workload AS workload, destination_name AS destination, destination_port AS port, outcome,
    count() AS connections, max(last) AS last_time, arrayStringConcat(any(source_tags), ', ') AS owner, <completeness> AS completeness_percent
FROM each_connection
WHERE <in window> AND avoidable_ipv4 = 1 AND <source>
GROUP BY cluster, namespace, workload, destination, port, outcome
ORDER BY connections DESC, namespace, workload, destination <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "who"},
			{"workload", "who"},
			{"destination", "name that was asked for"},
			{"port", "its port"},
			{"outcome", "how they went"},
			connections,
			{"last_time", "when it last happened (UTC)"},
			owner, completeness,
		},
	},
	{
		Name: "fallbacks", Title: "Where is IPv6 tried first and fails, so that IPv4 has to help out, and what does it cost?",
		Doc: "IPv6 attempts whose IPv4 retry got through. The delay is the time between the two, which the application waited for nothing.",
		SQL: fill(`SELECT cluster, namespace, workload, destination, address, port, outcome, attempts, mean_ms, p95_ms, max_ms, lost_seconds, last, completeness_percent
FROM fallbacks<window>
WHERE <scope>
ORDER BY lost_seconds DESC, attempts DESC <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "who"},
			{"workload", "who"},
			{"destination", "name, or service, that was tried"},
			{"address", "IPv6 address that failed"},
			{"port", "its port"},
			{"outcome", "how the IPv6 attempts went"},
			{"attempts", "how many fell back"},
			{"mean_ms", "milliseconds lost by one, on average"},
			{"p95_ms", "milliseconds that 95 % lost at most"},
			{"max_ms", "most milliseconds lost by one"},
			{"lost_seconds", "seconds lost by all"},
			{"last", "when it last happened (UTC)"},
			completeness,
		},
	},
	{
		Name: "nat64", Title: "What is reached through NAT64?",
		Doc: "Destinations by the IPv4 address inside: to whom, and to every rate limit, the connection comes from the translator's IPv4 address.",
		SQL: fill(`SELECT embedded_ipv4_address AS embedded_ipv4, any(destination_name) AS name, max(class_evidence) AS evidence, count() AS connections,
    countIf(outcome IN ('refused', 'unanswered', 'denied')) AS failed, uniqExact(source_namespace, source_workload) AS workloads,
    arraySort(groupUniqArray(10)(concat(source_namespace, '/', source_workload))) AS who, max(last) AS last_time, <completeness> AS completeness_percent
FROM each_connection
WHERE <in window> AND class = 'nat64' AND <source>
GROUP BY embedded_ipv4 ORDER BY connections DESC, embedded_ipv4 <limit>`),
		Columns: []Column{
			{"embedded_ipv4", "IPv4 address inside the destination"},
			{"name", "a name that it was asked for by"},
			{"evidence", "how that it is NAT64 is known, at best"},
			connections,
			{"failed", "those refused, denied or not answered"},
			{"workloads", "how many workloads reach it"},
			{"who", "up to ten of them"},
			{"last_time", "when it was last reached (UTC)"},
			completeness,
		},
	},
	{
		Name: "nat64-trouble", Title: "Which NAT64 destinations fail or are slow?",
		Doc: "Failures are those of connections. The time is the TCP handshake's, from SYN to SYN-ACK as a node saw them in the last five minutes of the window, where its flows are kept; beside it " +
			"that of other IPv6 connections to the world, one in four of them, to compare. A packet that was dropped for the lack of a translation counts in drops.",
		SQL: fill(`WITH handshakes AS (
    SELECT class = 'nat64' AS through, if(through, if(is_reply = 'yes', source_ip, destination_ip), toIPv6('::')) AS server,
        if(is_reply = 'yes', destination_ip, source_ip) AS client, if(is_reply = 'yes', destination_port, source_port) AS client_port, toStartOfFiveMinutes(time) AS five_minutes,
        minIf(time, is_reply = 'no') AS asked, minIf(time, is_reply = 'yes') AS answered
    FROM flows
    WHERE time >= greatest(<since>, <until> - INTERVAL 5 MINUTE) AND time < <until> AND event_type = 'trace' AND direction = 'egress' AND protocol = 'tcp' AND tcp_flags IN ('SYN', 'SYN,ACK') AND <cluster>
        AND (class = 'nat64' OR class IN ('nat66', 'native6') AND if(is_reply = 'yes', destination_port, source_port) % 4 = 0)
    GROUP BY ALL HAVING asked > 0 AND answered > asked
),
times AS (
    SELECT through, server, round(quantile(0.5)(ns) / 1e6, 2) AS median_ms, round(quantile(0.95)(ns) / 1e6, 2) AS p95_ms
    FROM (SELECT through, server, toUnixTimestamp64Nano(answered) - toUnixTimestamp64Nano(asked) AS ns FROM handshakes) GROUP BY through, server
)
SELECT c.name AS name, c.embedded_ipv4 AS embedded_ipv4, c.connections AS connections, c.failed AS failed, c.failed_percent AS failed_percent,
    nullIf(h.median_ms, 0) AS median_ms, nullIf(h.p95_ms, 0) AS p95_ms, nullIf(max(h.others_median_ms) OVER (), 0) AS others_median_ms, <completeness> AS completeness_percent
FROM (
    SELECT destination_ip, any(destination_name) AS name, any(embedded_ipv4_address) AS embedded_ipv4, count() AS connections,
        countIf(outcome IN ('refused', 'unanswered', 'denied')) AS failed, round(100 * failed / connections, 1) AS failed_percent
    FROM each_connection
    WHERE <in window> AND class = 'nat64' AND <source>
    GROUP BY destination_ip
) AS c
LEFT JOIN (SELECT *, maxIf(median_ms, NOT through) OVER () AS others_median_ms FROM times) AS h ON h.server = c.destination_ip
ORDER BY failed DESC, p95_ms DESC, connections DESC <limit>`),
		Columns: []Column{
			{"name", "a name of the destination"},
			{"embedded_ipv4", "IPv4 address inside it"},
			connections,
			{"failed", "those refused, denied or not answered"},
			{"failed_percent", "their share"},
			{"median_ms", "milliseconds that half of the handshakes took at most; empty where none is kept"},
			{"p95_ms", "milliseconds that 95 % took at most"},
			{"others_median_ms", "median of IPv6 connections to the world that need no NAT64"},
			completeness,
		},
	},
	{
		Name: "egress-addresses", Title: "Who shares the address that the outside sees?",
		Doc: "Who limits by address counts all of these as one; who limits IPv6 by /64, as registries do, counts all of one network. Behind a NAT64 the outside sees the translator's address, which nothing here tells: such a row has no address.",
		SQL: fill(`SELECT egress_address, if(family = 'ipv6' AND egress_address != '', concat(toString(IPv6CIDRToRange(any(egress_ip), 64).1), '/64'), egress_address) AS network,
    family, max(egress_ip_evidence) AS evidence, count() AS connections, uniqExact(source_node) AS nodes, uniqExact(source_namespace, source_workload) AS workloads,
    arraySort(groupUniqArray(10)(if(source_workload = '', concat('node ', source_node), concat(source_namespace, '/', source_workload)))) AS who,
    sum(connections) OVER (PARTITION BY network) AS network_connections, <completeness> AS completeness_percent
FROM each_connection
WHERE <in window> AND direction = 'egress' AND outcome != 'denied' AND <source>
GROUP BY egress_address, family ORDER BY workloads DESC, connections DESC <limit>`),
		Columns: []Column{
			{"egress_address", "address that the outside sees, best known; empty where it is not known"},
			{"network", "its /64, or the IPv4 address"},
			{"family", "address family of the packets"},
			{"evidence", "how the address is known, at best"},
			connections,
			{"nodes", "nodes behind it"},
			{"workloads", "workloads behind it"},
			{"who", "up to ten of them"},
			{"network_connections", "connections of the whole network"},
			completeness,
		},
	},
	{
		Name: "drops", Title: "Whom do policies and the datapath cut off, per family?",
		Doc: "Connections that were denied, or lost packets to a drop.",
		SQL: fill(`SELECT cluster, family, drop_reason, direction, source_namespace AS namespace, source_workload AS workload, <destination_of> AS destination, destination_port AS port,
    outcome, count() AS connections, max(last) AS last_time, <completeness> AS completeness_percent
FROM each_connection
WHERE <in window> AND (outcome = 'denied' OR drop_reason != '') AND <source>
GROUP BY ALL ORDER BY connections DESC, family, namespace, workload, destination <limit>`),
		Columns: []Column{
			cluster,
			{"family", "address family"},
			{"drop_reason", "why packets were dropped"},
			{"direction", "which way they go, seen from the cluster"},
			{"namespace", "who connects"},
			{"workload", "who connects"},
			{"destination", "name, workload or address connected to"},
			{"port", "its port"},
			{"outcome", "how they went"},
			connections,
			{"last_time", "when it last happened (UTC)"},
			completeness,
		},
	},
	{
		Name: "inbound", Title: "What comes in from the world to pods?",
		Doc: "Connections from the world that end at a pod's address, by family. Those that a node handed on under its own address (client_hidden) have lost their client's.",
		SQL: fill(`SELECT cluster, destination_namespace AS namespace, destination_workload AS workload, destination_service AS service, destination_port AS port, family, class_rule AS way,
    count() AS connections, uniqExact(source_ip) AS clients, countIf(outcome IN ('refused', 'unanswered', 'denied')) AS failed, max(last) AS last_time, <completeness> AS completeness_percent
FROM each_connection
WHERE <in window> AND direction = 'ingress' AND destination_side = 'pod' AND <destination>
GROUP BY ALL ORDER BY connections DESC, namespace, workload, family, way <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "who is reached"},
			{"workload", "who is reached"},
			{"service", "service that the pod is an endpoint of"},
			{"port", "port of the pod"},
			{"family", "address family"},
			{"way", "how they come, as the verdict's rule says"},
			connections,
			{"clients", "source addresses"},
			{"failed", "those refused, denied or not answered"},
			{"last_time", "when it last happened (UTC)"},
			completeness,
		},
	},
	{
		Name: "services", Title: "Which services are declared for both families and used on one?",
		Doc: "All services, those that are declared dual-stack and were used on one family alone first. A connection is a service's where it was seen at its frontend, or where it went to one of its endpoints.",
		SQL: fill(`SELECT cluster, namespace, service, policy, declared, used, declared = 'dual' AND used IN ('ipv4', 'ipv6') AS one_family, ipv6, ipv4, failed_ipv6, failed_ipv4,
    ready_ipv6, ready_ipv4, findings, completeness_percent
FROM service_families<window>
WHERE <cluster> AND ({namespace:String} = '' OR namespace = {namespace:String})
ORDER BY one_family DESC, failed_ipv6 + failed_ipv4 DESC, namespace, service <limit>`),
		Columns: []Column{
			cluster,
			{"namespace", "namespace"},
			{"service", "service"},
			{"policy", "its ipFamilyPolicy"},
			{"declared", "families that it has: dual, ipv6, ipv4 or none"},
			{"used", "families by which it was reached"},
			{"one_family", "1 where it has both and was reached by one"},
			{"ipv6", "connections over IPv6"},
			{"ipv4", "connections over IPv4"},
			{"failed_ipv6", "failed ones"},
			{"failed_ipv4", "failed ones"},
			{"ready_ipv6", "ready endpoints"},
			{"ready_ipv4", "ready endpoints"},
			{"findings", "what the inventory finds"},
			completeness,
		},
	},
	{
		Name: "unsure", Title: "Which verdicts are unknown or only inferred, why, and what would make them certain?",
		Doc: "Connections by the rule that decided their class.",
		SQL: fill(`SELECT class, class_evidence AS evidence, class_rule AS rule, count() AS connections, round(100 * connections / sum(connections) OVER (), 1) AS percent,
    transform(toString(class_rule), ` + ruleNames + `,
        ` + ruleRemedies + `, '') AS makes_certain, <completeness> AS completeness_percent
FROM each_connection
WHERE <in window> AND class_evidence IN ('none', 'inferred') AND <source>
GROUP BY class, class_evidence, class_rule ORDER BY class = 'unknown' DESC, connections DESC, rule <limit>`),
		Columns: []Column{
			{"class", "which way they took, as far as known"},
			{"evidence", "how that is known"},
			{"rule", "the rule that decided, or why it is unknown"},
			connections,
			{"percent", "share of all that are not certain"},
			{"makes_certain", "what would make it certain"},
			completeness,
		},
	},
	{
		Name: "recent", Title: "Which connections were made last?",
		Doc: "One row each, the newest first. The id is what the query connection takes.",
		SQL: fill(`SELECT first, id, source_namespace AS namespace, source_workload AS workload, source_address, <destination_of> AS destination, destination_address, destination_port AS port,
    protocol, class, outcome
FROM each_connection
WHERE <in window> AND <source>
ORDER BY first DESC, id <limit>`),
		Columns: []Column{
			{"first", "when it began (UTC)"},
			{"id", "its id"},
			{"namespace", "who connected"},
			{"workload", "who connected"},
			{"source_address", "from where"},
			{"destination", "name, workload or address connected to"},
			{"destination_address", "its address"},
			{"port", "its port"},
			{"protocol", "its protocol"},
			{"class", "which way it took"},
			{"outcome", "how it went"},
		},
	},
	{
		Name: "connection", Title: "What is the whole story of one connection?",
		Doc: "The connection's own row first, then every flow of it that is still kept, of both nodes and in both directions, in the order of time. Flows to a service's address before load-balancing are among them.",
		SQL: fill(`WITH (SELECT (first, last, source_ip, source_port, destination_ip, protocol) FROM each_connection WHERE id = {id:UUID} LIMIT 1) AS c
SELECT time, node, record, source, destination, says, verdict, class, evidence, rule
FROM (
    SELECT 0 AS part, first AS time, node, 'connection' AS record, concat(source_address, ' ', toString(source_port)) AS source, concat(destination_address, ' ', toString(destination_port)) AS destination,
        concat(source_namespace, '/', source_workload, ' to ', <destination_of>, ', ', toString(flows), ' flows, ', toString(dateDiff('millisecond', first, last)), ' ms',
            if(fallen_back = 1, ', fell back to IPv4', ''), if(fallback_of != toUUID('00000000-0000-0000-0000-000000000000'), concat(', retry of ', toString(fallback_of)), ''),
            if(avoidable_ipv4 = 1, ', IPv4 was avoidable', ''), if(drop_reason != '', concat(', ', drop_reason), '')) AS says,
        toString(outcome) AS verdict, toString(class) AS class, toString(class_evidence) AS evidence, toString(class_rule) AS rule
    FROM each_connection WHERE id = {id:UUID} LIMIT 1
    UNION ALL
    SELECT 1, time, node, toString(event_type), concat(replaceRegexpOne(toString(source_ip), '^::ffff:([0-9.]+)$', '\\1'), ' ', toString(source_port)),
        concat(replaceRegexpOne(toString(destination_ip), '^::ffff:([0-9.]+)$', '\\1'), ' ', toString(destination_port)),
        concat(toString(observation_point), ' ', toString(trace_reason), ' ', toString(tcp_flags), if(drop_reason != '', concat(' ', toString(drop_reason)), ''), if(duplicate != '', concat(', ', toString(duplicate)), '')),
        toString(verdict), toString(class), toString(class_evidence), toString(class_rule)
    FROM flows
    WHERE time >= c.1 - INTERVAL 1 SECOND AND time <= c.2 + INTERVAL 1 SECOND AND protocol = c.6
        AND (source_ip = c.3 AND source_port = c.4 AND (c.4 != 0 OR destination_ip = c.5) OR destination_ip = c.3 AND destination_port = c.4 AND (c.4 != 0 OR source_ip = c.5))
)
ORDER BY part, time <limit>`),
		Columns: []Column{
			{"time", "when (UTC)"},
			{"node", "who saw it"},
			{"record", "connection, or the kind of event"},
			{"source", "address and port"},
			{"destination", "address and port"},
			{"says", "what it says"},
			{"verdict", "outcome of the connection, verdict on the packet"},
			{"class", "which way it took"},
			{"evidence", "how that is known"},
			{"rule", "the rule that decided"},
		},
	},
	{
		Name: "completeness", Title: "Can these numbers be trusted: how much was seen?",
		Doc: "The share of time in which a node's flows were observed: its heartbeats, less its gaps. A node that fell silent is expected. Hidden is 1 where settings keep the node's own connections, image pulls among them, from showing.",
		SQL: fill(`SELECT cluster, node, expected_seconds, observed_seconds, completeness_percent, flows, lost_events, causes, hidden
FROM completeness<window>
WHERE <cluster>
ORDER BY completeness_percent, cluster, node <limit>`),
		Columns: []Column{
			cluster,
			{"node", "node"},
			{"expected_seconds", "seconds of the window in which it was there"},
			{"observed_seconds", "seconds of these in which it was observed"},
			completeness,
			{"flows", "flows that its heartbeats count"},
			{"lost_events", "events that gaps count"},
			{"causes", "why there are gaps"},
			{"hidden", "1 where its own connections do not show"},
		},
	},
	{
		Name: "gaps", Title: "What was not seen, and why?",
		Doc: "Gaps that touch the window. No rows: none is known.",
		SQL: fill("SELECT cluster, node, cause, min(`from`) AS since, max(`to`) AS until, count() AS gaps, sum(count) AS events, any(detail) AS why\nFROM gaps\n" +
			"WHERE `to` >= <since> AND `from` < <until> AND <cluster>\nGROUP BY cluster, node, cause ORDER BY since, node, cause <limit>"),
		Columns: []Column{
			cluster,
			{"node", "node; none: not tied to one"},
			{"cause", "why"},
			{"since", "when the first one began (UTC)"},
			{"until", "when the last one ended (UTC)"},
			{"gaps", "how many there are"},
			{"events", "events lost; empty where nobody counted"},
			{"why", "what was noticed"},
		},
	},
	{
		Name: "pulls", Title: "Which images do nodes pull, from where, and how does it go?",
		Doc: "By registry and node, from Kubernetes' events. An answer without rows: no events were seen, as in a recording without an API server.",
		SQL: fill(`SELECT cluster, registry, node, sum(p.pulls) AS pulls, sumIf(p.pulls, result = 'rate_limited') AS rate_limited, sumIf(p.pulls, result IN ('failed', 'denied', 'not_found', 'unreachable')) AS failed,
    uniqExact(repository) AS repositories, sum(p.bytes) AS bytes, round(avg(duration_ms)) AS mean_ms, max(time) AS last_time
FROM image_pulls AS p
WHERE time >= <since> AND time < <until> AND result != 'present' AND <scope>
GROUP BY cluster, registry, node ORDER BY pulls DESC, registry, node <limit>`),
		Columns: []Column{
			cluster,
			{"registry", "registry of the images"},
			{"node", "node that pulled"},
			{"pulls", "pulls for which a registry was asked"},
			{"rate_limited", "those that the registry put off"},
			{"failed", "those that failed otherwise"},
			{"repositories", "how many different ones"},
			{"bytes", "size of the images, where told"},
			{"mean_ms", "milliseconds of one, on average"},
			{"last_time", "the last one (UTC)"},
		},
	},
	{
		Name: "prefixes", Title: "Which prefixes has the cluster, and how full are they?",
		Doc: "As in the last inventory, whatever the window.",
		SQL: fill(`SELECT cluster, kind, family, prefix, node, mode, total, used, used_percent, findings, detail, time
FROM prefix_plan
WHERE <cluster>
ORDER BY cluster, kind, family, prefix <limit>`),
		Columns: []Column{
			cluster,
			{"kind", "whose prefix"},
			{"family", "address family"},
			{"prefix", "prefix; empty where it is not told"},
			{"node", "node that has it"},
			{"mode", "IPAM mode"},
			{"total", "how many node prefixes or addresses fit"},
			{"used", "how many of these are given out"},
			{"used_percent", "their share"},
			{"findings", "what deserves attention"},
			{"detail", "the same in a sentence"},
			{"time", "of the inventory (UTC)"},
		},
	},
	{
		Name: "findings", Title: "What in the cluster's set-up deserves attention?",
		Doc: "As in the last inventory, whatever the window.",
		SQL: fill(`SELECT cluster, finding, kind, family, namespace, name, node, detail, time
FROM inventory_findings
WHERE <cluster> AND ({namespace:String} = '' OR namespace = {namespace:String})
ORDER BY finding, family, kind, namespace, name <limit>`),
		Columns: []Column{
			cluster,
			{"finding", "what it is, in a word that does not change"},
			{"kind", "of what"},
			{"family", "address family"},
			{"namespace", "of what"},
			{"name", "of what"},
			{"node", "on which node"},
			{"detail", "the same in a sentence"},
			{"time", "of the inventory (UTC)"},
		},
	},
	{
		Name: "storage", Title: "What does the history take on disk, and what will it take at so many flows a second?",
		Doc: "All tables, each, and then their columns by size. A day is by the time that is stored, of a table without times by the longest of any; kept is what there will be " +
			"once the oldest rows leave. Both are for as many flows a second as there were, or as the parameter rate says, all else growing with them. Of this server, whatever the window.",
		SQL: `WITH
stored AS (
    SELECT replaceRegexpOne(table, '_local$', '') AS name, '' AS part, sum(p.rows) AS n, sum(p.bytes_on_disk) AS size
    FROM system.parts AS p WHERE active AND database = currentDatabase() GROUP BY name
    UNION ALL
    SELECT replaceRegexpOne(table, '_local$', '') AS name, column AS part, sum(p.rows), sum(p.column_bytes_on_disk)
    FROM system.parts_columns AS p WHERE active AND database = currentDatabase() GROUP BY name, part
),
spans AS (
    SELECT replaceRegexpOne(table, '_local$', '') AS name, dateDiff('second', minIf(p.min_time, p.min_time > 0), max(p.max_time)) / 86400 AS own
    FROM system.parts AS p WHERE active AND database = currentDatabase() GROUP BY name
),
kept AS (
    SELECT name, nullIf(if(own > 0.0007, own, max(own) OVER ()), 0) AS days, ttl
    FROM spans
    LEFT JOIN (
        SELECT replaceRegexpOne(name, '_local$', '') AS name, toFloat64OrNull(extract(engine_full, ' TTL .*toInterval[A-Z][a-z]+[(]([0-9]+)[)]'))
            / transform(extract(engine_full, ' TTL .*toInterval([A-Z][a-z]+)[(]'), ['Second', 'Minute', 'Hour', 'Week'], [86400, 1440, 24, 1 / 7], 1.) AS ttl
        FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
    ) AS t USING (name)
)
SELECT table, part AS column, sum(n) AS rows, sum(size) AS bytes, round(bytes / rows, 3) AS bytes_per_row, round(sum(size / days) / any(flows), 3) AS bytes_per_flow,
    round(any(flows) * any(more) / 86400, 1) AS flows_per_second, toUInt64(sum(n / days) * any(more)) AS rows_per_day, toUInt64(sum(size / days) * any(more)) AS bytes_per_day,
    if(table = 'all', NULL, any(ttl)) AS ttl_days, if(count() = count(ttl), toUInt64(sum(size / days * ttl) * any(more)), NULL) AS bytes_kept
FROM (
    SELECT *, nullIf(anyIf(n / days, name = 'flows' AND part = '') OVER (), 0) AS flows, if({rate:String} = '', 1, toFloat64OrNull({rate:String}) * 86400 / flows) AS more
    FROM stored INNER JOIN kept USING (name)
    WHERE name != 'schema_version' AND size > 0
) AS s
ARRAY JOIN [name, if(part = '', 'all', '')] AS table
WHERE table != ''
GROUP BY table, part
ORDER BY column != '', table != 'all', bytes DESC, table, column LIMIT {limit:UInt32}`,
		Columns: []Column{
			{"table", "table; all: the history as a whole"},
			{"column", "column; empty: the whole table, its indexes included"},
			{"rows", "rows, repeated ones that are not merged yet among them"},
			{"bytes", "bytes on disk"},
			{"bytes_per_row", "bytes on disk of one"},
			{"bytes_per_flow", "bytes that are written for each flow"},
			{"flows_per_second", "flows a second that the following are for"},
			{"rows_per_day", "rows of a day"},
			{"bytes_per_day", "bytes of a day"},
			{"ttl_days", "days for which rows are kept; empty: for ever"},
			{"bytes_kept", "bytes of that many days; empty: ever more"},
		},
	},
	{
		Name: "rate-limits", Title: "Who is about to be cut off: how full are the buckets of limited services?",
		Doc: "A bucket is what a service counts by: an address, or a prefix of addresses. The fullest come first, as they are when the window ends; the number at most is of any time in it. " +
			"Where unseen is node, what the nodes themselves did, image pulls for one, does not show and is missing; where it is unknown, that cannot be said.",
		SQL: fill("SELECT cluster, service, bucket, family, evidence, used, used_evidence, unseen, peak_used, `limit`, headroom, window_seconds, per_hour, exhausted_in_seconds,\n" +
			"    limited, nodes, namespaces, pods, top_workloads, completeness_percent\n" +
			"FROM rate_limit_exposure<window>\nWHERE <cluster>\nORDER BY ifNull(greatest(used, peak_used) / `limit`, 0) DESC, used DESC, service, bucket, family <limit>"),
		Columns: []Column{
			cluster, service, bucket,
			{"family", "address family towards the service: ipv4 behind a NAT64"},
			{"evidence", "how the prefix is known"},
			{"used", "uses in the service's window that ends with this one; unknown where nothing was counted and what nodes do could not be seen"},
			{"used_evidence", "probed where the service itself said what is left"},
			{"unseen", "node where what the nodes themselves did is missing"},
			{"peak_used", "most uses in any window of that length that ends in this one"},
			{"limit", "uses that the service allows; empty where it publishes no number"},
			{"headroom", "what is left"},
			{"window_seconds", "length of the service's window"},
			{"per_hour", "uses an hour, as the last part of the window had them"},
			{"exhausted_in_seconds", "seconds until nothing is left at that speed; empty where that is not going to be"},
			{"limited", "uses that were refused as too many"},
			{"nodes", "nodes that share it"},
			{"namespaces", "namespaces that share it"},
			{"pods", "pods that share it"},
			{"top_workloads", "who used most of it"},
			completeness,
		},
	},
	{
		Name: "rate-limit-top", Title: "Who fills the buckets of limited services?",
		Doc: "The workloads, images and nodes that used most of each bucket in the service's window, the fullest bucket first. Workloads for which nodes pull count; that a node's own connections were for them nobody saw.",
		SQL: fill("SELECT cluster, service, bucket, one.1 AS kind, substring(one.2, 1, length(one.2) - position(reverse(one.2), '=')) AS who,\n" +
			"    toUInt64(substring(one.2, length(one.2) - position(reverse(one.2), '=') + 2)) AS uses, used, `limit`, unseen, completeness_percent\n" +
			"FROM (\n" +
			"    SELECT *, arrayJoin(arrayConcat(arrayMap(x -> ('workload', x), top_workloads), arrayMap(x -> ('image', x), top_images), arrayMap(x -> ('node', x), top_nodes))) AS one\n" +
			"    FROM rate_limit_exposure<window> WHERE <cluster>\n)\n" +
			"ORDER BY ifNull(used / `limit`, 0) DESC, used DESC, service, bucket, family, indexOf(['workload', 'image', 'node'], kind), uses DESC, who <limit>"),
		Columns: []Column{
			cluster, service, bucket,
			{"kind", "workload, image or node"},
			{"who", "its name"},
			{"uses", "its uses; of an image its pulls"},
			{"used", "uses of the whole bucket"},
			{"limit", "uses that the service allows"},
			{"unseen", "node where what the nodes themselves did is missing"},
			completeness,
		},
	},
	{
		Name: "rate-limited", Title: "Who was refused because it was too many?",
		Doc: "HTTP answers with status 429, and image pulls to which a registry said toomanyrequests. No rows: none was seen, which says little where requests are encrypted and events are not watched.",
		SQL: fill(`SELECT cluster, service, bucket, measure, node, namespace, workload, image, sum(c.uses) AS refused, min(time) AS first_time, max(time) AS last_time, <completeness> AS completeness_percent
FROM charges AS c FINAL
WHERE time >= <since> AND time < <until> AND limited = 1 AND <scope>
GROUP BY cluster, service, bucket, measure, node, namespace, workload, image ORDER BY refused DESC, last_time DESC, service, bucket <limit>`),
		Columns: []Column{
			cluster, service, bucket,
			{"measure", "what was counted: requests or pulls"},
			{"node", "node that it came from"},
			{"namespace", "namespace of the pod"},
			{"workload", "workload of the pod, or for which the node pulled"},
			{"image", "image that was pulled"},
			{"refused", "how often"},
			{"first_time", "the first one (UTC)"},
			{"last_time", "the last one (UTC)"},
			completeness,
		},
	},
}

// Columns that many answers have.
var (
	cluster      = Column{"cluster", "cluster"}
	connections  = Column{"connections", "how many connections"}
	service      = Column{"service", "name of the limit in the catalogue"}
	bucket       = Column{"bucket", "the prefix that the service counts by; empty where it is not known"}
	owner        = Column{"owner", "labels and annotations that the settings name, of the pod or its namespace"}
	completeness = Column{"completeness_percent", "share of the nodes' time in which flows were observed: a number with less than 100 beside it is too low"}
)
