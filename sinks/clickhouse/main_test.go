package clickhouse_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// config returns the configuration for an empty database of the shared engine. Rows are kept for ever, as those of the
// tests are old.
func config(t testing.TB) clickhouse.Config {
	t.Helper()
	server := embeddedtest.Start(t)
	c := clickhouse.Default()
	c.Address, c.Database = server.Addr(), embeddedtest.Database(t, server)
	return forEver(c)
}

// own returns the configuration for an engine of the test's own, for tests that may cost it its life.
func own(t testing.TB) (clickhouse.Config, *embedded.Server) {
	t.Helper()
	server := embeddedtest.Own(t)
	c := clickhouse.Default()
	c.Address = server.Addr()
	return forEver(c), server
}

func forEver(c clickhouse.Config) clickhouse.Config {
	c.TTLFlows, c.TTLConnections, c.TTLGaps, c.TTLPulls, c.TTLInventory, c.StoreUUID, c.StoreLabels = 0, 0, 0, 0, 0, true, true
	return c
}

func sink(t testing.TB, c clickhouse.Config) *clickhouse.Sink {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s := clickhouse.New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	t.Cleanup(s.Close)
	return s
}

func write(t testing.TB, s *clickhouse.Sink, token string, batches ...*flow.Batch) {
	t.Helper()
	if err := s.Write(t.Context(), collector.Delivery{Token: token, Batches: batches}); err != nil {
		t.Fatal(err)
	}
}

func batch(records ...flow.Record) *flow.Batch { return &flow.Batch{Records: records} }

// query returns the answer as lines, values separated by tabs.
func query(t testing.TB, c clickhouse.Config, sql string) string {
	t.Helper()
	var lines []string
	for _, row := range values(t, c, sql) {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = clickhouse.Text(v)
		}
		lines = append(lines, strings.Join(cells, "\t"))
	}
	return strings.Join(lines, "\n")
}

func values(t testing.TB, c clickhouse.Config, sql string) [][]any {
	t.Helper()
	rows := ask(t, c, sql)
	var all [][]any
	for row, err := range rows.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, append([]any(nil), row...))
	}
	return all
}

func ask(t testing.TB, c clickhouse.Config, sql string) *clickhouse.Rows {
	t.Helper()
	db := open(t, c)
	rows, err := db.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

func open(t testing.TB, c clickhouse.Config) *clickhouse.DB {
	t.Helper()
	db, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func names(in *flow.Interner, texts ...string) flow.Names {
	list := make([]flow.Name, len(texts))
	for i, text := range texts {
		list[i] = in.Name(text)
	}
	return in.Names(list)
}

// proxy forwards connections to an address. between may wrap or replace what goes through, per connection.
func proxy(t testing.TB, listener net.Listener, to string, between func(client, server net.Conn)) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			context.AfterFunc(ctx, func() { client.Close(); server.Close() })
			go between(client, server)
		}
	}()
	return listener.Addr().String()
}

func forward(client, server net.Conn) {
	go func() { io.Copy(client, server); client.Close() }()
	io.Copy(server, client)
	server.Close()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
