package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// state is what the server has, or what the servers of the cluster have.
type state struct {
	servers []*server

	version, least uint32 // of the schema; 0 where nobody has noted them
	program        string // that noted them
	settled        bool   // so long ago that nobody can still be at it
}

type server struct {
	name   string                 // of the machine
	engine string                 // of the database; empty where there is none
	tables map[string]*stateTable // and views
}

func newServer(name string) *server { return &server{name: name, tables: map[string]*stateTable{}} }

type stateTable struct {
	engine     string            // everything after the columns, as the server prints it
	comment    string            //
	columns    map[string]string // types
	partitions []string          // identifiers of those that have rows
}

// has reports whether there is a table or view of a name.
func (s *server) has(name string) bool { return s.tables[name] != nil }

// share returns how many servers have how many of some tables, and how many that were if all had all.
func (s *state) share(tables []string) (have, all int) {
	for _, server := range s.servers {
		for _, name := range tables {
			if all++; server.has(name) {
				have++
			}
		}
	}
	return have, all
}

// split reports whether there are some of the tables, and some are missing.
func (s *state) split(tables []string) bool {
	have, all := s.share(tables)
	return 0 < have && have < all
}

// migrate leads the server to what it should have, and returns the statements that did it. It looks first, so that a user
// who may do nothing but insert can work with tables that somebody else has made.
//
// Several may be at it at once, and each may be killed at any moment. Nobody waits for anybody: it looks, does what follows
// from what it sees until that has changed what is to be seen, and looks again. Every statement can be repeated, and does no
// harm when others have done it long before, see rebuild.
func (c *conn) migrate(ctx context.Context) (done []string, err error) {
	var steps []step
	settled := false
	for range mostLooks {
		if c.have, err = c.state(ctx); err != nil {
			return done, err
		}
		if steps, err = c.cfg.plan(c.have, done); err != nil || len(steps) == 0 {
			return done, err
		}
		for _, s := range steps {
			if s.copies && !settled {
				if err := c.settle(ctx); err != nil {
					return done, err
				}
				settled = true
			}
			err := c.step(ctx, s)
			if s.look && ch.IsErr(err, proto.ErrTableAlreadyExists, proto.ErrUnknownTable, proto.ErrBadArguments) {
				break // somebody else was faster
			}
			if err != nil {
				return done, err
			}
			done = append(done, s.sql)
			if s.look {
				break
			}
		}
	}
	return done, fmt.Errorf("clickhouse at %s: database %s is not as it should be after %d looks, next is: %s; is another program changing its tables?",
		c.cfg.Address, c.cfg.Database, mostLooks, steps[0].sql)
}

const mostLooks = 50

