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
// which most of the node's pulls are (target).
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
var exposureSQL = strings.NewReplacer(
	"<bucket>", "cluster, service, bucket, family",
	"<place>", "concat(bucket, ' ', family)",
	"<moves>", "ARRAY JOIN [(arrives, toInt64(uses)), (leaves, -toInt64(uses))] AS move",
	"<position>", "greatest(move.1, first_grain) AS position",
	"<target>", "arraySort(x -> (-x.2, x.1), arrayZip(pulled.1, pulled.2))[1].1 AS target",
	"<of place:", "splitByChar(' ', ", ":bucket>", ")[1]", ":family>", ")[2]",
	"<top:", "arrayMap(x -> concat(x.1, '=', toString(x.2)), arraySlice(arraySort(x -> (-x.2, x.1), arrayFilter(x -> x.2 > 0, arrayZip(", ":top>", "))), 1, 5))",
	"<counted now>", countedSQL("amount"), "<counted lately>", countedSQL("amount_lately"),
	"<known>", "`limit`",
	"<lately>", "time <= <until> AND time > <until> - toIntervalSecond(window_seconds)",
	"<charged>", strings.NewReplacer("<begin>", "<since>", "<begin grain>", "first_grain").Replace(usesSQL),
	"<present>", strings.NewReplacer("<begin>", "<until>", "<begin grain>", "last_grain").Replace(usesSQL),
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
        argMaxIf((used, 1), (time, used), used_evidence = 'probed' AND <lately>) AS probe,
        multiIf(probe.2 = 1, 'nothing', countIf(<lately>) = 0, toString(argMax(unseen, (near, unseen))),
            countIf(unseen = 'node' AND <lately>) > 0, 'node', countIf(unseen = 'unknown' AND <lately>) > 0, 'unknown', 'nothing') AS hides
    FROM told GROUP BY <bucket>
),
charged AS (<charged>),
present AS (<present>),
nodes AS (
    SELECT cluster, service, node, position, sumMap(pulls.1, pulls.2) OVER upto AS pulled, <target>,
        greatest(arraySum(pulled.2) - sum(connections) OVER upto, 0) AS surplus
    FROM (
        SELECT cluster, service, node, <position>, sumMapIf([<place>], [move.2], kind = 'pull') AS pulls, sumIf(move.2, kind = 'host') AS connections
        FROM charged <moves>
        WHERE kind != 'pod' AND move.1 <= last_grain
        GROUP BY cluster, service, node, position
    )
    WINDOW upto AS (PARTITION BY cluster, service, node ORDER BY position)
),
levels AS (
    SELECT <bucket>, max(level) AS peak, argMax(position, (level, -position)) AS peak_grain
    FROM (
        SELECT <bucket>, position, change, sum(change) OVER (PARTITION BY <bucket> ORDER BY position) AS level
        FROM (
            SELECT <bucket>, position, sum(amount) AS change
            FROM (
                SELECT <bucket>, <position>, move.2 AS amount
                FROM charged <moves>
                WHERE kind != 'pull' AND move.1 <= last_grain
                UNION ALL
                SELECT cluster, service, <of place:shift.1:bucket>, <of place:shift.1:family>, position, shift.2
                FROM (
                    SELECT cluster, service, position, surplus, target, lagInFrame(surplus) OVER upto AS surplus_before, lagInFrame(target) OVER upto AS target_before
                    FROM nodes
                    WINDOW upto AS (PARTITION BY cluster, service, node ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
                )
                ARRAY JOIN [(target, surplus), (target_before, -surplus_before)] AS shift
                WHERE shift.2 != 0
            )
            GROUP BY <bucket>, position
        )
    )
    GROUP BY <bucket>
),
now AS (
    SELECT <bucket>, sum(counted) AS uses_now, sum(counted_lately) AS recently, max(best) AS charge_evidence, sum(refusals) AS refused,
        uniqExactIf(node, node != '') AS node_count, uniqExactArray(namespaces) AS namespace_count, uniqExactArray(pods) AS pod_count, sumForEach(by_measure) AS measures,
        sumMap(workloads.1, workloads.2) AS workloads, sumMap(images.1, images.2) AS images, sumMapIf([node], [counted], node != '') AS users
    FROM (
        SELECT *, <counted now> AS counted, <counted lately> AS counted_lately
        FROM (
            SELECT <bucket>, node, kind, toInt64(sum(uses)) AS amount, toInt64(sumIf(uses, arrives > last_grain - recent_grains)) AS amount_lately,
                max(evidence) AS best, sumIf(uses, limited = 1) AS refusals, groupUniqArrayIf(namespace, namespace != '') AS namespaces,
                groupUniqArrayIf((namespace, pod), namespace != '' AND pod != '') AS pods,
                [sumIf(uses, measure = 'connection'), sumIf(uses, measure = 'request'), sumIf(uses, measure = 'pull')] AS by_measure,
                sumMapIf([concat(namespace, '/', workload)], [uses], namespace != '' AND workload != '') AS workloads, sumMapIf([image], [uses], image != '') AS images
            FROM present
            GROUP BY <bucket>, node, kind
        )
        WINDOW own AS (PARTITION BY cluster, service, node)
    )
    GROUP BY <bucket>
)
SELECT cluster, service, bucket, family, if(toInt8(charge_evidence) > toInt8(state_evidence), charge_evidence, state_evidence) AS evidence,
    toUInt64(if(probe.2 = 1, probe.1, uses_now)) AS used, if(probe.2 = 1, 'probed', 'counted') AS used_evidence, if(hides = '', 'unknown', hides) AS unseen,
    greatest(toUInt64(peak), used) AS peak_used, if(peak > 0, greatest(toDateTime(peak_grain * grain, 'UTC'), toDateTime(<since>, 'UTC')), NULL) AS peak_time,
    if(state.2 > 0, state.1, allows) AS <known>, if(used > <known>, 0, <known> - used) AS headroom, if(state.2 > 0, state.2, seconds) AS window_seconds,
    intDiv(recently * 3600, recent_seconds) AS per_hour,
    multiIf(used >= <known>, 0, recently > 0 AND intDiv(recently * window_seconds, recent_seconds) > <known>, intDiv(headroom * recent_seconds, recently), NULL) AS exhausted_in_seconds,
    multiIf(arrayMax(measures) > 0, ['connection', 'request', 'pull'][indexOf(measures, arrayMax(measures))], toString(state.3)) AS measure, counts AS unit,
    refused AS limited, node_count AS nodes, namespace_count AS namespaces, pod_count AS pods,
    <top:workloads.1, workloads.2:top> AS top_workloads, <top:images.1, images.2:top> AS top_images, <top:users.1, users.2:top> AS top_nodes, completeness_percent
FROM (
    SELECT *, <grains>, if(watched < <until>, least(recent_grains * grain, greatest(1, dateDiff('second', watched, <until>))), recent_grains * grain) AS recent_seconds
    FROM levels
    FULL JOIN states USING (<bucket>)
    LEFT JOIN now USING (<bucket>)
    LEFT JOIN services USING (cluster, service)
    WHERE uses_now > 0 OR peak > 0 OR refused > 0 OR probe.2 = 1 OR hides = 'node'
) AS exposed
<with completeness>`)

const (
	grainsSQL = "if(slides > 0, slides, 3600) AS seconds, greatest(1, intDiv(seconds, 72)) AS grain, intDiv(seconds + grain - 1, grain) AS grains, greatest(1, intDiv(grains, 6)) AS recent_grains"

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
            WHERE time <= <until> AND time >= <begin> - toIntervalSecond((SELECT 2 * greatest(max(slides), 3600) FROM services))
            SETTINGS final = 0
        )
        ORDER BY known DESC LIMIT 1 BY service, id
    ) AS c
    LEFT JOIN services USING (cluster, service)
    WHERE leaves > <begin grain>
`
)

// countedSQL is how much of what a node used of a bucket counts: of its pulls their surplus, where most of them are.
func countedSQL(amount string) string {
	return "multiIf(kind != 'pull', " + amount + ", row_number() OVER (PARTITION BY cluster, service, node, kind ORDER BY " + amount + " DESC, bucket, family) > 1, 0, " +
		"greatest(sumIf(" + amount + ", kind = 'pull') OVER own - sumIf(" + amount + ", kind = 'host') OVER own, 0))"
}
