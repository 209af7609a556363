package clickhouse

import "strings"

// bucketViews returns the views of rate limits.
func (q queries) bucketViews() []view {
	return []view{{
		"rate_limit_exposure", "(since, until): how full the buckets of limited services are when the window ends, how full they were at most, and who fills them",
		q.fill(strings.ReplaceAll(exposureSQL, "<charges as stored>", path(q.cfg.Database, "charges"))),
	}}
}

// exposureSQL counts uses as collector/bucket does, but over all collectors of a cluster, each use once. A window slides in
// grains, a 72nd of it each (bucket.Grain), and used at a time are the uses whose grain began in (begin of the time's grain
// - window, begin of the time's grain]. So a use fills its bucket from one grain on (arrives) and does no more from another
// one on (leaves): the level at a grain is the sum of what came and went up to there, and nothing need be counted anew for
// each position of the window.
//
// What a node did itself shows twice, as its connections and as the pulls of events. Of a service, a node and a window the
// larger number counts: all connections, each in its bucket, and by how many the pulls are more (surplus), in the bucket in
// which most of the node's pulls are (target). Of each thing that moved (moves), this makes parts that change what one
// bucket holds (levels): the thing itself, but for pulls, and where it is the first of its node at that grain, the surplus
// that comes and the one before it that leaves. The sum of a bucket's parts is what is used when the window ends.
//
// Charges carry neither limit nor window. What a service allows is not a property of a use: it may be corrected, or told by
// a probe, when the use has long been stored. So both are those of the newest rows of buckets. Windows are the catalogue's,
// by which collectors count, and not those that probes tell of; the limit is the one told last of the bucket, else of the
// service. Where there is no row, an hour is taken, and nothing is known of the limit. A collector tells a bucket when it
// has changed, so that the newest row may be old: a week is looked back. A replay tells all when it ends: where there is no
// row before the end of the window, the first one after it is taken.
//
// The newest word of a probe within the window takes the place of what was counted. What nodes did unseen is told of the
// worst case of the window, as one collector may see what another one does not.
//
// Planning takes most of the time: the engine resolves an alias anew wherever it is named, and a WITH wherever it is asked.
// So uses are asked for once, and what many others name is a column of a subquery.
var exposureSQL = strings.NewReplacer(
	"<bucket>", "cluster, service, bucket, family",
	"<most pulled>", mostSQL("pulled"), "<most pulled lately>", mostSQL("pulled_lately"),
	"<top:", "arrayMap(x -> concat(x.1, '=', toString(x.2)), arraySlice(arraySort(x -> (-x.2, x.1), arrayFilter(x -> x.2 > 0, arrayZip(", ":top>", "))), 1, 5))",
	"<known>", "`limit`",
	"<lately>", "time <= <until> AND time > <until> - toIntervalSecond(window_seconds)",
	"<uses>", usesSQL,
	"<grains>", grainsSQL,
).Replace(`WITH
told AS (
    SELECT cluster, service, bucket, toString(family) AS family, evidence, time, used, used_evidence, <known>, window_seconds, seen_seconds, measure, unit, unseen,
        (time <= <until>, -abs(toUnixTimestamp64Milli(time) - toUnixTimestamp64Milli(<until>))) AS near
    FROM <buckets> WHERE time >= <since> - INTERVAL 7 DAY AND time <= <until> + INTERVAL 7 DAY
),
services AS (
    SELECT cluster, service, argMax((window_seconds, <known>, unit), (used_evidence != 'probed', near, window_seconds, ifNull(<known>, 0), unit)) AS newest,
        newest.1 AS slides, newest.2 AS allows, newest.3 AS counts,
        min(time - toIntervalSecond(seen_seconds)) AS watched
    FROM told GROUP BY cluster, service
),
states AS (
    SELECT <bucket>, max(evidence) AS state_evidence, argMax((<known>, window_seconds, measure), (near, window_seconds, ifNull(<known>, 0), measure)) AS state,
        argMaxIf((ifNull(used, 0), 1), (time, ifNull(used, 0)), used_evidence = 'probed' AND <lately>) AS probe,
        multiIf(probe.2 = 1, 'nothing', countIf(<lately>) = 0, toString(argMax(unseen, (near, unseen))),
            countIf(unseen = 'node' AND <lately>) > 0, 'node', countIf(unseen = 'unknown' AND <lately>) > 0, 'unknown', 'nothing') AS hides
    FROM told GROUP BY <bucket>
),
moves AS (
    SELECT cluster, service, concat(bucket, '\n', family) AS place, node, kind, greatest(move.1, first_grain) AS position, sum(move.2) AS change,
        sumIf(move.2, move.3 AND arrives > last_grain - recent_grains) AS lately, maxIf(evidence, move.3) AS best, sumIf(uses, limited = 1 AND move.3) AS refusals, countIf(move.3) AS staying,
        groupUniqArrayIf(namespace, namespace != '' AND move.3) AS namespaces, groupUniqArrayIf((namespace, pod), namespace != '' AND pod != '' AND move.3) AS pods,
        [sumIf(uses, measure = 'connection' AND move.3), sumIf(uses, measure = 'request' AND move.3), sumIf(uses, measure = 'pull' AND move.3)] AS by_measure,
        sumMapIf([concat(namespace, '/', workload)], [uses], namespace != '' AND workload != '' AND move.3) AS workloads, sumMapIf([image], [uses], image != '' AND move.3) AS images
    FROM (<uses>)
    ARRAY JOIN [(arrives, toInt64(uses), leaves > last_grain), (leaves, -toInt64(uses), 0)] AS move
    WHERE move.1 <= last_grain
    GROUP BY cluster, service, place, node, kind, position
),
levels AS (
    SELECT cluster, service, splitByChar('\n', filled)[1] AS bucket, splitByChar('\n', filled)[2] AS family, max(level) AS peak, argMax(position, (level, -position)) AS peak_grain,
        sum(amount) AS uses_now, sum(amount_lately) AS recently, maxIf(best, own) AS charge_evidence, sumIf(refusals, own) AS refused,
        uniqExactIf(node, node != '' AND own AND staying > 0) AS node_count, uniqExactArrayIf(namespaces, own) AS namespace_count, uniqExactArrayIf(pods, own) AS pod_count, sumForEachIf(by_measure, own) AS measures,
        sumMapIf(workloads.1, workloads.2, own) AS workloads, sumMapIf(images.1, images.2, own) AS images, sumMapIf([node], [amount], node != '') AS users
    FROM (
        SELECT cluster, service, part.1 AS filled, part.2 AS amount, part.3 AS amount_lately, part.4 AS own, sum(part.2) OVER (PARTITION BY cluster, service, part.1 ORDER BY position) AS level,
            position, node, best, refusals, staying, namespaces, pods, by_measure, workloads, images
        FROM (
            SELECT *, lagInFrame((position, target, surplus)) OVER (PARTITION BY cluster, service, node ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
            FROM (
                SELECT *, sumMapIf([place], [change], kind = 'pull') OVER upto AS pulled, <most pulled> AS target, greatest(arraySum(pulled.2) - sumIf(change, kind = 'host') OVER upto, 0) AS surplus,
                    sumMapIf([place], [lately], kind = 'pull') OVER whole AS pulled_lately, greatest(arraySum(pulled_lately.2) - sumIf(lately, kind = 'host') OVER whole, 0) AS surplus_lately
                FROM moves
                WINDOW upto AS (PARTITION BY cluster, service, node ORDER BY position), whole AS (PARTITION BY cluster, service, node)
            )
        )
        ARRAY JOIN arrayConcat([(place, if(kind = 'pull', 0, change), if(kind = 'pull', 0, lately), 1)],
            if(before.1 = position, [], [(target, surplus, 0, 0), (before.2, -before.3, 0, 0)]), if(before.1 = 0, [(<most pulled lately>, 0, surplus_lately, 0)], [])) AS part
        WHERE part.4 = 1 OR part.2 != 0 OR part.3 != 0
    )
    GROUP BY cluster, service, filled
)
SELECT cluster, service, bucket, family, if(toInt8(charge_evidence) > toInt8(state_evidence), charge_evidence, state_evidence) AS evidence,
    used, if(probe.2 = 1, 'probed', 'counted') AS used_evidence, if(hides = '', 'unknown', hides) AS unseen, peak_used, peak_time, <known>, headroom, window_seconds,
    if(used IS NULL, NULL, intDiv(recently * 3600, recent_seconds)) AS per_hour,
    multiIf(used >= <known>, 0, recently > 0 AND intDiv(recently * window_seconds, recent_seconds) > <known>, intDiv(headroom * recent_seconds, recently), NULL) AS exhausted_in_seconds,
    if(most_measured > 0, ['connection', 'request', 'pull'][indexOf(measures, most_measured)], toString(state.3)) AS measure, counts AS unit,
    refused AS limited, node_count AS nodes, namespace_count AS namespaces, pod_count AS pods,
    <top:workloads.1, workloads.2:top> AS top_workloads, <top:images.1, images.2:top> AS top_images, <top:users.1, users.2:top> AS top_nodes, completeness_percent
FROM (
    SELECT *, if(used > <known>, 0, <known> - used) AS headroom, if(used IS NULL AND peak <= 0, NULL, greatest(toUInt64(peak), ifNull(used, 0))) AS peak_used,
        if(peak > 0, greatest(toDateTime(peak_grain * grain, 'UTC'), toDateTime(<since>, 'UTC')), NULL) AS peak_time,
        if(watched < <until>, least(recent_grains * grain, greatest(1, dateDiff('second', watched, <until>))), recent_grains * grain) AS recent_seconds
    FROM (
        SELECT *, <grains>, if(probe.2 = 1, probe.1, if(uses_now = 0 AND hides = 'node', NULL, toUInt64(uses_now))) AS used, if(state.2 > 0, state.1, allows) AS <known>,
            if(state.2 > 0, state.2, seconds) AS window_seconds, arrayMax(measures) AS most_measured
        FROM levels
        FULL JOIN states USING (<bucket>)
        LEFT JOIN services USING (cluster, service)
        WHERE uses_now > 0 OR peak > 0 OR refused > 0 OR probe.2 = 1 OR hides = 'node'
    )
) AS exposed
<with completeness>`)

