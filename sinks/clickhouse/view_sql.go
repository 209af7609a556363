package clickhouse

// The texts of the views. Words in angle brackets are filled in, see newQueries.

// completenessSQL takes the union of a node's heartbeats less the union of its gaps. A gap that is tied to no node is one of
// every node that had heartbeats. It reads everything once, and its text is short of calls, times being nanoseconds in it: as
// the last part of most views it must cost next to nothing.
//
// A node is expected that has had a heartbeat, or stood in the inventory, within a day before the window's end: one that
// fell silent counts as not observed. It is expected from its first sign on, when others of its cluster had given signs
// before, and up to its last one, when it left. The newest two minutes are not expected of a node whose heartbeat for them
// may be on its way. That a node's settings hide its own connections takes nothing from what is seen of its pods: it is told
// apart.
const completenessSQL = `SELECT cluster, node, round(expected / 1e9, 3) AS expected_seconds, round(observed / 1e9, 3) AS observed_seconds,
    if(expected > 0, round(100 * observed / expected, 2), 100) AS completeness_percent, flows, lost_events, causes, hidden
FROM (
    SELECT cluster, node, flows, lost_events, causes, hidden, greatest(ends - begins, 0) AS expected, least(seen, expected) AS observed
    FROM (
        SELECT cluster, node, flows, lost_events, causes, hidden, seen,
            minIf(appeared, appeared > 0) OVER (PARTITION BY cluster) AS first_appeared, max(listed) OVER (PARTITION BY cluster) AS newest_list,
            if(appeared < first_appeared + 10 * <minute>, <begin ns>, greatest(<begin ns>, appeared)) AS begins,
            least(<end ns>, multiIf(
                gone > 0 AND gone >= beaten - <minute>, gone,
                listed > 0 AND listed < newest_list AND sighted < newest_list, sighted,
                <end ns> > <now ns> - 2 * <minute> AND beaten > <end ns> - 2 * <minute>, beaten,
                <end ns>)) AS ends
        FROM (
            SELECT cluster, node, minIf(begin, kind IN ('beat', 'listed')) AS appeared, max(end) AS sighted, maxIf(end, kind = 'beat') AS beaten,
                maxIf(end, kind = 'listed') AS listed, maxIf(begin, cause = 'node_gone') AS gone,
                intervalLengthSumIf(greatest(begin, <begin ns>), least(end, <end ns>), kind IN ('beat', 'gap') AND within)
                    - intervalLengthSumIf(greatest(begin, <begin ns>), least(end, <end ns>), kind = 'gap' AND within) AS seen,
                sumIf(number, kind = 'beat' AND within) AS flows, sumIf(number, kind = 'gap') AS lost_events,
                arraySort(groupUniqArrayIf(cause, cause != '')) AS causes, max(kind = 'hidden') AS hidden
            FROM (
                SELECT *, end > <begin ns> AND begin < <end ns> AND begin < end AS within
                FROM (
                    SELECT toString(cluster) AS cluster, toString(node) AS node, toUnixTimestamp64Nano(` + "`from`) AS begin, toUnixTimestamp64Nano(`to`)" + ` AS end,
                        'beat' AS kind, '' AS cause, ifNull(flows, 0) AS number
                    FROM <heartbeats> WHERE ` + "`to` > <since> - INTERVAL 1 DAY AND `from` < <until>" + `
                    UNION ALL
                    SELECT whose.1, whose.2, ` + "toUnixTimestamp64Nano(`from`), toUnixTimestamp64Nano(`to`)" + `, if(cause = 'hidden_by_settings', 'hidden', 'gap'), toString(cause), ifNull(count, 0)
                    FROM <gaps>
                    ARRAY JOIN if(node != '', [(toString(cluster), toString(node))], arrayFilter(x -> cluster IN ('', x.1), (
                        SELECT groupUniqArray((toString(cluster), toString(node))) FROM <heartbeats> WHERE ` + "`to` > <since> AND `from` < <until>" + `))) AS whose
                    WHERE ` + "`to` >= <since> AND `from` < <until>" + `
                    UNION ALL
                    SELECT toString(cluster), toString(name), toUnixTimestamp64Nano(time), toUnixTimestamp64Nano(time), 'listed', '', 0
                    FROM <inventory> WHERE kind = 'node' AND time >= <since> - INTERVAL 1 DAY AND time < <until>
                )
            )
            GROUP BY cluster, node
        )
    )
)`

