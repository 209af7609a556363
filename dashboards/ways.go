package dashboards

const waysUID = "sextant-ways"

// waysOut says how connections leave the cluster, and how sure that is.
func waysOut() Dashboard {
	return Dashboard{
		UID: waysUID, Title: "Ways out", Doc: "Which way connections leave the cluster, what translates them, which address the outside sees, and how that is known.",
		Rows: []Row{
			observed(),
			{Title: "Now", Panels: []Panel{
				leaving(10, "IPv6 as it is", "Untranslated IPv6 connections to the outside.", "class = 'native6'"),
				leaving(11, "NAT66", "IPv6 connections to the outside whose source address is translated.", "class = 'nat66'"),
				leaving(12, "NAT64", "IPv6 connections that a translator makes IPv4.", "class = 'nat64'"),
				leaving(13, "IPv4", "IPv4 connections to the outside, translated or not.", "family = 'ipv4'"),
				{
					ID: 14, Title: "Certain", Doc: "Share of connections whose way was observed or confirmed. Of the others it follows from settings, prefixes or rules, or is not known.",
					Kind: Stat, Unit: Percent, Width: 4, Height: 5, Max: 100,
					SQL: fill(`SELECT if(count() > 0, round(100 * countIf(class_evidence IN ('observed', 'confirmed')) / count(), 1), NULL) AS share
FROM each_connection
WHERE <in window> AND direction = 'egress' AND outcome != 'denied' AND <family> AND <source>`),
				},
				{
					ID: 15, Title: "Failed NAT64", Doc: "Share of connections through NAT64 that were refused, denied or not answered.",
					Kind: Stat, Unit: Percent, Width: 4, Height: 5, Levels: []Level{{0, Good}, {1, Warning}, {10, Bad}}, Max: 100,
					SQL: fill(`SELECT if(count() > 0, round(100 * countIf(<failed>) / count(), 1), NULL) AS share
FROM each_connection
WHERE <in window> AND class = 'nat64' AND <source>`),
				},
			}},
			{Title: "Over time", Panels: []Panel{
				{
					ID: 20, Title: "Classes", Doc: "Connections to the outside by the way that they take, a minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 12, Height: 9, Stacked: true,
					SQL: fill(`SELECT <step> AS time, toString(class) AS way, count() / <minutes> AS connections
FROM each_connection
WHERE <in window> AND direction = 'egress' AND outcome != 'denied' AND <family> AND <source>
GROUP BY time, way
ORDER BY time, way`),
				},
				{
					ID: 21, Title: "Source translation", Doc: "What happens to the source address of connections to the outside, a minute.",
					Kind: TimeSeries, Unit: PerMinute, Width: 12, Height: 9, Stacked: true,
					SQL: fill(`SELECT <step> AS time, concat(toString(source_nat), ', ', toString(source_nat_evidence)) AS translation, count() / <minutes> AS connections
FROM each_connection
WHERE <in window> AND direction = 'egress' AND outcome != 'denied' AND <family> AND <source>
GROUP BY time, translation
ORDER BY time, translation`),
				},
			}},
			{Title: "Which way, and seen as what", Panels: []Panel{
				asked(30, "ways-out", 24, 9),
				asked(31, "egress-addresses", 24, 9),
				asked(32, "nat64", 12, 8),
				asked(33, "nat64-trouble", 12, 8),
				asked(34, "unsure", 24, 9),
				asked(35, "drops", 12, 9),
				asked(36, "inbound", 12, 9),
			}},
		},
	}
}

// leaving is how many connections to the outside fulfil a condition.
func leaving(id int, title, doc, condition string) Panel {
	return Panel{
		ID: id, Title: title, Doc: doc, Kind: Stat, Unit: Count, Width: 4, Height: 5,
		SQL: fill("SELECT countIf(" + condition + ") AS number\nFROM each_connection\nWHERE <in window> AND direction = 'egress' AND outcome != 'denied' AND <family> AND <source>"),
	}
}
