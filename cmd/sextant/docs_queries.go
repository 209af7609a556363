package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

// queriesPage prints the cookbook and the views that it stands on.
func queriesPage(w io.Writer) error {
	fmt.Fprint(w, `# Queries

`+"`sextant sql NAME --since 1h --namespace shop`"+` asks one of these; `+"`sextant sql NAME --show`"+` prints it as clickhouse-client takes
it. In Grafana, put `+"`$__fromTime` for `{since:…}`, `$__toTime` for `{until:…}`"+` and variables for the others: an empty text takes everything.

| query | question |
|---|---|
`)
	for _, q := range cookbook.Queries {
		fmt.Fprintf(w, "| [`%s`](#%s) | %s |\n", q.Name, q.Name, escapePipes(q.Title))
	}
	fmt.Fprint(w, "\n| parameter | type | without it | meaning |\n|---|---|---|---|\n")
	for _, p := range cookbook.Params {
		fmt.Fprintf(w, "| `%s` | `%s` | %s | %s |\n", p.Name, p.Type, code(p.Default), escapePipes(p.Doc))
	}
	fmt.Fprint(w, "\n## Views\n\nWhat the queries ask, for queries of your own. Those with parameters are called like functions:\n"+
		"`SELECT * FROM ipv6_adoption(since = now() - INTERVAL 1 HOUR, until = now())`.\n\n| view | holds |\n|---|---|\n")
	views := clickhouse.Default().Views()
	for _, name := range slices.Sorted(maps.Keys(views)) {
		fmt.Fprintf(w, "| `%s` | %s |\n", name, escapePipes(views[name]))
	}
	for _, q := range cookbook.Queries {
		fmt.Fprintf(w, "\n## %s\n\n**%s** %s\n\n", q.Name, q.Title, q.Doc)
		var params []string
		for _, p := range q.Params() {
			params = append(params, "`"+p.Name+"`")
		}
		fmt.Fprintf(w, "Parameters: %s. Reads: `%s`.\n\n| column | meaning |\n|---|---|\n", orNone(strings.Join(params, ", ")), strings.Join(q.Needs(), "`, `"))
		for _, c := range q.Columns {
			fmt.Fprintf(w, "| `%s` | %s |\n", c.Name, escapePipes(c.Doc))
		}
		if _, err := fmt.Fprintf(w, "\n```sql\n%s\n```\n", q.SQL); err != nil {
			return err
		}
	}
	return nil
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
