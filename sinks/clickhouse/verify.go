package clickhouse

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"sextant/collector/flow"
)

// A table notes the token of an insert on disk, and only then puts the rows in their place (MergeTreeSink,
// MergeTreeDeduplicationLog::addPart). A server that is killed in between has burnt the token: it takes the next try for
// a repetition and answers that all is well, without the rows. So who tried before does not believe it, but looks.
//
// What it then sees is final. Token and rows are written under one lock of the table, so when the next try has its
// answer, an earlier one is either there to be seen or dead.
//
// The token is made of the rows (see digest), so that whoever sends the same block again sends the same token: a retry, a
// collector that has started anew, two that follow the same stream in step. An earlier process may have burnt it, too,
// hence the server's word that it has ignored an insert is a reason to look as well.
//
// A table that keeps one row of a key is another matter. A row that looks like ours may be somebody else's there, and one
// row more does no harm: its inserts have no token.

// write stores the rows of a delivery, each once. The first round is one insert of all. Where tokens of a round may have
// been sent by an earlier try, it looks for the rows of every part, and inserts those that are not there in the next
// round, each under a token of its own. It stops with a round whose tokens were never sent before, because what was
// answered with success is then stored: rows that somebody deletes meanwhile, a TTL for one, are inserted once more and
// no more often.
func (b *block[R]) write(ctx context.Context, s *Sink, tried bool) error {
	if len(b.rows) == 0 {
		return nil
	}
	b.fill(b.rows)
	if b.keyed {
		_, err := b.insert(ctx, s.conn, "")
		return err
	}
	if token := b.digest.of(b.table, b.input); b.token != token {
		b.token, b.rounds, b.blind = token, 0, false
	}
	earlier := b.rounds
	if tried {
		earlier = max(earlier, 1)
	}
	missing := []part[R]{{rows: b.rows}}
	if tried && !b.blind { // so long ago, maybe, that the server has forgotten the token
		parts := b.parts()
		absent, err := b.absent(ctx, s, parts, false)
		if err != nil {
			return err
		}
		if len(absent) < len(parts) {
			missing = absent
		}
	}
	for round := 0; len(missing) > 0; round++ {
		b.rounds = max(b.rounds, round+1)
		sentBefore := round < earlier
		for _, p := range missing {
			if p.len() < count(b.rows) {
				b.fill(p.rows)
			}
			if round > 0 && round >= earlier {
				s.metrics.burnt.Inc()
				s.logger.Warn("rows are not there though clickhouse took them for stored, as after it was killed; inserted again",
					"table", b.table, "day", p.day, "rows", p.len())
			}
			repeated, err := b.insert(ctx, s.conn, p.token(b.token, round))
			if err != nil {
				return err
			}
			sentBefore = sentBefore || repeated
		}
		if !sentBefore || b.blind {
			return nil
		}
		if round == 0 {
			missing = b.parts()
		}
		var err error
		if missing, err = b.absent(ctx, s, missing, true); err != nil {
			return err
		}
	}
	return nil
}

// part is rows of a delivery that ClickHouse stores together or not at all: those of a day where days are partitions.
type part[R any] struct {
	day  string // empty where they are not
	rows [][]R
}

func (p part[R]) token(token string, round int) string {
	switch {
	case round == 0:
		return token
	case round >= mostKnown:
		return token + "-" + rand.Text()
	}
	return fmt.Sprintf("%s-again%d-%s", token, round, p.day)
}

// mostKnown is how many tokens of a part others can know. It ends what would have no end: rows that a TTL takes at once,
// sent again and again by processes that know nothing of each other.
const mostKnown = 8

func (p part[R]) len() int { return count(p.rows) }

func count[R any](rows [][]R) (n int) {
	for _, run := range rows {
		n += len(run)
	}
	return n
}

// parts splits the rows without copying them. Those of a delivery are nearly all of one day.
func (b *block[R]) parts() []part[R] {
	if b.day == nil {
		return []part[R]{{rows: b.rows}}
	}
	var parts []part[R]
	index := map[string]int{}
	for _, run := range b.rows {
		for begin, end := 0, 0; begin < len(run); begin = end {
			day := b.dayOf(&run[begin])
			for end = begin + 1; end < len(run) && b.dayOf(&run[end]) == day; end++ {
			}
			i, ok := index[day]
			if !ok {
				i = len(parts)
				index[day] = i
				parts = append(parts, part[R]{day: day})
			}
			parts[i].rows = append(parts[i].rows, run[begin:end])
		}
	}
	return parts
}

