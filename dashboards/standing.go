package dashboards

const standingUID = "sextant-standing"

// standing says how much is IPv6 already, and how that changes.
func standing() Dashboard {
	return Dashboard{
		UID: standingUID, Title: "Where we stand", Doc: "How much of the cluster's traffic is IPv6, since when, and whose is not.",
		Rows: []Row{
			observed(),
			{Title: "Now", Panels: []Panel{
				{
					ID: 10, Title: "IPv6", Doc: "Share of connections over IPv6 that were answered, or of which nothing says that they failed. What goes to a NAT64 prefix ends as IPv4 and does not count.",
					Kind: Stat, Unit: Percent, Width: 5, Height: 5, Levels: shareLevels, Max: 100,
					SQL: fill(`SELECT if(sum(connections) > 0, round(100 * sum(ipv6) / sum(connections), 1), NULL) AS share
FROM ipv6_adoption<window>
WHERE <scope>`),
				},
				{
					ID: 11, Title: "IPv6 without lookups and pings", Doc: "The same without name lookups and pings, which are many and say little.",
					Kind: Stat, Unit: Percent, Width: 5, Height: 5, Levels: shareLevels, Max: 100,
					SQL: fill(`SELECT if(sum(connections) > 0, round(100 * sum(ipv6) / sum(connections), 1), NULL) AS share
FROM ipv6_adoption<window>
WHERE traffic = 'other' AND <scope>`),
				},
				adopted(12, "Connections", "All that the two shares are taken of.", "connections", 4),
				adopted(13, "IPv4", "Connections over IPv4.", "ipv4", 3),
				adopted(14, "NAT64", "Connections over IPv6 to a NAT64 prefix: they end as IPv4.", "nat64", 3),
				adopted(15, "Failed IPv6", "IPv6 attempts that were denied, refused or not answered.", "failed_ipv6", 4),
			}},
			{Title: "Over time", Panels: []Panel{
				{
					ID: 20, Title: "Share of IPv6 against the target", Doc: "The two shares from above, and the target that was chosen.",
					Kind: TimeSeries, Unit: Percent, Width: 12, Height: 9, Max: 100,
					SQL: fill(`SELECT <step> AS time, round(100 * countIf(<as ipv6>) / count(), 1) AS "IPv6",
    round(100 * countIf(<as ipv6> AND NOT small) / nullIf(countIf(NOT small), 0), 1) AS "without lookups and pings", toFloat64({target:String}) AS "target"
FROM (SELECT *, protocol IN ('icmp', 'icmpv6') OR destination_port = 53 AS small FROM each_connection WHERE <in window> AND <got through> AND <own end>)
GROUP BY time
ORDER BY time`),
				},
				{
					ID: 21, Title: "Connections by family", Doc: "Connections a minute. NAT64 goes over IPv6 and ends as IPv4.",
					Kind: TimeSeries, Unit: PerMinute, Width: 12, Height: 9, Stacked: true,
					SQL: fill(`SELECT <step> AS time, countIf(<as ipv6>) / <minutes> AS "IPv6", countIf(class = 'nat64') / <minutes> AS "NAT64", countIf(family = 'ipv4') / <minutes> AS "IPv4"
FROM each_connection
WHERE <in window> AND <got through> AND <own end>
GROUP BY time
ORDER BY time`),
				},
			}},
			{Title: "Whose", Panels: []Panel{
				{
					ID: 30, Title: "Share of IPv6 by namespace", Doc: "Without name lookups and pings. The namespace is that of the cluster's own end.",
					Kind: Bars, Unit: Percent, Width: 8, Height: 10, Levels: shareLevels, Max: 100, Limit: 30,
					SQL: fill(`SELECT if(namespace = '', 'nodes', toString(namespace)) AS name, round(100 * sum(ipv6) / sum(connections), 1) AS share
FROM ipv6_adoption<window>
WHERE traffic = 'other' AND <scope>
GROUP BY namespace
HAVING sum(connections) > 0
ORDER BY share, name <limit>`),
				},
				ofNodes(asked(31, "adoption-by-namespace", 16, 10)),
				ofNodes(asked(32, "adoption-by-workload", 24, 10)),
			}},
		},
	}
}

// adopted is a number of the view ipv6_adoption.
func adopted(id int, title, doc, what string, width int) Panel {
	return Panel{
		ID: id, Title: title, Doc: doc, Kind: Stat, Unit: Count, Width: width, Height: 5,
		SQL: fill("SELECT sum(a." + what + ") AS number\nFROM ipv6_adoption<window> AS a\nWHERE <scope>"),
	}
}
