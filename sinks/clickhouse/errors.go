package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	driver "github.com/ClickHouse/clickhouse-go/v2"

	"sextant/collector"
)

// fault is an error as a sentence for a person, who has no use for the layers that it came through. They stay in reach
// of errors.Is.
type fault struct {
	text  string
	cause error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

func (c *Config) fault(cause error, format string, args ...any) error {
	return &fault{"clickhouse at " + c.Address + ": " + fmt.Sprintf(format, args...), cause}
}

// alert is the operation under which crypto/tls returns what the other side objects to.
const alert = "remote error"

// explainDial says why there is no connection.
func (c *Config) explainDial(ctx context.Context, err error) error {
	var (
		untrusted *tls.CertificateVerificationError
		plain     tls.RecordHeaderError
		name      *net.DNSError
		op        *net.OpError
	)
	switch {
	case over(ctx):
		return c.ended(ctx, err)
	case errors.As(err, &untrusted):
		return c.fault(err, "certificate not trusted: %v; check clickhouse.tls.ca_file and clickhouse.tls.server_name", untrusted.Err)
	case errors.As(err, &plain):
		return c.fault(err, "does not speak TLS; check the port in clickhouse.address (with TLS usually 9440) and clickhouse.tls.enabled")
	case errors.As(err, &name):
		return c.fault(err, "%s; check clickhouse.address", name.Err)
	case errors.As(err, &op) && op.Timeout():
		return c.fault(err, "no answer within %s; check clickhouse.address and what filters traffic on the way", dialTimeout)
	case errors.As(err, &op) && op.Op == alert:
		return c.fault(err, "refuses the TLS connection: %v; check clickhouse.tls.cert_file", op.Err)
	case errors.As(err, &op):
		return c.fault(err, "%v; check clickhouse.address and that the server runs", op.Err)
	}
	return c.fault(err, "%v", err)
}

// explainLogin says why the server did not let us in.
func (c *Config) explainLogin(ctx context.Context, err error) error {
	var op *net.OpError
	_, answered := ch.AsException(err)
	switch {
	case over(ctx):
		return c.ended(ctx, err)
	case ch.IsErr(err, proto.ErrAuthenticationFailed, proto.ErrUnknownUser, proto.ErrWrongPassword, proto.ErrRequiredPassword):
		return c.fault(err, "login as %q refused; check clickhouse.username and clickhouse.password_file", c.Username)
	case answered:
		return c.explain(ctx, err)
	case errors.As(err, &op) && op.Op == alert: // with TLS 1.3 a refused client certificate shows only now
		return c.fault(err, "refuses the TLS connection: %v; check clickhouse.tls.cert_file", op.Err)
	}
	reason := innermost(err).Error()
	if strings.Contains(reason, "packet") && strings.Contains(reason, "72") { // the letter H
		reason = "the answer is HTTP"
	}
	return c.fault(err, "login broke off: %s; check that clickhouse.address has the port of the native protocol (9000, with TLS 9440) and clickhouse.tls.enabled", reason)
}

// explain says why a query failed.
func (c *Config) explain(ctx context.Context, err error) error {
	if over(ctx) {
		return c.ended(ctx, err)
	}
	e, ok := ch.AsException(err)
	if !ok {
		return c.fault(err, "connection broke: %v", innermost(err))
	}
	text := serverText(e.Message, int(e.Code))
	if c.Cluster != "" && e.IsCode(proto.ErrAllConnectionTriesFailed) {
		return c.fault(err, "of a shard of the cluster %s no server can be reached: %s", c.Cluster, text)
	}
	if e.IsCode(proto.ErrAccessDenied, proto.ErrReadonly) {
		return c.fault(err, "%s; grant user %q what is missing", text, c.Username)
	}
	return c.fault(err, "%s", text)
}

// over reports whether ctx has ended. The connection may notice a deadline before ctx itself does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

func (c *Config) ended(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return c.fault(errors.Join(context.Canceled, err), "%v", context.Canceled)
	}
	return c.fault(errors.Join(context.DeadlineExceeded, err), "not done in time (clickhouse.insert_timeout is %s)", c.InsertTimeout)
}

// rejection marks the error of an insert where the rows themselves are what the server objects to. Everything else, a
// missing table or right or a full disk, an operator can mend while the rows wait.
func rejection(err error) error {
	if e, ok := ch.AsException(err); ok && refusedForGood(e) {
		return &fault{err.Error(), errors.Join(collector.ErrRejected, err)}
	}
	return err
}

func refusedForGood(e *ch.Exception) bool {
	if e.IsCode(proto.ErrTooManyParts) { // also what a server says that is behind with merging
		return strings.Contains(e.Message, "single INSERT block")
	}
	return e.IsCode(
		proto.ErrArgumentOutOfBound,
		proto.ErrValueIsOutOfRangeOfDataType,
		proto.ErrDecimalOverflow,
		proto.ErrIncorrectData,
		proto.ErrTooLargeStringSize,
		proto.ErrViolatedConstraint,
		proto.ErrCannotParseText,
		proto.ErrCannotParseDatetime,
		proto.ErrCannotParseUUID,
		proto.ErrCannotParseNumber,
		proto.ErrCannotInsertNullInOrdinaryColumn,
		proto.ErrUnknownElementOfEnum,
	)
}

const longestServerText = 1000

// serverText makes one line of a server's exception.
func serverText(message string, code int) string {
	message = strings.TrimPrefix(message, "DB::Exception: ")
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > longestServerText {
		message = strings.ToValidUTF8(message[:longestServerText], "") + "…"
	}
	return fmt.Sprintf("%s (code %d)", message, code)
}

// explainQuery says why a query by hand failed, which was the first on its connection or a later one.
func (c *Config) explainQuery(ctx context.Context, err error, first bool) error {
	var (
		known *fault
		e     *driver.Exception
	)
	switch {
	case errors.As(err, &known): // from dial
		return known
	case errors.As(err, &e) && first:
		return c.explainLogin(ctx, &ch.Exception{Code: proto.Error(e.Code), Message: e.Message})
	case errors.As(err, &e):
		return &fault{serverText(e.Message, int(e.Code)), err}
	case ctx.Err() != nil:
		return ctx.Err()
	case first:
		return c.explainLogin(ctx, err)
	}
	return c.fault(err, "%v", innermost(err))
}

// innermost returns the cause at the end of a chain.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