// adoptionSQL counts connections that were answered, or of which nothing says that they failed: a failed IPv6 attempt is no
// adoption. What goes to a NAT64 prefix ends as IPv4 and is counted apart. Who is asked is the cluster's own end.
const adoptionSQL = `SELECT time, cluster, namespace, workload, direction, ['other', 'dns', 'ping'][kind] AS traffic, connections, ipv6, nat64, ipv4, failed_ipv6, failed_ipv4,
    if(connections > 0, round(100 * ipv6 / connections, 1), NULL) AS ipv6_percent, completeness_percent
FROM (
    SELECT toStartOfFiveMinutes(first) AS time, cluster, <own namespace> AS namespace, <own workload> AS workload, direction,
        multiIf(protocol IN ('icmp', 'icmpv6'), 3, destination_port = 53, 2, 1) AS kind,
        countIf(outcome IN ('answered', 'unknown') AND family != 'none') AS connections,
        countIf(outcome IN ('answered', 'unknown') AND family = 'ipv6' AND class != 'nat64') AS ipv6,
        countIf(outcome IN ('answered', 'unknown') AND class = 'nat64') AS nat64,
        countIf(outcome IN ('answered', 'unknown') AND family = 'ipv4') AS ipv4,
        countIf(outcome NOT IN ('answered', 'unknown') AND family = 'ipv6') AS failed_ipv6,
        countIf(outcome NOT IN ('answered', 'unknown') AND family = 'ipv4') AS failed_ipv4
    FROM <connections> WHERE <in window>
    GROUP BY ALL
) AS counted
<with completeness>`

// pathsSQL leaves out the address that the outside sees. With it there is a row for each node that a workload is on, 2.3
// times as many, and the answer takes half as long again.
const pathsSQL = `SELECT time, cluster, namespace, workload, direction, family, class, class_evidence, class_rule, source_nat, source_nat_evidence,
    connections, completeness_percent
FROM (
    SELECT toStartOfFiveMinutes(first) AS time, cluster, <own namespace> AS namespace, <own workload> AS workload, direction,
        family, class, class_evidence, class_rule, source_nat, source_nat_evidence, count() AS connections
    FROM <connections> WHERE <in window> AND outcome != 'denied'
    GROUP BY ALL
) AS counted
<with completeness>`

// dependenciesSQL tells the cause of each from what was seen, or says that it is unknown:
//
//	policy       IPv6 connections of the same workload to the same name are denied
//	fallback     it is the retry of an IPv6 attempt that failed
//	application  the name has an IPv6 address, by somebody's DNS answer, and was not used
//	no_aaaa      the name has none: an answer said so, or a DNS64 made one up
//	literal      no name was asked for, of a workload whose questions are seen
const dependenciesSQL = `WITH
asked AS (
    SELECT cluster, namespace, workload, name, min(aaaa_first) AS own, max(no_aaaa_last) AS none, max(dns64_last) AS made_up
    FROM <names> GROUP BY cluster, namespace, workload, name
),
everybody AS (
    SELECT cluster, name, min(own) AS own, max(none) AS none, max(made_up) AS made_up FROM asked GROUP BY cluster, name
),
used AS (
    SELECT cluster, source_namespace AS namespace, source_workload AS workload, source_workload_kind AS workload_kind,
        if(source_namespace = '', source_node, '') AS node, destination_name AS name,
        if(class = 'nat64', embedded_ipv4, destination_ip) AS ip, destination_port AS port, protocol, family, class,
        multiIf(outcome = 'denied', 'denied', fallback_of != <no id>, 'fallback', avoidable_ipv4 = 1, 'application', class = 'nat64', 'nat64', '') AS sign,
        count() AS connections, min(first) AS first_time, max(last) AS last_time, any(source_tags) AS tags,
        countIf(outcome IN ('refused', 'unanswered')) AS failed
    FROM <connections>
    WHERE <in window> AND direction = 'egress' AND (family = 'ipv4' AND outcome != 'denied' OR class = 'nat64' OR family = 'ipv6' AND outcome = 'denied')
    GROUP BY ALL
),
judged AS (
    SELECT *, name != '' AND sumIf(connections, sign = 'denied') OVER (PARTITION BY cluster, namespace, workload, name) > 0 AS denied,
        name != '' AND sumIf(connections, class = 'nat64') OVER (PARTITION BY cluster, name) > 0 AS through_nat64
    FROM used
)
SELECT cluster, namespace, workload, workload_kind, node, if(name != '', name, address) AS destination, address, port, protocol, class,
    multiIf(
        sign IN ('', 'fallback') AND denied, 'policy',
        sign IN ('fallback', 'application'), sign,
        name = '' AND (namespace, workload) != ('', '') AND asks, 'literal',
        name = '', 'unknown',
        sign = 'nat64' OR through_nat64, 'no_aaaa',
        everybody.own <= last_time, 'application',
        everybody.none IS NOT NULL OR everybody.made_up IS NOT NULL, 'no_aaaa',
        'unknown') AS cause,
    connections, failed, first_time AS first, last_time AS last, arrayStringConcat(tags, ', ') AS owner, completeness_percent
FROM (
    SELECT *, ` + ipAddress + ` AS address, (cluster, namespace, workload) IN (SELECT cluster, namespace, workload FROM asked) AS asks
    FROM judged WHERE sign != 'denied'
) AS judged
LEFT JOIN everybody USING (cluster, name)
<with completeness>`