const (
	grainsSQL = "if(slides > 0, slides, 3600) AS seconds, greatest(1, intDiv(seconds, 72)) AS grain, intDiv(seconds + grain - 1, grain) AS grains, if(grains * grain <= 600, grains, greatest(1, intDiv(grains, 6))) AS recent_grains"

	// usesSQL is the uses that fill buckets at any time from one on up to the window's end, each once. It does not say FINAL:
	// that reads all partitions where the time is not part of the key, as another row of a use may have another time.
	usesSQL = `
        SELECT *, ` + grainsSQL + `, toInt64(intDiv(toUnixTimestamp(time), grain)) AS arrives, arrives + grains AS leaves,
            toInt64(intDiv(toUnixTimestamp(<since>), grain)) AS first_grain, toInt64(intDiv(toUnixTimestamp(<until>), grain)) AS last_grain
        FROM (
            SELECT cluster, service, bucket, toString(family) AS family, evidence, node, namespace, workload, pod, image, uses, limited, time, measure,
                multiIf(measure = 'pull', 'pull', side = 'host', 'host', 'pod') AS kind
            FROM (
                SELECT cluster, service, bucket, family, evidence, node, namespace, workload, pod, image, uses, limited, time, measure, side, id, known
                FROM <charges as stored>
                WHERE time <= <until> AND time >= <since> - toIntervalSecond((SELECT 2 * greatest(max(window_seconds), 3600) FROM told))
                SETTINGS final = 0
            )
            ORDER BY known DESC LIMIT 1 BY service, id
        ) AS c
        LEFT JOIN services USING (cluster, service)
        WHERE leaves > first_grain
    `
)

// mostSQL is where the most pulls are, of numbers by place.
func mostSQL(pulls string) string {
	return "arraySort(x -> (-x.2, x.1), arrayZip(" + pulls + ".1, " + pulls + ".2))[1].1"
}
