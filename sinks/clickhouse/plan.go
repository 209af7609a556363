package clickhouse

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// step is a statement on the way to what the server should have.
type step struct {
	sql    string
	look   bool // what follows depends on what is there after it
	copies bool // rows of a table that nobody should write to any more
}

// plan returns the steps that lead from what the server has to what it should have, and the last notes the version.
// Nothing is taken away: what a newer program has added stays. Where the schema as a whole is a newer program's, there are
// none. done are statements that were run before.
func (c Config) plan(have state, done []string) ([]step, error) {
	if err := c.refusal(have); err != nil {
		return nil, err
	}
	if err := c.misfit(have); err != nil {
		return nil, err
	}
	p := planner{cfg: &c, have: have.copy(), on: c.onCluster(have)}
	if have.version > version {
		return nil, p.check()
	}
	if err := p.begin(); err != nil || have.split(c.historyTables()) {
		return p.steps, err
	}
	for _, t := range c.schema() {
		if err := p.table(t); err != nil {
			return nil, err
		}
	}
	for _, r := range c.rollups() {
		if err := p.rollup(r); err != nil {
			return nil, err
		}
	}
	for _, v := range c.views() {
		p.view(v)
	}
	for _, t := range c.schema() {
		p.carry(t)
	}
	if have.version < version {
		p.add(c.enter(append(done, texts(p.steps)...)))
	}
	return p.steps, nil
}

// planner gathers steps, and knows what there will be after them. What any server lacks is done on all of them: every
// statement can be repeated.
type planner struct {
	cfg   *Config
	have  state
	on    string // where statements are run, see onCluster
	here  *server
	steps []step
}

func (p *planner) add(sql string) *step {
	i := slices.IndexFunc(p.steps, func(s step) bool { return s.sql == sql })
	if i < 0 {
		i = len(p.steps)
		p.steps = append(p.steps, step{sql: sql})
	}
	return &p.steps[i]
}

func (s state) copy() state {
	servers := make([]*server, len(s.servers))
	for i, old := range s.servers {
		servers[i] = &server{old.name, old.engine, maps.Clone(old.tables)}
	}
	s.servers = servers
	return s
}

// begin makes the database and the history of its versions. Where some servers have that and some do not, the version is to
// be seen only after it.
func (p *planner) begin() error {
	for _, s := range p.have.servers {
		if s.engine == "" {
			p.add("CREATE DATABASE IF NOT EXISTS `" + p.cfg.Database + "`" + p.on)
		}
	}
	return p.table(history())
}

// check returns what is wrong with the tables, without a way to mend it.
func (p *planner) check() error {
	for _, s := range p.have.servers {
		for _, whole := range p.cfg.schema() {
			for _, t := range p.tables(whole) {
				if old := s.tables[t.name]; old != nil {
					if _, err := t.alter(p.at(t.name), old); err != nil {
						return p.wrong(t, err)
					}
				}
			}
		}
	}
	return nil
}

func (p *planner) wrong(t table, err error) error {
	return p.cfg.fault(err, "table %s.%s, %v, or use another clickhouse.database", p.cfg.Database, t.name, err)
}

