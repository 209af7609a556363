package clickhouse

import (
	"strings"

	"sextant/collector/flow"
)

// view is a question with a name, which people and dashboards ask in place of the tables. A migration makes it, and makes
// it anew when its text has changed.
//
// A view that counts over a stretch of time takes its begin and its end, as in
//
//	SELECT * FROM ipv6_adoption(since = now() - INTERVAL 1 HOUR, until = now())
//
// because only then it can say how much of that was seen: completeness_percent is the share of the time of all nodes of
// the row's cluster in which their flows were observed. Views without parameters say what is so, or list.
type view struct {
	name, comment string
	query         string // a SELECT; tables in full, see path
}

// views returns the views, in an order in which each only needs those before it.
func (c Config) views() []view {
	q := newQueries(c)
	return append([]view{
		{"each_connection", "connections, each once, with addresses as people write them", q.eachConnection()},
		{"completeness", "(since, until): for every node, the share of time in which its flows were observed", q.fill(completenessSQL)},
		{"ipv6_adoption", "(since, until): connections that were not seen to fail, by family, every five minutes and for every workload", q.fill(adoptionSQL)},
		{"translation_paths", "(since, until): which way connections took and how that is known, every five minutes and for every workload", q.fill(pathsSQL)},
		{"ipv4_dependencies", "(since, until): what was reached outside over IPv4 or NAT64, by whom, and why not over IPv6", q.fill(dependenciesSQL)},
		{"unexpected_ipv4_egress", "(since, until): what was reached over IPv4 though nothing says that it has no IPv6", q.fill(unexpectedSQL)},
		{"fallbacks", "(since, until): where IPv6 was tried first and failed, so that IPv4 had to help out, and the time that it cost", q.fill(fallbacksSQL)},
		{"service_families", "(since, until): services' declared address families, and those by which they were used", q.fill(servicesSQL)},
		{"prefix_plan", "prefixes of the cluster, its nodes and its services as last seen, and how much of them is given out", q.fill(prefixesSQL)},
		{"inventory_findings", "what deserves attention in the cluster as last seen", q.fill(findingsSQL)},
		{"image_pulls", "image pulls, each once", q.fill(pullsSQL)},
	}, q.bucketViews()...)
}

// Views returns what there is to ask, by name.
func (c Config) Views() map[string]string {
	names := map[string]string{}
	for _, v := range c.views() {
		names[v.name] = v.comment
	}
	return names
}

// queries puts tables and repeated parts into the text of a query.
type queries struct {
	cfg      Config
	replacer *strings.Replacer
}

// newQueries returns what fills in queries: a table in angle brackets becomes its full name, in which rows that are stored
// more than once are one. A view that stands on another one has that one's text in it, as the server reads the text of a
// view with parameters twice for each view that it is inside of, and that takes longer than some answers.
func newQueries(c Config) queries {
	var pairs []string
	for _, t := range c.schema() {
		name := path(c.Database, t.name)
		if strings.Contains(t.options, "ReplacingMergeTree") {
			name += " FINAL"
		}
		pairs = append(pairs, "<"+t.name+">", name)
	}
	for _, r := range c.rollups() {
		pairs = append(pairs, "<"+r.table.name+">", path(c.Database, r.table.name))
	}
	pairs = append(pairs,
		"<since>", sinceParameter, "<until>", untilParameter,
		"<in window>", "first >= "+sinceParameter+" AND first < "+untilParameter,
		"<begin ns>", unixNano(sinceParameter), "<end ns>", unixNano("least("+untilParameter+", now64(3, 'UTC'))"), "<now ns>", unixNano("now64(3, 'UTC')"),
		"<minute>", "60000000000", "<own namespace>", own("namespace"), "<own workload>", own("workload"),
		"<no id>", "toUUID('00000000-0000-0000-0000-000000000000')",
	)
	for _, part := range [][2]string{
		{"<completeness>", "(" + completenessSQL + ")"}, {"<with completeness>", withCompleteness}, {"<ipv4_dependencies>", "(" + dependenciesSQL + ")"},
	} {
		pairs = append(pairs, part[0], strings.NewReplacer(pairs...).Replace(part[1]))
	}
	return queries{c, strings.NewReplacer(pairs...)}
}

const (
	sinceParameter = "{since:DateTime64(3, 'UTC')}"
	untilParameter = "{until:DateTime64(3, 'UTC')}"

	// withCompleteness is for the end of a FROM. A cluster of which nothing is known was not observed.
	withCompleteness = `LEFT JOIN (
    SELECT cluster, if(sum(expected_seconds) > 0, round(100 * sum(observed_seconds) / sum(expected_seconds), 2), 0) AS completeness_percent
    FROM <completeness> GROUP BY cluster
) AS seen USING (cluster)`
)

// own returns the SQL for a fact of the cluster's end of a connection, or of its source where both are the cluster's.
func own(fact string) string {
	return "if(direction = 'ingress', destination_" + fact + ", source_" + fact + ")"
}

func unixNano(time string) string { return "toUnixTimestamp64Nano(toDateTime64(" + time + ", 9))" }

func (q queries) fill(query string) string { return q.replacer.Replace(query) }

// address returns the SQL for an address as people write it: IPv4 dotted, none as nothing.
func address(column string) string {
	return "if(" + column + " = toIPv6('::'), '', replaceRegexpOne(toString(" + column + "), '^::ffff:([0-9.]+)$', '\\\\1'))"
}

// eachConnection has every column by name: the star of a view is settled when it is made, and would miss columns that come.
func (q queries) eachConnection() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i := range flow.ConnectionFields {
		if f := &flow.ConnectionFields[i]; f.Addr == nil {
			b.WriteString("`" + f.Name + "`, ")
		} else {
			b.WriteString("`" + f.Name + "`, " + address("`"+f.Name+"`") + " AS `" + addressName(f.Name) + "`, ")
		}
	}
	return strings.TrimSuffix(b.String(), ", ") + q.fill("\nFROM <connections>")
}

// addressName names the readable column beside an address's.
func addressName(column string) string { return strings.TrimSuffix(column, "_ip") + "_address" }
