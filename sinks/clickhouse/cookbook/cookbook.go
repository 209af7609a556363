// Package cookbook holds the questions that are asked of the history again and again: named queries, as data, for the
// command line, dashboards and documents alike.
//
// It refuses to build SQL from what a user says: a query's text never changes, and values go to the server as bound
// parameters. It connects to nothing, and queries nothing itself.
package cookbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Query is a question with a name.
type Query struct {
	Name    string // of lower-case words and hyphens: never SQL
	Title   string // the question
	Doc     string // what to know about the answer: what is counted, when there is none
	SQL     string // one SELECT with ClickHouse's parameters, {name:Type}
	Columns []Column
}

// Column is a column of a query's answer.
type Column struct{ Name, Doc string }

// Param is a parameter of a query.
type Param struct {
	Name    string
	Type    string // in ClickHouse's words
	Default string // for who gives none; empty where the query cannot do without
	Doc     string
}

// Params are all parameters that queries have. An empty text takes everything.
var Params = []Param{
	{"since", timeType, "", "begin of the window"},
	{"until", timeType, "", "end of the window"},
	{"cluster", "String", "", "cluster"},
	{"namespace", "String", "", "namespace"},
	{"workload", "String", "", "workload"},
	{"limit", "UInt32", "50", "most rows"},
	{"id", "UUID", "", "id of a connection"},
	{"rate", "String", "", "flows a second; empty: as many as there were"},
}

const timeType = "DateTime64(3, 'UTC')"

// Find returns the query of that name.
func Find(name string) (Query, bool) {
	i := slices.IndexFunc(Queries, func(q Query) bool { return q.Name == name })
	if i < 0 {
		return Query{}, false
	}
	return Queries[i], true
}

var name = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// IsName reports whether a text could be the name of a query, and is hence no SQL.
func IsName(text string) bool { return name.MatchString(text) }

var parameter = regexp.MustCompile(`\{([a-z]+):`)

// Params returns the query's parameters, in the order of the table of all.
func (q Query) Params() []Param {
	used := map[string]bool{}
	for _, m := range parameter.FindAllStringSubmatch(q.SQL, -1) {
		used[m[1]] = true
	}
	var list []Param
	for _, p := range Params {
		if used[p.Name] {
			list = append(list, p)
		}
	}
	return list
}

var source = regexp.MustCompile(`(?:FROM|JOIN) ((?:system\.)?[a-z0-9_]+)`)

// Needs returns the tables and views that the query reads, in the order of their first mention.
func (q Query) Needs() []string {
	var list []string
	for _, m := range source.FindAllStringSubmatch(q.SQL, -1) {
		if !slices.Contains(list, m[1]) && !strings.Contains(q.SQL, m[1]+" AS (") { // that is a part of the query
			list = append(list, m[1])
		}
	}
	return list
}

// Script returns the query with its values as clickhouse-client takes it.
func (q Query) Script(values map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- %s\n", q.Title)
	for _, p := range q.Params() {
		fmt.Fprintf(&b, "SET param_%s = %s;\n", p.Name, quote(cell.Replace(values[p.Name])))
	}
	return b.String() + "\n" + q.SQL + ";\n"
}

// quote returns a text as an SQL literal.
func quote(text string) string { return "'" + literal.Replace(text) + "'" }

var (
	literal = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	// cell escapes a parameter's value, which the server reads as it reads a cell of its format TabSeparated.
	cell = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)
)

// fill replaces what queries have in common.
func fill(query string) string { return common.Replace(query) }

var common = strings.NewReplacer(
	"<window>", "(since = {since:"+timeType+"}, until = {until:"+timeType+"})",
	"<in window>", "first >= {since:"+timeType+"} AND first < {until:"+timeType+"}",
	"<since>", "{since:"+timeType+"}", "<until>", "{until:"+timeType+"}",
	"<cluster>", either("cluster", "cluster"),
	"<scope>", either("cluster", "cluster")+" AND "+either("namespace", "namespace")+" AND "+either("workload", "workload"),
	"<source>", either("cluster", "cluster")+" AND "+either("source_namespace", "namespace")+" AND "+either("source_workload", "workload"),
	"<destination>", either("cluster", "cluster")+" AND "+either("destination_namespace", "namespace")+" AND "+either("destination_workload", "workload"),
	"<ipv6_percent>", "if(connections > 0, round(100 * ipv6 / connections, 1), NULL) AS ipv6_percent",
	"<application_percent>", "if(sumIf(a.connections, traffic = 'other') > 0, "+
		"round(100 * sumIf(a.ipv6, traffic = 'other') / sumIf(a.connections, traffic = 'other'), 1), NULL) AS application_percent",
	"<limit>", "LIMIT {limit:UInt32}",
	"<completeness>", "(SELECT if(sum(expected_seconds) > 0, round(100 * sum(observed_seconds) / sum(expected_seconds), 2), 0) FROM completeness"+
		"(since = {since:"+timeType+"}, until = {until:"+timeType+"}) WHERE "+either("cluster", "cluster")+")",
	"<destination_of>", "if(destination_name != '', destination_name, if(destination_workload != '', concat(destination_namespace, '/', destination_workload), destination_address))",
)

// either is the condition that a column has a parameter's value, or that there is none.
func either(column, param string) string {
	return "({" + param + ":String} = '' OR " + column + " = {" + param + ":String})"
}