func (b *block[R]) dayOf(r *R) string {
	return time.Unix(0, nanoseconds(b.day(r))).UTC().Format(time.DateOnly)
}

// absent returns the parts that are not stored, as far as that can be seen; others are believed to be stored, or not. After
// an answer that we may not look it is an error once, and the next try takes the server's word.
func (b *block[R]) absent(ctx context.Context, s *Sink, parts []part[R], believed bool) (absent []part[R], err error) {
	if s.cfg.Cluster != "" { // where a token is never without its rows, but a replica may be late to show them
		if believed {
			return nil, nil
		}
		return parts, nil
	}
	for _, p := range parts {
		condition := b.fingerprint(s.conn.have, &p.rows[0][0])
		if condition == "" {
			if !believed {
				absent = append(absent, p)
			}
			continue
		}
		there, err := s.conn.any(ctx, path(s.cfg.Database, b.table), condition)
		if ch.IsErr(err, proto.ErrAccessDenied) {
			b.blind = true
			s.logger.Warn("whether rows were stored cannot be seen, clickhouse is believed: grant SELECT, or a server that is killed can lose them",
				"table", b.table, "user", s.cfg.Username)
		}
		if err != nil {
			return nil, err
		}
		if !there {
			absent = append(absent, p)
		}
	}
	return absent, nil
}

// any reports whether a table has a row.
func (c *conn) any(ctx context.Context, table, condition string) (bool, error) {
	var found proto.ColUInt8
	rows := 0
	err := c.do(ctx, ch.Query{
		Body:   "SELECT toUInt8(1) AS found FROM " + table + " WHERE " + condition + " LIMIT 1",
		Result: proto.Results{{Name: "found", Data: &found}},
		OnResult: func(context.Context, proto.Block) error {
			rows += found.Rows()
			return nil
		},
	})
	return rows > 0, err
}

// fingerprint returns the condition that a row meets and hardly any other, by its times to the nanosecond, addresses,
// numbers and the checksums of its names, which are no text of ours to put into a query. Columns that somebody has made
// of another type hold another value and are left out. It is empty where we must not look: tables of other engines do
// not burn tokens, and may show their rows later.
func (b *block[R]) fingerprint(have state, r *R) string {
	var table *stateTable
	if len(have.servers) > 0 {
		table = have.servers[0].tables[b.table]
	}
	if table != nil && !strings.HasPrefix(table.engine, "MergeTree") {
		return ""
	}
	var conditions []string
	for i := range b.fields {
		f := &b.fields[i]
		typ, _ := columnType(f)
		if table != nil && table.columns[f.Name] != "" && table.columns[f.Name] != typ {
			continue
		}
		if c := condition(f, r); c != "" {
			conditions = append(conditions, c)
		}
	}
	return strings.Join(conditions, " AND ")
}

func condition[R any](f *flow.Field[R], r *R) string {
	column := "`" + f.Name + "`"
	number := func(n uint64) string { return column + " = " + strconv.FormatUint(n, 10) }
	switch {
	case f.Time != nil:
		return fmt.Sprintf("%s = fromUnixTimestamp64Nano(toInt64(%d), 'UTC')", column, nanoseconds(f.Time(r)))
	case f.UUID != nil:
		return fmt.Sprintf("%s = toUUID('%s')", column, uuid.UUID(f.UUID(r)))
	case f.Addr != nil:
		return fmt.Sprintf("%s = toIPv6('%s')", column, netip.AddrFrom16(ipv6(f.Addr(r))))
	case f.U8 != nil:
		return number(uint64(f.U8(r)))
	case f.U16 != nil:
		return number(uint64(f.U16(r)))
	case f.U32 != nil:
		return number(uint64(f.U32(r)))
	case f.U64 != nil:
		return number(f.U64(r))
	case f.Str != nil:
		return fmt.Sprintf("CRC32(%s) = %d", column, crc32.ChecksumIEEE([]byte(f.Str(r).Get())))
	}
	return ""
}
