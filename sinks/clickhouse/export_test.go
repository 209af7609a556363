package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"sextant/collector/flow"
)

// Version is that of the schema.
const Version = version

// Tokens returns the tokens under which rows are sent, by table.
func (s *Sink) Tokens(batches ...*flow.Batch) map[string]string {
	tokens := map[string]string{}
	s.each(batches, func(table, token string, _ func(string) error) { tokens[table] = token })
	return tokens
}

// Burn sends rows to a table under a token that is not theirs.
func (s *Sink) Burn(ctx context.Context, table, token string, batches ...*flow.Batch) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.conn = c
	defer s.Close()
	found := false
	s.each(batches, func(name, _ string, send func(string) error) {
		if name == table {
			found, err = true, send(token)
		}
	})
	if !found {
		return fmt.Errorf("no rows for %s", table)
	}
	return err
}

func (s *Sink) each(batches []*flow.Batch, fn func(table, token string, send func(string) error)) {
	for _, b := range batches {
		s.flows.add(b.Records)
		s.connections.add(b.Connections)
		s.gaps.add(b.Gaps)
		s.beats.add(b.Beats)
		s.pulls.add(b.Pulls)
		s.items.add(b.Items)
		s.charges.add(b.Charges)
		s.buckets.add(b.Buckets)
	}
	defer s.reset()
	told(s, s.flows, fn)
	told(s, s.connections, fn)
	told(s, s.gaps, fn)
	told(s, s.beats, fn)
	told(s, s.pulls, fn)
	told(s, s.items, fn)
	told(s, s.charges, fn)
	told(s, s.buckets, fn)
}

func told[R any](s *Sink, b *block[R], fn func(table, token string, send func(string) error)) {
	if len(b.rows) == 0 {
		return
	}
	b.fill(b.rows)
	fn(b.table, b.digest.of(b.table, b.input), func(token string) error {
		_, err := b.insert(context.Background(), s.conn, token)
		return err
	})
}

// Unreplicated returns the configuration for a cluster of engines that know neither ON CLUSTER nor replication: what is to
// be run on every server is handed to run, with tables that are not Replicated.
func (c Config) Unreplicated(run func(ctx context.Context, statement string) error) Config {
	c.distribute = func(ctx context.Context, statement string) error {
		statement = strings.Replace(c.Everywhere(statement), remembersLonger, remembers, 1)
		return run(ctx, replicatedEngine.ReplaceAllString(statement, "ENGINE = $1("))
	}
	return c
}

// Everywhere returns what a server runs of a statement that is to be run on every one.
func (c Config) Everywhere(statement string) string {
	return strings.Replace(statement, " ON CLUSTER `"+c.Cluster+"`", "", 1)
}

var replicatedEngine = regexp.MustCompile(`ENGINE = Replicated(\w*MergeTree)\('[^']*', '{replica}'(?:, )?`)
