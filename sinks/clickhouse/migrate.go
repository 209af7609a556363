package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

// state is what the server has.
type state struct {
	database bool
	tables   map[string]*stateTable
}

type stateTable struct {
	engine  string            // everything after the columns, as the server prints it
	columns map[string]string // types
}

// migrate makes the database, the tables and the columns that are missing, and returns the statements that did it. It
// looks first, so that a user who may do nothing but insert can work with tables that somebody else has made.
func (c *conn) migrate(ctx context.Context) ([]string, error) {
	have, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	c.have = have
	statements, err := plan(c.cfg.Database, c.cfg.schema(), have)
	if err != nil {
		return nil, c.cfg.fault(err, "%v; use another clickhouse.database", err)
	}
	for _, statement := range statements {
		if err := c.do(ctx, ch.Query{Body: statement}); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

func (c *conn) state(ctx context.Context) (state, error) {
	have := state{tables: map[string]*stateTable{}}
	database := quote(c.cfg.Database)
	var table, column, text proto.ColStr
	err := c.do(ctx, ch.Query{
		Body: "SELECT '' AS t, '' AS c, engine AS is FROM system.databases WHERE name = " + database +
			" UNION ALL SELECT name, '', engine_full FROM system.tables WHERE database = " + database +
			" UNION ALL SELECT table, name, type FROM system.columns WHERE database = " + database,
		Result: proto.Results{{Name: "t", Data: &table}, {Name: "c", Data: &column}, {Name: "is", Data: &text}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range table.Rows() {
				have.add(table.Row(i), column.Row(i), text.Row(i))
			}
			return nil
		},
	})
	return have, err
}

func (s *state) add(table, column, text string) {
	if table == "" {
		s.database = true
		return
	}
	t := s.tables[table]
	if t == nil {
		t = &stateTable{columns: map[string]string{}}
		s.tables[table] = t
	}
	if column == "" {
		t.engine = text
	} else {
		t.columns[column] = text
	}
}

// plan returns the statements that lead from what the server has to what it should have. Each can be repeated, and
// nothing is taken away: what a newer program has added stays.
func plan(database string, want []table, have state) (statements []string, err error) {
	if !have.database {
		statements = append(statements, "CREATE DATABASE IF NOT EXISTS `"+database+"`")
	}
	for _, t := range want {
		old := have.tables[t.name]
		if old == nil {
			statements = append(statements, t.create(database))
			continue
		}
		changes, err := t.alter(database, old)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s, %w", database, t.name, err)
		}
		statements = append(statements, changes...)
	}
	return statements, nil
}

func (t table) alter(database string, old *stateTable) (statements []string, err error) {
	do := func(format string, args ...any) {
		statements = append(statements, "ALTER TABLE "+path(database, t.name)+" "+fmt.Sprintf(format, args...))
	}
	after := "FIRST"
	for _, col := range t.columns {
		if have, ok := old.columns[col.name]; !ok {
			do("ADD COLUMN IF NOT EXISTS %s %s", col, after)
		} else if typ, err := widen(have, col.words); err != nil {
			return nil, fmt.Errorf("column %s: %w", col.name, err)
		} else if typ != have {
			do("MODIFY COLUMN `%s` %s", col.name, typ)
		}
		after = "AFTER `" + col.name + "`"
	}
	switch ttl, known := ttlOf(old.engine); {
	case !known || ttl == t.ttl:
	case t.ttl == 0:
		do("REMOVE TTL")
	default:
		do("MODIFY TTL %s", t.ttlText())
	}
	return statements, nil
}

var enumValue = regexp.MustCompile(`'((?:[^'\\]|\\.)*)' = (-?\d+)`)

// widen returns the enum type of a table with the words that it lacks. ClickHouse converts one enum to another by number,
// rows and inserts alike, so a number must never change its word.
func widen(typ string, words []string) (string, error) {
	if words == nil || !strings.HasPrefix(typ, "Enum8(") {
		return typ, nil
	}
	all, values := []string{}, map[string]int{}
	for _, m := range enumValue.FindAllStringSubmatch(typ, -1) {
		word := unquoter.Replace(m[1])
		n, _ := strconv.Atoi(m[2]) // the expression lets only digits through
		if n >= 0 && n < len(words) && words[n] != word {
			return "", fmt.Errorf("%d stands for %q in the table, but for %q in this program", n, word, words[n])
		}
		all = append(all, word)
		values[word] = n
	}
	had := len(all)
	for i, w := range words {
		if n, ok := values[w]; !ok {
			all = append(all, w)
			values[w] = i
		} else if n != i {
			return "", fmt.Errorf("%q is %d in the table, but %d in this program", w, n, i)
		}
	}
	if len(all) == had {
		return typ, nil
	}
	return enumText(all, values), nil
}

var (
	ttlClause = regexp.MustCompile(`\sTTL\s`)
	ttlAge    = regexp.MustCompile(`\sTTL .*\) \+ toInterval(Second|Minute|Hour|Day|Week)\((\d+)\)(?: SETTINGS|$)`)
	ttlUnit   = map[string]time.Duration{"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour, "Day": day, "Week": 7 * day}
)

// ttlOf reads the TTL out of a table's engine. It is not known where there can be none, and where somebody has set one of
// another form, which is left as it is.
func ttlOf(engine string) (ttl time.Duration, known bool) {
	if !strings.Contains(engine, "MergeTree") {
		return 0, false
	}
	if !ttlClause.MatchString(engine) {
		return 0, true
	}
	m := ttlAge.FindStringSubmatch(engine)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[2], 10, 32)
	return time.Duration(n) * ttlUnit[m[1]], err == nil
}
