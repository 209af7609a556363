package dashboards

import (
	"regexp"
	"strings"
)

// SQL is one SELECT with ClickHouse's parameters, {name:Type}. Beside the variables (Variables) they are
//
//	since, until  DateTime64(3, 'UTC')  the window that is looked at
//	step          UInt32                seconds that one point of a chart stands for
//	limit         UInt32                most rows
type SQL string

var parameter = regexp.MustCompile(`\{([a-z]+):([A-Za-z0-9]+(?:\([^)]*\))?)\}`)

// Params returns the names of the parameters, each once, in the order of their first use.
func (q SQL) Params() []string {
	var names []string
	seen := map[string]bool{}
	for _, m := range parameter.FindAllStringSubmatch(string(q), -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			names = append(names, m[1])
		}
	}
	return names
}

// Expand returns the text with every parameter replaced by what value makes of its name and type. It is for those who
// cannot bind parameters: what value returns becomes part of the statement.
func (q SQL) Expand(value func(name, typ string) string) string {
	return parameter.ReplaceAllStringFunc(string(q), func(text string) string {
		m := parameter.FindStringSubmatch(text)
		return value(m[1], m[2])
	})
}

const (
	since = "{since:DateTime64(3, 'UTC')}"
	until = "{until:DateTime64(3, 'UTC')}"
	step  = "{step:UInt32}"
)

// fill replaces what queries have in common, in angle brackets.
func fill(query string) SQL { return SQL(common.Replace(query)) }

var common = strings.NewReplacer(
	"<window>", "(since = "+since+", until = "+until+")",
	"<in window>", "first >= "+since+" AND first < "+until,
	"<since>", since, "<until>", until,
	"<step>", "toStartOfInterval(first, toIntervalSecond("+step+"))",
	"<minutes>", "("+step+" / 60)",
	"<beat step>", "greatest("+step+", 60)", // a heartbeat stands for a minute: of a shorter point it would fill one and leave the next ones empty
	"<cluster>", either("cluster", "cluster"),
	"<namespace>", either("namespace", "namespace"),
	"<family>", either("family", "family"),
	"<scope>", either("cluster", "cluster")+" AND "+either("namespace", "namespace")+" AND "+either("workload", "workload"),
	"<own end>", either("cluster", "cluster")+
		" AND "+either("if(direction = 'ingress', destination_namespace, source_namespace)", "namespace")+
		" AND "+either("if(direction = 'ingress', destination_workload, source_workload)", "workload"),
	"<source>", either("cluster", "cluster")+" AND "+either("source_namespace", "namespace")+" AND "+either("source_workload", "workload"),
	"<destination>", either("cluster", "cluster")+" AND "+either("destination_namespace", "namespace")+" AND "+either("destination_workload", "workload"),
	"<either end>", either("cluster", "cluster")+
		" AND ({namespace:String} = '' OR source_namespace = {namespace:String} OR destination_namespace = {namespace:String})"+
		" AND ({workload:String} = '' OR source_workload = {workload:String} OR destination_workload = {workload:String})",
	// What is counted as adoption: as in the view ipv6_adoption.
	"<got through>", "outcome IN ('answered', 'unknown') AND family != 'none'",
	"<failed>", "outcome NOT IN ('answered', 'unknown')",
	"<as ipv6>", "family = 'ipv6' AND class != 'nat64'",
	"<destination name>", "multiIf(destination_name != '', destination_name, destination_service != '', destination_service, "+
		"destination_workload != '', concat(destination_namespace, '/', destination_workload), destination_address)",
	"<limit>", "LIMIT {limit:UInt32}",
)

// either is the condition that a column has a parameter's value, or that there is none.
func either(column, param string) string {
	return "({" + param + ":String} = '' OR toString(" + column + ") = {" + param + ":String})"
}
