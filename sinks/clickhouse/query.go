package clickhouse

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"reflect"

	"github.com/ClickHouse/ch-go/proto"
	driver "github.com/ClickHouse/clickhouse-go/v2"
	driverlib "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// DB answers SQL by hand. It uses the general driver, which knows every type there is, where the sink uses the faster
// one.
type DB struct {
	cfg  *Config
	conn driver.Conn
}

// Open returns a DB. It connects with the first query; one query runs at a time.
func Open(cfg Config) (*DB, error) {
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	db := &DB{cfg: &cfg}
	options := &driver.Options{
		Addr:         []string{cfg.Address},
		Auth:         driver.Auth{Username: cfg.Username, Password: password},
		DialContext:  func(ctx context.Context, _ string) (net.Conn, error) { return db.cfg.dial(ctx) },
		DialTimeout:  loginTimeout,
		MaxOpenConns: 1,
		ReadTimeout:  1 << 62, // a query may take as long as its context lets it
	}
	if cfg.Compression == "lz4" {
		options.Compression = &driver.Compression{Method: driver.CompressionLZ4}
	}
	db.conn, err = driver.Open(options)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Close lets go of the connection.
func (db *DB) Close() error { return db.conn.Close() }

// Query runs one statement, in which tables without a database are ours, rows that are stored more than once are one
// (FINAL), and tables of a cluster can be joined, unless the user may not have it so. Rows must be read to the end before the next query. An error is one line, the
// server's own words.
func (db *DB) Query(ctx context.Context, sql string) (*Rows, error) {
	// Not at login: a database that does not exist yet must not keep us out, and a refused login ends the embedded engine.
	err := db.conn.Exec(ctx, "USE `"+db.cfg.Database+"`")
	var e *driver.Exception
	if err != nil && !(errors.As(err, &e) && e.Code == int32(proto.ErrUnknownDatabase)) {
		return nil, db.cfg.explainQuery(ctx, err, true)
	}
	if err := db.conn.Exec(ctx, "SET final = 1, "+gathers); err != nil && !(errors.As(err, &e) && e.Code == int32(proto.ErrReadonly)) {
		return nil, db.cfg.explainQuery(ctx, err, false)
	}
	ctx, cancel := context.WithCancel(ctx)
	rows, err := db.conn.Query(ctx, sql)
	switch {
	case err == io.EOF: //nolint:errorlint // bare, a statement that returns nothing, CREATE for one; wrapped, a lost connection
		cancel()
		return new(Rows), nil
	case err != nil:
		defer cancel()
		return nil, db.cfg.explainQuery(ctx, err, false)
	}
	r := &Rows{ctx: ctx, cancel: cancel, cfg: db.cfg, rows: rows}
	for _, t := range rows.ColumnTypes() {
		r.Columns = append(r.Columns, Column{t.Name(), t.DatabaseTypeName()})
		r.scan = append(r.scan, reflect.New(t.ScanType()).Interface())
	}
	return r, nil
}

// Rows is the answer to a query.
type Rows struct {
	Columns []Column

	ctx    context.Context
	cancel context.CancelFunc
	cfg    *Config
	rows   driverlib.Rows
	scan   []any
}

// Column is a column of an answer.
type Column struct {
	Name string
	Type string // in ClickHouse's words
}

// All returns the rows, once. A row's values are nil, bool, numbers, strings, []any and map[string]any; times are strings
// in RFC 3339, addresses as in RFC 5952 and IPv4 dotted. A row is valid until the next one.
func (r *Rows) All() iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		if r.rows == nil {
			return
		}
		defer r.rows.Close()
		defer r.cancel() // or Close waits for all rows
		row := make([]any, len(r.Columns))
		for r.rows.Next() {
			if err := r.rows.Scan(r.scan...); err != nil {
				yield(nil, err)
				return
			}
			for i, p := range r.scan {
				row[i] = plain(reflect.ValueOf(p).Elem(), r.Columns[i].Type)
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := r.rows.Err(); err != nil {
			yield(nil, r.cfg.explainQuery(r.ctx, err, false))
		}
	}
}
