package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"sextant/collector/flow"
)

type docsCmd struct {
	Page string `arg:"" enum:"settings,flows,connections,gaps,heartbeats,pulls,inventory,charges,buckets,limits,queries" help:"Page to print: settings, flows, connections, gaps, heartbeats, pulls, inventory, charges, buckets, limits or queries."`
}

// Run prints a page as Markdown.
func (cmd *docsCmd) Run(a *app, k *kong.Kong) error {
	switch cmd.Page {
	case "settings":
		return settingsPage(a.stdout, k.Model)
	case "flows":
		return fieldsPage(a.stdout, flow.Fields)
	case "connections":
		return fieldsPage(a.stdout, flow.ConnectionFields)
	case "gaps":
		return fieldsPage(a.stdout, flow.GapFields)
	case "heartbeats":
		return fieldsPage(a.stdout, flow.BeatFields)
	case "pulls":
		return fieldsPage(a.stdout, flow.PullFields)
	case "charges":
		return fieldsPage(a.stdout, flow.ChargeFields)
	case "buckets":
		return fieldsPage(a.stdout, flow.BucketFields)
	case "limits":
		return limitsPage(a.stdout)
	case "queries":
		return queriesPage(a.stdout)
	default:
		return fieldsPage(a.stdout, flow.ItemFields)
	}
}

func settingsPage(w io.Writer, model *kong.Application) error {
	seen := map[string]bool{}
	fmt.Fprintf(w, "| key | flag | default | meaning |\n|---|---|---|---|\n")
	return kong.Visit(model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			if k := key(flag); k != "" && !seen[k] {
				seen[k] = true
				fmt.Fprintf(w, "| `%s` | `--%s` | %s | %s |\n", k, flag.Name, code(flag.Default), escapePipes(flag.Help))
			}
		}
		return next(nil)
	})
}

func fieldsPage[R any](w io.Writer, fields []flow.Field[R]) error {
	fmt.Fprintf(w, "| field | values | meaning |\n|---|---|---|\n")
	for _, f := range fields {
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s |\n", f.Name, values(f), escapePipes(f.Doc)); err != nil {
			return err
		}
	}
	return nil
}

func values[R any](f flow.Field[R]) string {
	switch {
	case f.Time != nil:
		return "time"
	case f.UUID != nil:
		return "UUID"
	case f.Addr != nil:
		return "address"
	case f.Addrs != nil:
		return "list of addresses"
	case f.Count != nil:
		return "number or null"
	case f.Enum != nil && len(f.Words) <= 32:
		return "`" + strings.Join(f.Words, "` `") + "`"
	case f.Enum != nil || f.Str != nil:
		return "text"
	case f.Strs != nil:
		return "list of texts"
	}
	return "number"
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func escapePipes(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