const unexpectedSQL = `SELECT * FROM <ipv4_dependencies> WHERE class != 'nat64' AND cause NOT IN ('no_aaaa', 'fallback')`

// fallbacksSQL takes the IPv6 attempts. The delay is the time from an attempt to its retry, which the application lost.
const fallbacksSQL = `SELECT cluster, namespace, workload, destination, ` + ipAddress + ` AS address, port, outcome, attempts,
    mean_ms, p95_ms, max_ms, lost_seconds, first_time AS first, last_time AS last, completeness_percent
FROM (
    SELECT cluster, source_namespace AS namespace, source_workload AS workload,
        if(destination_name != '', destination_name, destination_service) AS destination, destination_ip AS ip, destination_port AS port, outcome,
        count() AS attempts, round(avg(fallback_ms), 1) AS mean_ms, round(quantileExact(0.95)(fallback_ms)) AS p95_ms, max(fallback_ms) AS max_ms,
        round(sum(fallback_ms) / 1000, 3) AS lost_seconds, min(first) AS first_time, max(last) AS last_time
    FROM <connections> WHERE <in window> AND fallen_back = 1
    GROUP BY ALL
) AS counted
<with completeness>`

// servicesSQL compares the inventory that was newest when the window ended, or else the first one after, with connections.
const servicesSQL = `WITH
snapshots AS (
    SELECT cluster, if(countIf(time < <until>) > 0, maxIf(time, time < <until>), min(time)) AS time
    FROM (SELECT DISTINCT cluster, time FROM <inventory> WHERE kind = 'service') GROUP BY cluster
),
declared AS (
    SELECT cluster, namespace, name AS service, any(policy) AS policy,
        anyIf(has_family, family = 'ipv6') = 'yes' AS has_ipv6, anyIf(has_family, family = 'ipv4') = 'yes' AS has_ipv4,
        anyIf(used, family = 'ipv6') AS ready_ipv6, anyIf(used, family = 'ipv4') AS ready_ipv4,
        arraySort(arrayDistinct(arrayFlatten(groupArray(findings)))) AS findings
    FROM <inventory> WHERE kind = 'service' AND (cluster, time) IN (SELECT cluster, time FROM snapshots)
    GROUP BY cluster, namespace, name
),
used AS (
    SELECT cluster, destination_service AS path, countIf(family = 'ipv6' AND outcome IN ('answered', 'unknown')) AS ipv6, countIf(family = 'ipv4' AND outcome IN ('answered', 'unknown')) AS ipv4,
        countIf(family = 'ipv6' AND outcome NOT IN ('answered', 'unknown')) AS failed_ipv6, countIf(family = 'ipv4' AND outcome NOT IN ('answered', 'unknown')) AS failed_ipv4
    FROM <connections> WHERE <in window> AND destination_service != ''
    GROUP BY cluster, destination_service
)
SELECT cluster, namespace, service, policy,
    multiIf(has_ipv6 AND has_ipv4, 'dual', has_ipv6, 'ipv6', has_ipv4, 'ipv4', 'none') AS declared,
    multiIf(ipv6 > 0 AND ipv4 > 0, 'dual', ipv6 > 0, 'ipv6', ipv4 > 0, 'ipv4', 'none') AS used,
    ipv6, ipv4, failed_ipv6, failed_ipv4, ready_ipv6, ready_ipv4, findings, completeness_percent
FROM (SELECT *, concat(namespace, '/', service) AS path FROM declared) AS declared
LEFT JOIN used USING (cluster, path)
<with completeness>`

const prefixesSQL = `SELECT cluster, toString(kind) AS kind, family, prefix, prefix_length, node, zone, policy AS mode, total, used,
    if(total > 0, round(100 * used / total, 2), NULL) AS used_percent, findings, detail, time
FROM <inventory>
WHERE kind IN ('cluster_prefix', 'node_prefix', 'service_prefix') AND (cluster, time) IN (SELECT cluster, max(time) FROM <inventory> GROUP BY cluster)`

const findingsSQL = `SELECT cluster, finding, toString(kind) AS kind, family, namespace, name, node, zone, detail, time
FROM <inventory>
ARRAY JOIN findings AS finding
WHERE (cluster, time) IN (SELECT cluster, max(time) FROM <inventory> GROUP BY cluster)`

const pullsSQL = `SELECT time, cluster, node, zone, registry, repository,
    concat(registry, '/', repository, if(tag != '', concat(':', tag), ''), if(digest != '', concat('@', digest), '')) AS image,
    tag, digest, namespace, pod, workload, workload_kind, arrayStringConcat(tags, ', ') AS owner, result, pull_policy, pulls,
    duration_ms, wait_ms, bytes, detail, id
FROM <pulls>`

const ipAddress = "if(ip = toIPv6('::'), '', replaceRegexpOne(toString(ip), '^::ffff:([0-9.]+)$', '\\\\1'))"
