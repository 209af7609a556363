package dashboards

const workloadUID = "sextant-workload"

// workload says everything of one workload, for those whose it is.
func workload() Dashboard {
	return Dashboard{
		UID: workloadUID, Title: "One workload", Doc: "Choose a namespace and a workload: what it connects to and is connected to from, over which family, and what stands in its way.",
		Rows: []Row{
			observed(),
			{Title: "Now", Panels: []Panel{
				{
					ID: 10, Title: "IPv6", Doc: "Share of its connections over IPv6, NAT64 not counted.",
					Kind: Stat, Unit: Percent, Width: 6, Height: 5, Levels: shareLevels, Max: 100,
					SQL: fill(`SELECT if(sum(connections) > 0, round(100 * sum(ipv6) / sum(connections), 1), NULL) AS share
FROM ipv6_adoption<window>
WHERE <scope>`),
				},
				{
					ID: 11, Title: "Connects", Doc: "Connections that it made.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5,
					SQL: fill("SELECT count() AS number\nFROM each_connection\nWHERE <in window> AND <family> AND <source>"),
				},
				{
					ID: 12, Title: "Is connected to", Doc: "Connections that were made to it.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5,
					SQL: fill("SELECT count() AS number\nFROM each_connection\nWHERE <in window> AND <family> AND <destination>"),
				},
				{
					ID: 13, Title: "Failed", Doc: "Connections that it made and that were denied, refused or not answered.",
					Kind: Stat, Unit: Count, Width: 6, Height: 5, Levels: noneIsGood,
					SQL: fill("SELECT countIf(<failed>) AS number\nFROM each_connection\nWHERE <in window> AND <family> AND <source>"),
				},
			}},
			{Title: "Over time", Panels: []Panel{
				{
					ID: 20, Title: "Outcomes", Doc: "How the connections that it made went, by family, a minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 12, Height: 9, Stacked: true,
					SQL: fill(`SELECT <step> AS time, concat(toString(family), ' ', toString(outcome)) AS outcome_of, count() / <minutes> AS connections
FROM each_connection
WHERE <in window> AND <family> AND <source>
GROUP BY time, outcome_of
ORDER BY time, outcome_of`),
				},
				{
					ID: 21, Title: "Ways", Doc: "Which way the connections that it made took, a minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 12, Height: 9, Stacked: true,
					SQL: fill(`SELECT <step> AS time, toString(class) AS way, count() / <minutes> AS connections
FROM each_connection
WHERE <in window> AND <family> AND <source>
GROUP BY time, way
ORDER BY time, way`),
				},
			}},
			{Title: "With whom", Panels: []Panel{
				{
					ID: 30, Title: "What does it connect to?", Doc: "By destination, family and way.",
					Kind: Table, Unit: Count, Width: 14, Height: 11,
					Columns: columns("destination port family class evidence outcome connections mean_ms last_time"),
					SQL: fill(`SELECT <destination name> AS destination, destination_port AS port, family, class, class_evidence AS evidence, outcome, count() AS connections,
    round(avg(dateDiff('millisecond', first, last))) AS mean_ms, max(last) AS last_time
FROM each_connection
WHERE <in window> AND <family> AND <source>
GROUP BY ALL
ORDER BY connections DESC, destination, port, family <limit>`),
				},
				{
					ID: 31, Title: "Who connects to it?", Doc: "By source and family. A source without a name is outside of the cluster.",
					Kind: Table, Unit: Count, Width: 10, Height: 11,
					Columns: columns("source port family outcome connections last_time"),
					SQL: fill(`SELECT if(source_workload != '', concat(source_namespace, '/', source_workload), if(source_node != '', concat('node ', source_node), source_address)) AS source,
    destination_port AS port, family, outcome, count() AS connections, max(last) AS last_time
FROM each_connection
WHERE <in window> AND <family> AND <destination>
GROUP BY ALL
ORDER BY connections DESC, source, port, family <limit>`),
				},
				ofNodes(asked(32, "ipv4-dependencies", 24, 9)),
				asked(33, "drops", 24, 8),
				asked(34, "recent", 24, 10),
			}},
		},
	}
}
