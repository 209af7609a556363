package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/sinks/clickhouse"
)

// reported runs `sextant report` on the recorded cluster.
func reported(t *testing.T, c clickhouse.Config, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"report", "--clickhouse", c.Address, "--since", recordedSince, "--until", recordedUntil}, args...)
	var all cli
	all.Report.init()
	parser, err := newParser(&all, args)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = cmd.Run(&app{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard, logger: slog.New(slog.DiscardHandler)})
	return out.String(), err
}

// TestReport holds what the report says of the recorded registry against what its clients did.
func TestReport(t *testing.T) {
	c := stored(t)
	text, err := reported(t, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(text)
	for _, want := range []string{
		dockerHub + ": Docker Hub, pulls without an account\n  100 pulls in 6h,",
		"most by workloads: ci/image-build=91, ci/runner=45",
		"2001:db8:a::/64: what nodes did themselves, image pulls among it, does not show and is missing",
		"% of its nodes' time since then was observed",
		"where only connections show, and not what is in them, each counts as one of the pulls",
		"\nHow to read it\n",
		"150+", // and what node-2 pulled
		"2 nodes (node-1, node-2) have addresses in 2001:db8:a::/64: registry-1.docker.io allows them 100 pulls in 6h together, 50 each",
		"2 nodes (node-1, node-2) have private IPv4 addresses",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}

	text, err = reported(t, c, "--format", "json", "--service", dockerHub)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Limits []struct {
			Service string
			Limit   int
			Buckets []struct {
				Bucket, Family, Evidence, Unseen string
				Used, Limit                      int
				Headroom                         *int
				Nodes, Pods                      int
			}
			WhatIf []struct {
				Scenario               string
				Buckets, Fullest, Over int
			} `json:"what_if"`
		}
		Warnings []struct {
			Word     string
			Services []string
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Limits) != 1 || got.Limits[0].Service != dockerHub || got.Limits[0].Limit != 100 {
		t.Fatalf("%+v", got.Limits)
	}
	used := map[string]int{}
	for _, b := range got.Limits[0].Buckets {
		used[b.Family+" "+b.Bucket+" "+b.Evidence+" "+b.Unseen] = b.Used
	}
	want := map[string]int{
		"ipv6 2001:db8:a::/64 observed node": 150, "ipv4 172.31.250.1 observed nothing": 27, "ipv4 172.31.250.2 inferred node": 0,
	}
	if diff := cmp.Diff(want, used); diff != "" {
		t.Error(diff)
	}
	fullest := map[string]int{}
	for _, o := range got.Limits[0].WhatIf {
		fullest[o.Scenario] = o.Fullest
	}
	if diff := cmp.Diff(map[string]int{
		"now": 150, "one_ipv4": 177, // all in one
		"prefix_per_node": 91 + 14 + 23 + 4, "native_pods": 91 + 23, "nat64": 91 + 23, // of node-1
	}, fullest); diff != "" {
		t.Error(diff)
	}
	if _, err := reported(t, c, "--service", "registry-1.docker.i"); err == nil || !strings.Contains(err.Error(), `did you mean "registry-1.docker.io"?`) {
		t.Errorf("error %v", err)
	}
}

// TestCollectorsOfOneCluster: two collectors of which one follows both nodes and the other one of them store some uses
// twice. The buckets hold each once, whether ClickHouse has merged them or not.
func TestCollectorsOfOneCluster(t *testing.T) {
	c := stored(t)
	second := newPlant()
	second.verdictCfg.State, second.clickhouseCfg = []string{demoDir + "state"}, c
	a := &app{ctx: t.Context(), logger: slog.New(slog.DiscardHandler)}
	if err := second.build(a, blueprint{sinks: []string{"clickhouse"}, lossless: true}, nil); err != nil {
		t.Fatal(err)
	}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: []string{demoDir + "node-2.jsonl.gz"}, Strict: true,
		Names: second.names, Pool: flow.NewPool(second.pipelineCfg.BatchRows), Logger: a.logger,
	})
	if err := second.pipeline.Run(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	second.store.Close()
	used := func() map[string]string {
		t.Helper()
		rows, err := asked(t, c, `SELECT bucket, used FROM rate_limit_exposure(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) WHERE service = '`+dockerHub+`'`)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, row := range rows {
			got[fmt.Sprint(row["bucket"])] = fmt.Sprint(row["used"])
		}
		return got
	}
	want := map[string]string{"2001:db8:a::/64": "150", "172.31.250.1": "27", "172.31.250.2": "<nil>"}
	if diff := cmp.Diff(want, used()); diff != "" {
		t.Errorf("before they are merged:\n%s", diff)
	}
	if _, err := asked(t, c, "OPTIMIZE TABLE charges FINAL"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, used()); diff != "" {
		t.Errorf("merged:\n%s", diff)
	}
}
