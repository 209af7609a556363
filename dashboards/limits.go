package dashboards

const limitsUID = "sextant-limits"

// limits says who is about to be cut off, and by whose use.
func limits() Dashboard {
	return Dashboard{
		UID: limitsUID, Title: "Rate limits", Doc: "Services that limit how much one address or prefix may use them: how full each bucket is, and who fills it.",
		Rows: []Row{
			observed(),
			{Title: "Now", Panels: []Panel{
				{
					ID: 10, Title: "Fullest bucket", Doc: "Share of its limit that the fullest bucket has used in its window. More than 100 % is cut off, or was not counted as the service counts.",
					Kind: Stat, Unit: Percent, Width: 6, Height: 5, Levels: fullLevels,
					SQL: fill(`SELECT max(if(e.limit > 0, round(100 * e.used / e.limit, 1), NULL)) AS share
FROM rate_limit_exposure<window> AS e
WHERE <cluster>`),
				},
				{
					ID: 11, Title: "Exceeded", Doc: "Buckets with more uses than their limit.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT countIf(e.limit > 0 AND e.used >= e.limit) AS buckets\nFROM rate_limit_exposure<window> AS e\nWHERE <cluster>"),
				},
				{
					ID: 12, Title: "Refused", Doc: "Uses that a service said were too many.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT sumIf(c.uses, c.limited = 1) AS uses\nFROM charges AS c FINAL\nWHERE c.time >= <since> AND c.time < <until> AND <cluster>"),
				},
				{
					ID: 13, Title: "Unseen", Doc: "Buckets in which what nodes do themselves, such as pulling images, is missing.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT countIf(e.unseen = 'node') AS buckets\nFROM rate_limit_exposure<window> AS e\nWHERE <cluster>"),
				},
			}},
			{Title: "How full", Panels: []Panel{
				{
					ID: 20, Title: "Fullest buckets", Doc: "Used share of the limit, by service and prefix. An assumed prefix is that of a whole address family.",
					Kind: Bars, Unit: Percent, Width: 10, Height: 10, Levels: fullLevels, Max: 100, Limit: 20,
					SQL: fill(`SELECT concat(e.service, ' from ', if(e.bucket = '', concat('all ', toString(e.family)), e.bucket)) AS name, round(100 * e.used / e.limit, 1) AS share
FROM rate_limit_exposure<window> AS e
WHERE e.limit > 0 AND <cluster>
ORDER BY share DESC, name <limit>`),
				},
				{
					ID: 21, Title: "Uses", Doc: "What is charged to the services, a minute. Pulls of images are left out: what a node pulls shows as its connections too, where it shows.",
					Kind: TimeSeries, Unit: PerMinute, Width: 14, Height: 10, Stacked: true,
					SQL: fill(`SELECT toStartOfInterval(c.time, toIntervalSecond({step:UInt32})) AS time, concat(c.service, ' from ', if(c.bucket = '', concat('all ', toString(c.family)), c.bucket)) AS bucket, sum(c.uses) / <minutes> AS uses
FROM charges AS c FINAL
WHERE c.time >= <since> AND c.time < <until> AND c.measure != 'pull' AND <cluster>
GROUP BY 1, bucket
ORDER BY 1, bucket`),
				},
			}},
			{Title: "Who fills them", Panels: []Panel{
				asked(30, "rate-limits", 24, 10),
				asked(31, "rate-limit-top", 24, 10),
				asked(32, "egress-addresses", 24, 9),
				asked(33, "pulls", 12, 9),
				asked(34, "rate-limited", 12, 9),
			}},
		},
	}
}
