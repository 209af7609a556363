package clickhouse

import (
	"errors"
	"strings"
	"testing"
)

// Rows that become one must have the same shard, and so must an insert that is sent again: who adds a table says by what.
func TestEveryTableIsSharded(t *testing.T) {
	for _, table := range append(Default().schema(), history()) {
		if table.shard == "" || strings.Contains(table.shard, "rand") {
			t.Errorf("%s has no sharding key: %q", table.name, table.shard)
		}
	}
}

// A Replicated database chooses the paths in Keeper, and repeats by itself what is done in it.
func TestReplicatedDatabase(t *testing.T) {
	c := Default()
	c.Cluster = "history"
	one, other := newServer("one"), newServer("other")
	one.engine, other.engine = "Replicated", "Replicated"
	steps, err := c.plan(state{servers: []*server{one, other}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(texts(steps), ";\n")
	for _, text := range []string{"ON CLUSTER", "CREATE DATABASE", "{replica}", "Keeper"} {
		if strings.Contains(all, text) {
			t.Errorf("a statement has %s", text)
		}
	}
	for _, text := range []string{"ENGINE = ReplicatedMergeTree\n", "ENGINE = ReplicatedReplacingMergeTree(`known`)\n", "ENGINE = Distributed('history', 'sextant', 'flows_local', "} {
		if !strings.Contains(all, text) {
			t.Errorf("no statement has %s", text)
		}
	}
	other.engine = ""
	if _, err := c.plan(state{servers: []*server{one, other}}, nil); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "is Replicated, but not on other") {
		t.Errorf("error %v, want one that says where it is missing", err)
	}
}

// What one has that two do not is the cluster's name.
func TestAnotherCluster(t *testing.T) {
	c := Default()
	c.Cluster = "history"
	s := newServer("one")
	s.engine = "Atomic"
	s.tables["flows"] = &stateTable{engine: "Distributed('past', 'sextant', 'flows_local', cityHash64(id))", columns: map[string]string{}}
	s.tables["flows_local"] = &stateTable{engine: "ReplicatedMergeTree('/p', '{replica}') ORDER BY time", columns: map[string]string{}}
	for cluster, want := range map[string]string{
		"history": "is spread over the cluster past, and clickhouse.cluster is history",
		"":        "is spread over the cluster past; set clickhouse.cluster to that",
	} {
		c.Cluster = cluster
		if _, err := c.plan(state{servers: []*server{s}}, nil); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), want) {
			t.Errorf("cluster %q: error %v, want %s", cluster, err, want)
		}
	}
}
