package dashboards

const needsUID = "sextant-needs"

// needs says what cannot be switched off yet, and whose it is.
func needs() Dashboard {
	return Dashboard{
		UID: needsUID, Title: "What still needs IPv4", Doc: "Who reaches what over IPv4 or NAT64, why, and what could move to IPv6 today.",
		Rows: []Row{
			observed(),
			{Title: "Now", Panels: []Panel{
				{
					ID: 10, Title: "Over IPv4 or NAT64", Doc: "Connections to the outside that end as IPv4.",
					Kind: Stat, Unit: Count, Width: 5, Height: 5,
					SQL: fill("SELECT sum(d.connections) AS number\nFROM ipv4_dependencies<window> AS d\nWHERE <scope>"),
				},
				{
					ID: 11, Title: "Unexpected", Doc: "Those over IPv4 though nothing says that the destination has no IPv6. What is unknown counts as unexpected.",
					Kind: Stat, Unit: Count, Width: 5, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT sum(u.connections) AS number\nFROM unexpected_ipv4_egress<window> AS u\nWHERE <scope>"),
				},
				{
					ID: 12, Title: "Avoidable", Doc: "IPv4 connections of pods that had been answered a usable IPv6 address and did not try it.",
					Kind: Stat, Unit: Count, Width: 5, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT count() AS number\nFROM each_connection\nWHERE <in window> AND avoidable_ipv4 = 1 AND <source>"),
				},
				{
					ID: 13, Title: "Fell back", Doc: "IPv6 attempts that failed so that IPv4 had to help out.",
					Kind: Stat, Unit: Count, Width: 5, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT sum(f.attempts) AS number\nFROM fallbacks<window> AS f\nWHERE <scope>"),
				},
				{
					ID: 14, Title: "Time lost to that", Doc: "What applications waited for IPv6 attempts that failed.",
					Kind: Stat, Unit: Seconds, Width: 4, Height: 5,
					SQL: fill("SELECT sum(f.lost_seconds) AS seconds\nFROM fallbacks<window> AS f\nWHERE <scope>"),
				},
			}},
			{Title: "Why, and when", Panels: []Panel{
				{
					ID: 20, Title: "Causes", Doc: "Why connections end as IPv4: no_aaaa (the name has no IPv6 address), application (it has one that was not used), literal (no name was asked for), fallback, policy, or unknown.",
					Kind: Bars, Unit: Count, Width: 8, Height: 9, Limit: 10,
					SQL: fill(`SELECT cause, sum(d.connections) AS connections
FROM ipv4_dependencies<window> AS d
WHERE <scope>
GROUP BY cause
ORDER BY connections DESC, cause <limit>`),
				},
				{
					ID: 21, Title: "Connections that end as IPv4", Doc: "To the outside, by namespace, a minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 16, Height: 9, Stacked: true,
					SQL: fill(`SELECT <step> AS time, if(source_namespace = '', 'nodes', toString(source_namespace)) AS namespace, count() / <minutes> AS connections
FROM each_connection
WHERE <in window> AND direction = 'egress' AND outcome != 'denied' AND (family = 'ipv4' OR class = 'nat64') AND <source>
GROUP BY time, namespace
ORDER BY time, namespace`),
				},
			}},
			{Title: "What for", Panels: []Panel{
				ofNodes(asked(30, "ipv4-dependencies", 24, 12)),
				ofNodes(asked(31, "unexpected-ipv4", 24, 10)),
				asked(32, "avoidable-ipv4", 24, 8),
				asked(33, "fallbacks", 24, 8),
			}},
		},
	}
}
