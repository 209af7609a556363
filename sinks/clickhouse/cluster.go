package clickhouse

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
)

// In a cluster the rows of a table lie in NAME_local, of which every server has its part, and NAME is a Distributed table
// over all of them, through which everybody writes and reads. So views, queries and inserts are the same as with one server.
//
// A row is stored by table.shard, which rows that may become one have in common: one shard has all of them, and its FINAL is
// right. It depends on the row alone, so that an insert that is sent again is cut in the same way, and every shard knows the
// token of its part. What is written under a token has the token on every replica: it stands in Keeper, with the part.

const localSuffix = "_local"

// gathers are the settings of a user whose query joins tables of a cluster: who asks gathers what a subquery answers, because
// no server has all of it.
const gathers = "distributed_product_mode = 'global'"

// onCluster is what a statement says after the name of what it is about.
func (c Config) onCluster(have state) string {
	if c.Cluster == "" || have.replicated() { // such a database repeats the statement everywhere by itself
		return ""
	}
	return " ON CLUSTER `" + c.Cluster + "`"
}

// replicated reports whether the database hands on what is done in it to its other servers.
func (s *state) replicated() bool {
	for _, server := range s.servers {
		if server.engine == "Replicated" {
			return true
		}
	}
	return false
}

// at returns what a statement calls a table or view.
func (p *planner) at(name string) string { return path(p.cfg.Database, name) + p.on }

// historyTables are the tables that hold the history of versions.
func (c Config) historyTables() []string {
	if c.Cluster == "" {
		return []string{historyTable}
	}
	return []string{historyTable + localSuffix, historyTable}
}

// everywhere returns a question that every server answers for itself, with its number in front. One that is away does not.
func (c Config) everywhere(question string) string {
	if c.Cluster == "" {
		return here(question)
	}
	return "SELECT _shard_num AS server, * FROM clusterAllReplicas(" + quote(c.Cluster) + ", view(" + question + ")) SETTINGS skip_unavailable_shards = 1"
}

// here returns the question for the server that we are connected to.
func here(question string) string { return "SELECT toUInt32(1) AS server, * FROM (" + question + ")" }

// settings are those of every query on a connection. An insert is answered when its rows are stored where they belong.
// Statements that are to run on every server are given up, with the names of those that have not, before we are.
func (c *Config) settings() []ch.Setting {
	if c.Cluster == "" {
		return nil
	}
	return []ch.Setting{
		{Key: "distributed_foreground_insert", Value: "1"},
		{Key: "distributed_product_mode", Value: "global"},
		{Key: "distributed_ddl_task_timeout", Value: strconv.Itoa(max(1, int(c.InsertTimeout/time.Second)/2))},
	}
}

// tables returns what a table is made of.
func (p *planner) tables(t table) []table {
	if p.cfg.Cluster == "" {
		return []table{t}
	}
	return []table{p.local(t), p.distributed(t)}
}

var mergeTree = regexp.MustCompile(`^ENGINE = (\w*MergeTree)(?:\((.+)\))?`)

// remembersLonger counts tokens as remembers does, and keeps them for as long as a spool may hold a delivery.
const remembersLonger = "replicated_deduplication_window = 1000, replicated_deduplication_window_seconds = 604800"

// local is the part of a table that one server has. A replica finds the others by the path in Keeper, which a Replicated
// database chooses itself.
func (p *planner) local(t table) table {
	m := mergeTree.FindStringSubmatch(t.options)
	t.name += localSuffix
	var args []string
	if !p.have.replicated() {
		args = append(args, quote("/clickhouse/tables/{shard}/"+p.cfg.Database+"/"+t.name), "'{replica}'")
	}
	if m[2] != "" {
		args = append(args, m[2])
	}
	engine := "ENGINE = Replicated" + m[1]
	if len(args) > 0 {
		engine += "(" + strings.Join(args, ", ") + ")"
	}
	t.options = engine + strings.TrimPrefix(t.options, m[0])
	t.settings = strings.Replace(t.settings, remembers, remembersLonger, 1)
	return t
}

// distributed is the table over all parts. Rows of a roll-up are summed up by who asks, so they may lie anywhere.
func (p *planner) distributed(t table) table {
	shard := t.shard
	if shard == "" {
		shard = "rand()"
	}
	return table{
		name: t.name, columns: t.columns, like: path(p.cfg.Database, t.name+localSuffix),
		options: fmt.Sprintf("ENGINE = Distributed(%s, %s, %s, %s)", quote(p.cfg.Cluster), quote(p.cfg.Database), quote(t.name+localSuffix), shard),
	}
}

// onLocal returns a query of tables as one of their parts, for what every server does with its own.
func (p *planner) onLocal(query string) string {
	if p.cfg.Cluster == "" {
		return query
	}
	var pairs []string
	for _, t := range p.cfg.schema() {
		pairs = append(pairs, path(p.cfg.Database, t.name), path(p.cfg.Database, t.name+localSuffix))
	}
	return strings.NewReplacer(pairs...).Replace(query)
}

// onAll returns a query of a view so that it may join what lies on several servers.
func (p *planner) onAll(query string) string {
	if p.cfg.Cluster == "" {
		return query
	}
	return query + "\nSETTINGS " + gathers
}

// ErrLayout says that the database was made for one server and the configuration is for a cluster, or the other way round.
var ErrLayout = errors.New("database is laid out otherwise")

var distributedOver = regexp.MustCompile(`^Distributed\('((?:[^'\\]|\\.)*)'`)

// misfit returns why the tables are not those that this configuration means. They are not turned into the others, because
// their rows would have to move, and nobody has said that they may.
func (c Config) misfit(have state) error {
	for _, s := range have.servers {
		if have.replicated() && s.engine != "Replicated" {
			return c.fault(ErrLayout, "database %s is Replicated, but not on %s; make it there as on the others (deploy/CLUSTER.md), "+
				"or take the server out of the cluster %s", c.Database, s.name, c.Cluster)
		}
		for _, t := range c.schema() {
			old := s.tables[t.name]
			if old == nil || old.engine == "" { // while it is being made
				continue
			}
			over := distributedOver.FindStringSubmatch(old.engine)
			switch local := s.tables[t.name+localSuffix] != nil; {
			case c.Cluster == "" && over != nil && local:
				return c.fault(ErrLayout, "database %s is spread over the cluster %s; set clickhouse.cluster to that, or use another clickhouse.database",
					c.Database, over[1])
			case c.Cluster != "" && over == nil:
				return c.fault(ErrLayout, "database %s has tables of one server on %s, which cannot become those of a cluster; use another clickhouse.database "+
					"and copy the rows (deploy/CLUSTER.md), or leave clickhouse.cluster empty", c.Database, s.name)
			case c.Cluster != "" && over[1] != c.Cluster:
				return c.fault(ErrLayout, "database %s is spread over the cluster %s, and clickhouse.cluster is %s; set it to that, or use another clickhouse.database",
					c.Database, over[1], c.Cluster)
			}
		}
	}
	return nil
}
