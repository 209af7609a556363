package dashboards

const prefixesUID = "sextant-prefixes"

// prefixes says what the cluster has to give out, and whether services keep what they promise.
func prefixes() Dashboard {
	return Dashboard{
		UID: prefixesUID, Title: "Prefixes and services", Doc: "Which prefixes there are and how full, and whether services are reached by the families that they promise.",
		Rows: []Row{
			observed(),
			{Title: "Now", Panels: []Panel{
				{
					ID: 10, Title: "Fullest prefix", Doc: "Share of its addresses, or node prefixes, that the fullest prefix has given out.",
					Kind: Stat, Unit: Percent, Width: 6, Height: 5, Levels: fullLevels, Max: 100,
					SQL: fill("SELECT max(used_percent) AS share\nFROM prefix_plan\nWHERE <cluster>"),
				},
				{
					ID: 11, Title: "Dual-stack services", Doc: "Services that have both families.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5,
					SQL: fill("SELECT countIf(declared = 'dual') AS services\nFROM service_families<window>\nWHERE <cluster> AND <namespace>"),
				},
				{
					ID: 12, Title: "Used on one family alone", Doc: "Services that have both families and were reached by one of them.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT countIf(declared = 'dual' AND used IN ('ipv4', 'ipv6')) AS services\nFROM service_families<window>\nWHERE <cluster> AND <namespace>"),
				},
				{
					ID: 13, Title: "Unreachable on one family", Doc: "Services that have both families, with endpoints ready in one of them and none in the other.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT countIf(declared = 'dual' AND (ready_ipv6 > 0) != (ready_ipv4 > 0)) AS services\nFROM service_families<window>\nWHERE <cluster> AND <namespace>"),
				},
			}},
			{Title: "Prefixes", Panels: []Panel{
				{
					ID: 20, Title: "Fullest prefixes", Doc: "Share that is given out, as last seen.",
					Kind: Bars, Unit: Percent, Width: 24, Height: 8, Levels: fullLevels, Max: 100, Limit: 20,
					SQL: fill(`SELECT concat(if(prefix = '', concat(kind, ' ', toString(family)), prefix), if(node = '', '', concat(' on ', node))) AS name, used_percent
FROM prefix_plan
WHERE used_percent IS NOT NULL AND <cluster>
ORDER BY used_percent DESC, name <limit>`),
				},
				asked(21, "prefixes", 24, 10),
			}},
			{Title: "Services", Panels: []Panel{
				asked(30, "services", 24, 10),
				{
					ID: 31, Title: "Connections to services by family", Doc: "A minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 24, Height: 8, Stacked: true,
					SQL: fill(`SELECT <step> AS time, concat(destination_service, ' ', toString(family)) AS service, count() / <minutes> AS connections
FROM each_connection
WHERE <in window> AND destination_service != '' AND <family> AND <destination>
GROUP BY time, service
ORDER BY time, service`),
				},
				asked(32, "findings", 24, 9),
			}},
		},
	}
}