func (p *planner) table(whole table) error {
	for _, t := range p.tables(whole) {
		for _, p.here = range p.have.servers {
			if err := p.part(t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) part(t table) error {
	if err := p.rebuild(t); err != nil {
		return err
	}
	old := p.here.tables[t.name]
	if old == nil {
		p.add(t.create(p.at(t.name)))
		p.here.tables[t.name] = t.made()
		return nil
	}
	changes, err := t.alter(p.at(t.name), old)
	if err != nil {
		return p.wrong(t, err)
	}
	for _, change := range changes {
		p.add(change).look = strings.HasSuffix(change, removeTTL) // which cannot be repeated
	}
	return nil
}

const removeTTL = "REMOVE TTL"

// made is what the server has of a table that was just made.
func (t table) made() *stateTable {
	s := &stateTable{engine: strings.TrimPrefix(t.options, "ENGINE = "), columns: map[string]string{}}
	for _, col := range t.columns {
		s.columns[col.name] = col.typ
	}
	return s
}

// rollup makes a roll-up's table and what feeds it, and adds up the rows that were there before.
func (p *planner) rollup(r rollup) error {
	if err := p.table(r.table); err != nil {
		return err
	}
	target, feed, query := p.tables(r.table)[0].name, r.table.name+"_feed", p.onLocal(r.query)
	comment := stamp("feeds "+r.table.name, query)
	fed := false // of the rows that are there
	for _, s := range p.have.servers {
		old := s.tables[feed]
		fed = fed || old != nil && old.comment == comment
		switch {
		case old == nil:
			p.add("CREATE MATERIALIZED VIEW IF NOT EXISTS " + p.at(feed) + " TO " + path(p.cfg.Database, target) + "\nAS " + query + "\nCOMMENT " + quote(comment))
		case old.comment != comment:
			p.add("ALTER TABLE " + p.at(feed) + " MODIFY QUERY " + query)
			p.add("ALTER TABLE " + p.at(feed) + " MODIFY COMMENT " + quote(comment))
		}
	}
	if !fed && p.have.rows() {
		p.add("INSERT INTO " + path(p.cfg.Database, r.table.name) + "\n" + r.query)
	}
	return nil
}

// rows reports whether any table has rows.
func (s *state) rows() bool {
	for _, server := range s.servers {
		for _, t := range server.tables {
			if len(t.partitions) > 0 {
				return true
			}
		}
	}
	return false
}

func (p *planner) view(v view) {
	query := p.onAll(v.query)
	comment := stamp(v.comment, query)
	for _, s := range p.have.servers {
		if old := s.tables[v.name]; old == nil || old.comment != comment {
			p.add("CREATE OR REPLACE VIEW " + p.at(v.name) + "\nAS " + query + "\nCOMMENT " + quote(comment))
		}
	}
}

// stamp adds to a comment by what the text is known again, which the server keeps in words of its own.
func stamp(comment, text string) string {
	return fmt.Sprintf("%s [%08x]", comment, crc32.ChecksumIEEE([]byte(text)))
}

// A table whose rows are to become one by key cannot be altered to be so: a new one takes its place, and the rows follow.
//
//	1  NAME_next is made, empty, as NAME should be.
//	2  NAME is renamed NAME_former and NAME_next is renamed NAME, in one statement. From here on rows come to the new one.
//	3  Partition after partition is copied from NAME_former, and then dropped there.
//	4  A day later NAME_former, which is empty, is dropped.
//
// Whoever is late with 2 fails, because there is a NAME_former already: so that name means the old table and nothing else for
// as long as anybody can be late. A partition that is copied twice has its rows once, by their key; one is dropped by who has
// copied it. Inserts that had begun before 2 are waited for before 3.
//
// A server that is killed in the middle of 2 leaves no NAME. The next to look finishes it.
func (p *planner) rebuild(t table) error {
	db, next, former := p.cfg.Database, t.name+nextSuffix, t.name+formerSuffix
	now := p.here.tables[t.name]
	switch {
	case !t.keyed(), p.cfg.Cluster != "": // where tables have had their keys from the beginning
	case now != nil && now.plain() && p.here.has(former):
		return p.cfg.fault(errTwoFormer, "database %s: %s and %s are both %v; INSERT INTO %[3]s SELECT * FROM %[2]s, DROP TABLE %[2]s, and start again",
			db, t.name, former, errTwoFormer)
	case now != nil && now.plain():
		blank := t
		blank.name = next
		if !p.here.has(next) {
			p.add(blank.create(path(db, next)))
		}
		p.add("RENAME TABLE " + path(db, t.name) + " TO " + path(db, former) + ", " + path(db, next) + " TO " + path(db, t.name)).look = true
		p.here.tables[t.name], p.here.tables[former] = t.made(), now
	case now == nil && p.here.has(next):
		p.add("RENAME TABLE " + path(db, next) + " TO " + path(db, t.name)).look = true
		p.here.tables[t.name] = t.made()
	case p.here.has(next): // of one who was late
		p.add("DROP TABLE IF EXISTS " + path(db, next))
	}
	return nil
}

// carry moves the rows of a table that was rebuilt.
func (p *planner) carry(t table) {
	former := p.here.tables[t.name+formerSuffix]
	if former == nil || !t.keyed() || p.cfg.Cluster != "" {
		return
	}
	from, to := path(p.cfg.Database, t.name+formerSuffix), path(p.cfg.Database, t.name)
	var names []string
	for _, col := range t.columns {
		if former.columns[col.name] != "" && col.materialized == "" {
			names = append(names, "`"+col.name+"`")
		}
	}
	list := strings.Join(names, ", ")
	for _, id := range slices.Sorted(slices.Values(former.partitions)) {
		p.add("INSERT INTO " + to + " (" + list + ")\nSELECT " + list + "\nFROM " + from + " WHERE _partition_id = " + quote(id)).copies = true
		p.add("ALTER TABLE " + from + " DROP PARTITION ID " + quote(id)).copies = true
	}
	switch {
	case len(former.partitions) > 0:
		p.steps[len(p.steps)-1].look = true
	case p.have.version >= version && p.have.settled:
		p.add("DROP TABLE IF EXISTS " + from)
	}
}

// errTwoFormer is what an old program leaves that makes its table in the middle of 2, which the server did not survive.
var errTwoFormer = errors.New("of an older version")

const nextSuffix, formerSuffix = "_next", "_former"

// keyed reports whether rows of one key become one.
func (t table) keyed() bool { return strings.HasPrefix(t.options, "ENGINE = ReplacingMergeTree") }

// plain reports whether every row stays.
func (s *stateTable) plain() bool {
	return s.engine == "MergeTree" || strings.HasPrefix(s.engine, "MergeTree ")
}

// alter returns the statements that make a table of a full name what it should be, or why that cannot be.
func (t table) alter(name string, old *stateTable) (statements []string, err error) {
	do := func(format string, args ...any) {
		statements = append(statements, "ALTER TABLE "+name+" "+fmt.Sprintf(format, args...))
	}
	after := "FIRST"
	for _, col := range t.columns {
		if have, ok := old.columns[col.name]; !ok {
			do("ADD COLUMN IF NOT EXISTS %s %s", col, after)
		} else if typ, err := widen(have, col.words); err != nil {
			return nil, fmt.Errorf("column %s: %w", col.name, err)
		} else if typ != have {
			do("MODIFY COLUMN `%s` %s", col.name, typ)
		} else if !takes(have, col.typ) {
			return nil, fmt.Errorf("column %s: its type is %s, which does not hold all that a %s does; ALTER TABLE %s MODIFY COLUMN `%s` %[3]s",
				col.name, have, col.typ, name, col.name)
		}
		after = "AFTER `" + col.name + "`"
	}
	switch ttl, known := ttlOf(old.engine); {
	case !known || ttl == t.ttl:
	case t.ttl == 0:
		do(removeTTL)
	default:
		do("MODIFY TTL %s", t.ttlText())
	}
	return statements, nil
}

var dictionaryType = regexp.MustCompile(`LowCardinality\((\w+|Nullable\(\w+\))\)`)

// takes reports whether a column of the type have keeps all that is in one of the type want.
func takes(have, want string) bool {
	have, want = dictionaryType.ReplaceAllString(have, "$1"), dictionaryType.ReplaceAllString(want, "$1")
	for _, wrapper := range []string{"Array(", "Nullable("} {
		if strings.HasPrefix(have, wrapper) && strings.HasPrefix(want, wrapper) {
			return takes(inside(have, wrapper), inside(want, wrapper))
		}
	}
	if strings.HasPrefix(have, "Nullable(") {
		have = inside(have, "Nullable(")
	}
	var wide, narrow int
	_, errHave := fmt.Sscanf(have, "UInt%d", &wide)
	_, errWant := fmt.Sscanf(want, "UInt%d", &narrow)
	switch {
	case have == want, errHave == nil && errWant == nil && wide >= narrow:
		return true
	case strings.HasPrefix(want, "Enum8("): // whose words have been looked at, see widen
		return have == "String" || strings.HasPrefix(have, "Enum8(") || strings.HasPrefix(have, "Enum16(")
	case strings.HasPrefix(want, "DateTime64(9"):
		return strings.HasPrefix(have, "DateTime64(9")
	}
	return false
}

func inside(typ, wrapper string) string {
	return strings.TrimSuffix(strings.TrimPrefix(typ, wrapper), ")")
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
			return "", fmt.Errorf("%d stands for %q in the table, but for %q in this program; rename the table", n, word, words[n])
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
			return "", fmt.Errorf("%q is %d in the table, but %d in this program; rename the table", w, n, i)
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
