package dashboards

const flowsUID = "sextant-flows"

// flows searches the history.
func flows() Dashboard {
	const (
		found = `positionCaseInsensitive(concat(source_namespace, '/', source_pod, ' ', source_workload, ' ', source_address, ' ', destination_namespace, '/', destination_pod, ' ',
    destination_workload, ' ', destination_address, ' ', destination_service, ' ', destination_name), {search:String}) > 0`
		matches = `<in window> AND <family> AND <either end> AND ({search:String} = '' OR ` + found + `)`
	)
	return Dashboard{
		UID: flowsUID, Title: "Flows", Doc: "Search connections and flows by any part of a name, pod, service or address.",
		Rows: []Row{
			observed(),
			{Title: "Found", Panels: []Panel{
				{
					ID: 10, Title: "Connections", Doc: "Connections that match the search.",
					Kind: Stat, Unit: Count, Width: 8, Height: 5,
					SQL: fill("SELECT count() AS number\nFROM each_connection\nWHERE " + matches),
				},
				{
					ID: 11, Title: "Failed", Doc: "Those that were denied, refused or not answered.",
					Kind: Stat, Unit: Count, Width: 8, Height: 5,
					SQL: fill("SELECT countIf(<failed>) AS number\nFROM each_connection\nWHERE " + matches),
				},
				{
					ID: 12, Title: "IPv6", Doc: "Share of IPv6 in those, NAT64 not counted.",
					Kind: Stat, Unit: Percent, Width: 8, Height: 5, Levels: shareLevels, Max: 100,
					SQL: fill("SELECT if(countIf(<got through>) > 0, round(100 * countIf(<got through> AND <as ipv6>) / countIf(<got through>), 1), NULL) AS share\nFROM each_connection\nWHERE " + matches),
				},
				{
					ID: 20, Title: "Connections found", Doc: "By family and outcome, a minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 24, Height: 8, Stacked: true,
					SQL: fill(`SELECT <step> AS time, concat(toString(family), ' ', toString(outcome)) AS outcome_of, count() / <minutes> AS connections
FROM each_connection
WHERE ` + matches + `
GROUP BY time, outcome_of
ORDER BY time, outcome_of`),
				},
			}},
			{Title: "History", Panels: []Panel{
				{
					ID: 30, Title: "Connections, the newest first", Doc: "Each once. `sextant sql connection --id` tells the whole story of one.",
					Kind: Table, Unit: Count, Width: 24, Height: 14, Limit: 200,
					Columns: columns("time namespace workload source_address destination destination_address port protocol family class evidence outcome id"),
					SQL: fill(`SELECT first AS time, source_namespace AS namespace, source_workload AS workload, source_address, <destination name> AS destination, destination_address, destination_port AS port,
    protocol, family, class, class_evidence AS evidence, outcome, id
FROM each_connection
WHERE ` + matches + `
ORDER BY first DESC, id <limit>`),
				},
				{
					ID: 31, Title: "Flows, the newest first", Doc: "What Hubble told, a row for each event. Flows are kept for a shorter time than connections.",
					Kind: Table, Unit: Count, Width: 24, Height: 14, Limit: 200,
					Columns: columns("time node event_type source destination protocol verdict drop_reason class rule"),
					SQL: fill(`SELECT time, node, event_type, concat(if(source_pod = '', '', concat(source_namespace, '/', source_pod, ' ')), source_address, ' ', toString(source_port)) AS source,
    concat(if(destination_pod = '', '', concat(destination_namespace, '/', destination_pod, ' ')), destination_address, ' ', toString(destination_port)) AS destination,
    protocol, verdict, drop_reason, class, class_rule AS rule
FROM (SELECT *, replaceOne(toString(source_ip), '::ffff:', '') AS source_address, replaceOne(toString(destination_ip), '::ffff:', '') AS destination_address FROM flows
    WHERE time >= <since> AND time < <until> AND <family> AND <either end>)
WHERE {search:String} = '' OR ` + found + `
ORDER BY time DESC <limit>`),
				},
			}},
		},
	}
}