// step runs one statement. How long rows take that have to be moved depends on how many there are: each step of it is
// progress, whatever becomes of the next.
func (c *conn) step(ctx context.Context, s step) error {
	limit := c.cfg.InsertTimeout
	if s.copies {
		limit = max(limit, copyTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if c.cfg.distribute != nil && !strings.HasPrefix(s.sql, "INSERT") {
		return c.cfg.distribute(ctx, s.sql)
	}
	return c.do(ctx, ch.Query{Body: s.sql})
}

const copyTimeout = time.Hour // of a day's connections

// settle waits for inserts that began before it. They may still go to a table that was renamed since.
func (c *conn) settle(ctx context.Context) error {
	running, err := c.inserts(ctx)
	for before := running; err == nil && len(running) > 0; {
		select {
		case <-ctx.Done():
			return c.cfg.ended(ctx, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
		if running, err = c.inserts(ctx); err != nil {
			return err
		}
		for id := range running {
			if !before[id] {
				delete(running, id)
			}
		}
	}
	return err
}

// inserts returns the inserts into our database that are running, of those that we may see.
func (c *conn) inserts(ctx context.Context) (map[string]bool, error) {
	running := map[string]bool{}
	var id proto.ColStr
	err := c.do(ctx, ch.Query{
		Body: "SELECT query_id AS id FROM system.processes WHERE query_kind = 'Insert' AND query_id != queryID() AND position(query, " +
			quote("`"+c.cfg.Database+"`.") + ") > 0",
		Result: proto.Results{{Name: "id", Data: &id}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range id.Rows() {
				running[id.Row(i)] = true
			}
			return nil
		},
	})
	return running, err
}

// What a row of the question for the state tells.
const (
	tellsServer = iota
	tellsDatabase
	tellsEngine
	tellsComment
	tellsColumn
	tellsPartition
)

func (c *conn) state(ctx context.Context) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.InsertTimeout)
	defer cancel()
	question := fmt.Sprintf("SELECT toUInt8(%[1]d) AS what, '' AS t, '' AS n, hostName() AS x"+
		" UNION ALL SELECT toUInt8(%[2]d), '', '', engine FROM system.databases WHERE name = %[7]s"+
		" UNION ALL SELECT toUInt8(%[3]d), name, '', engine_full FROM system.tables WHERE database = %[7]s"+
		" UNION ALL SELECT toUInt8(%[4]d), name, '', comment FROM system.tables WHERE database = %[7]s"+
		" UNION ALL SELECT toUInt8(%[5]d), table, name, type FROM system.columns WHERE database = %[7]s"+
		" UNION ALL SELECT DISTINCT toUInt8(%[6]d), table, partition_id, '' FROM system.parts WHERE database = %[7]s AND active AND rows > 0",
		tellsServer, tellsDatabase, tellsEngine, tellsComment, tellsColumn, tellsPartition, quote(c.cfg.Database))
	have, err := c.servers(ctx, c.cfg.everywhere(question))
	switch {
	case ch.IsErr(err, proto.ErrClusterDoesntExist):
		return have, c.cfg.fault(err, "it knows of no cluster %s; set clickhouse.cluster to one of its remote_servers (SELECT DISTINCT cluster FROM system.clusters)", c.cfg.Cluster)
	case c.cfg.Cluster != "" && ch.IsErr(err, proto.ErrAccessDenied): // who may do nothing but insert relies on others
		have, err = c.servers(ctx, here(question))
	}
	if there, all := have.share(c.cfg.historyTables()); err != nil || there < all {
		return have, err
	}
	return have, c.history(ctx, &have)
}

// servers asks each server what it has.
func (c *conn) servers(ctx context.Context, question string) (state, error) {
	servers := map[uint32]*server{}
	var number proto.ColUInt32
	var what proto.ColUInt8
	var table, name, text proto.ColStr
	err := c.do(ctx, ch.Query{
		Body:   question,
		Result: proto.Results{{Name: "server", Data: &number}, {Name: "what", Data: &what}, {Name: "t", Data: &table}, {Name: "n", Data: &name}, {Name: "x", Data: &text}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range table.Rows() {
				s := servers[number.Row(i)]
				if s == nil {
					s = newServer("")
					servers[number.Row(i)] = s
				}
				s.add(what.Row(i), table.Row(i), name.Row(i), text.Row(i))
			}
			return nil
		},
	})
	var have state
	for _, number := range slices.Sorted(maps.Keys(servers)) {
		have.servers = append(have.servers, servers[number])
	}
	return have, err
}

func (s *server) add(what uint8, table, name, text string) {
	switch what {
	case tellsServer:
		s.name = text
		return
	case tellsDatabase:
		s.engine = text
		return
	}
	t := s.tables[table]
	if t == nil {
		t = &stateTable{columns: map[string]string{}}
		s.tables[table] = t
	}
	switch what {
	case tellsEngine:
		t.engine = text
	case tellsComment:
		t.comment = text
	case tellsColumn:
		t.columns[name] = text
	case tellsPartition:
		t.partitions = append(t.partitions, name)
	}
}

// history reads the version of the schema. A user who may only insert may not, and then what there is has to do.
func (c *conn) history(ctx context.Context, have *state) error {
	var newest, oldest proto.ColUInt32
	var program proto.ColStr
	var settled proto.ColUInt8
	err := c.do(ctx, ch.Query{
		Body: "SELECT max(version) AS newest, argMax(least, version) AS oldest, argMax(program, version) AS made_by," +
			" toUInt8(argMax(time, version) < now() - INTERVAL 1 DAY) AS settled FROM " + path(c.cfg.Database, historyTable),
		Result: proto.Results{
			{Name: "newest", Data: &newest}, {Name: "oldest", Data: &oldest}, {Name: "made_by", Data: &program}, {Name: "settled", Data: &settled},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range newest.Rows() {
				have.version, have.least, have.program, have.settled = newest.Row(i), oldest.Row(i), program.Row(i), settled.Row(i) != 0
			}
			return nil
		},
	})
	if ch.IsErr(err, proto.ErrAccessDenied) {
		have.version, have.least = version, least
		return nil
	}
	return err
}

// connectInTime connects, and not for longer than an insert may take.
func (c *Config) connectInTime(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.InsertTimeout)
	defer cancel()
	return connect(ctx, c, nil)
}

// Plan connects and returns the statements that the next start would run, and changes nothing. With none, all is as it
// should be. An error says why rows could not be stored, or that the schema is of a newer program (ErrNewer).
func (c Config) Plan(ctx context.Context) ([]string, error) {
	conn, err := c.connectInTime(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	have, err := conn.state(ctx)
	if err != nil {
		return nil, err
	}
	steps, err := c.plan(have, nil)
	return texts(steps), err
}

// Migrate connects, leads the schema to what it should be, and returns the statements that did it, those before an error,
// too. It takes as long as rows take that have to be moved: only connecting has a limit of its own.
func (c Config) Migrate(ctx context.Context) ([]string, error) {
	conn, err := c.connectInTime(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	return conn.migrate(ctx)
}

func texts(steps []step) []string {
	all := make([]string, len(steps))
	for i, s := range steps {
		all[i] = s.sql
	}
	return all
}

// firstLine is what a log says of a statement.
func firstLine(statement string) string {
	first, _, _ := strings.Cut(statement, "\n")
	return strings.TrimSuffix(first, " (")
}
