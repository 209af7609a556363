package dashboards

// observed returns the row that every dashboard opens with: what share of the cluster was really observed. A number below
// it is a lower bound wherever that is not all of it.
func observed() Row {
	return Row{Title: "How much was observed", Panels: []Panel{
		{
			ID: 1, Title: "Observed", Doc: "Share of the nodes' time in which their flows were seen. With less than 100 %, every number below is too low.",
			Kind: Stat, Unit: Percent, Width: 6, Height: 4, Levels: seenLevels, Max: 100,
			SQL: fill(`SELECT if(sum(expected_seconds) > 0, round(100 * sum(observed_seconds) / sum(expected_seconds), 2), 0) AS observed
FROM completeness<window>
WHERE <cluster>`),
		},
		{
			ID: 2, Title: "Nodes with gaps", Doc: "Nodes of which more than a thousandth of the time was not seen.",
			Kind: Stat, Unit: Count, Width: 6, Height: 4, Levels: noneIsGood,
			SQL: fill(`SELECT countIf(completeness_percent < 99.9) AS nodes FROM completeness<window> WHERE <cluster>`),
		},
		{
			ID: 3, Title: "Events lost", Doc: "Events that Cilium or Sextant counted as lost. Not all losses can be counted.",
			Kind: Stat, Unit: Count, Width: 6, Height: 4, Levels: noneIsGood,
			SQL: fill(`SELECT sum(lost_events) AS events FROM completeness<window> WHERE <cluster>`),
		},
		{
			ID: 4, Title: "Nodes whose own connections do not show", Doc: "On these, settings keep what the node itself does out of Hubble's sight, image pulls for one. Pods show all the same.",
			Kind: Stat, Unit: Count, Width: 6, Height: 4, Levels: noneIsGood,
			SQL: fill(`SELECT countIf(hidden = 1) AS nodes FROM completeness<window> WHERE <cluster>`),
		},
	}}
}

// Annotation marks times in all charts of all dashboards.
type Annotation struct {
	Name   string
	Colour Colour
	SQL    SQL // returns time, timeEnd, text and tags, none where nothing happened
}

// Annotations are what is marked.
var Annotations = []Annotation{
	{"Gaps", Bad, fill("SELECT if(toUnixTimestamp(`from`) > 0, `from`, `to`) AS time, `to` AS timeEnd, concat(if(node = '', 'all nodes', toString(node)), ': ', detail) AS text, toString(cause) AS tags\n" +
		"FROM gaps\nWHERE cause != 'hidden_by_settings' AND `to` >= <since> AND `from` < <until>\nORDER BY time LIMIT 500")},
	{"Deployments", Neutral, fill(`SELECT min(p.time) AS time, min(p.time) AS timeEnd, concat(namespace, '/', workload, ' starts to pull ', image) AS text, 'deployment' AS tags
FROM image_pulls AS p
WHERE p.time >= <since> AND p.time < <until> AND workload != ''
GROUP BY namespace, workload, image
ORDER BY time LIMIT 500`)},
}
