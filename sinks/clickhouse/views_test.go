package clickhouse_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/sinks/clickhouse"
)

// made returns the configuration of a database with tables and views, filled by statements.
func made(t *testing.T, statements ...string) clickhouse.Config {
	t.Helper()
	c := config(t)
	if err := sink(t, c).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		query(t, c, statement)
	}
	return c
}

// rows returns a text's lines without the tabs before them.
func rows(text string) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

const noon = "(since = '2026-11-01 12:00:00', until = '2026-11-01 13:00:00')"

// Who is expected from when to when, and what was observed of that.
func TestCompleteness(t *testing.T) {
	c := made(t, "INSERT INTO heartbeats (cluster, node, `from`, `to`, flows) VALUES"+`
			('a', 'always',    '2026-11-01 11:00:00', '2026-11-01 12:30:00', 5), ('a', 'always', '2026-11-01 12:30:00', '2026-11-01 13:00:00', 5),
			('a', 'silent',    '2026-11-01 11:00:00', '2026-11-01 12:30:00', 1),
			('a', 'long_silent', '2026-11-01 02:00:00', '2026-11-01 02:01:00', 1),
			('a', 'watched_by_two', '2026-11-01 11:00:00', '2026-11-01 12:40:00', 1), ('a', 'watched_by_two', '2026-11-01 12:20:00', '2026-11-01 13:10:00', NULL),
			('a', 'hidden',    '2026-11-01 11:00:00', '2026-11-01 13:00:00', 1),
			('a', 'left',      '2026-11-01 11:00:00', '2026-11-01 12:30:00', 1),
			('a', 'came',      '2026-11-01 12:30:00', '2026-11-01 13:00:00', 1),
			('a', 'begun',     '2026-11-01 11:00:00', '2026-11-01 13:00:00', 1),
			('b', 'clustered', '2026-11-01 12:00:00', '2026-11-01 13:00:00', 1),
			('c', 'begins',    '2026-11-01 12:30:00', '2026-11-01 13:00:00', 1)`,
		"INSERT INTO gaps (cluster, node, `from`, `to`, cause, count) VALUES"+`
			('a', 'watched_by_two', '2026-11-01 12:10:00', '2026-11-01 12:16:00', 'ring_overrun', 7), ('a', 'watched_by_two', '2026-11-01 12:13:00', '2026-11-01 12:19:00', 'lost_perf_ring', NULL),
			('a', 'hidden',      '2026-11-01 11:00:00', '2026-11-01 13:00:00', 'hidden_by_settings', NULL),
			('a', 'left',        '2026-11-01 12:30:00', '2026-11-01 12:30:00', 'node_gone', NULL),
			('a', 'unreachable', '2026-11-01 12:00:00', '2026-11-01 13:00:00', 'node_unavailable', NULL),
			('a', 'begun',       '1970-01-01 00:00:00', '2026-11-01 12:15:00', 'ring_wrapped', NULL),
			('b', '',            '2026-11-01 12:00:00', '2026-11-01 12:06:00', 'queue_full', 3)`,
		`INSERT INTO inventory (cluster, kind, family, name, time) VALUES
			('c', 'node', 'ipv6', 'begins', '2026-11-01 12:45:00'), ('c', 'node', 'ipv6', 'listed', '2026-11-01 12:45:00'), ('c', 'node', 'ipv4', 'listed', '2026-11-01 12:45:00')`)
	got := query(t, c, "SELECT cluster, node, expected_seconds, observed_seconds, completeness_percent, flows, lost_events, arrayStringConcat(causes, ' '), hidden FROM completeness"+noon+" ORDER BY cluster, node")
	want := strings.ReplaceAll(rows(`
		a|always|3600|3600|100|10|0||0
		a|begun|3600|2700|75|1|0|ring_wrapped|0
		a|came|1800|1800|100|1|0||0
		a|hidden|3600|3600|100|1|0|hidden_by_settings|1
		a|left|1800|1800|100|1|0|node_gone|0
		a|long_silent|3600|0|0|0|0||0
		a|silent|3600|1800|50|1|0||0
		a|unreachable|3600|0|0|0|0|node_unavailable|0
		a|watched_by_two|3600|3060|85|1|7|lost_perf_ring ring_overrun|0
		b|clustered|3600|3240|90|1|3|queue_full|0
		c|begins|3600|1800|50|1|0||0
		c|listed|900|0|0|0|0||0`), "|", "\t")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := query(t, c, "SELECT sum(expected_seconds) FROM completeness(since = now() - 60, until = now() + 3600)"); got != "0" {
		t.Errorf("%s seconds are expected of nodes that nobody has heard of for a day", got)
	}
}

// The newest minutes are not expected of a node whose heartbeat for them has not come yet, and the future of none.
func TestCompletenessOfNow(t *testing.T) {
	c := made(t, "INSERT INTO heartbeats (cluster, node, `from`, `to`) SELECT 'a', 'node', now64(9) - 7200, now64(9) - 50")
	if got := query(t, c, "SELECT completeness_percent FROM completeness(since = now() - 3600, until = now() + 3600)"); got != "100" {
		t.Errorf("completeness is %s", got)
	}
	if got := query(t, c, "SELECT round(completeness_percent) FROM completeness(since = now() - 7200 - 3600, until = now())"); got != "67" {
		t.Errorf("completeness is %s, though nobody watched for an hour", got)
	}
}

const dnsColumns = "INSERT INTO flows (time, cluster, l7_type, dns_query, dns_types, dns_rcode, dns_answers, destination_namespace, destination_workload) VALUES "

// Why it was not IPv6.
func TestCauses(t *testing.T) {
	const columns = "INSERT INTO connections (first, last, id, cluster, direction, family, class, outcome, source_namespace, source_workload, destination_name, destination_ip, destination_port, avoidable_ipv4, fallback_of, embedded_ipv4) VALUES "
	connection := func(id, family, class, outcome, workload, name, ip, more string) string {
		return columns + "('2026-11-01 12:10:00', '2026-11-01 12:10:01', '00000000-0000-0000-0000-0000000000" + id + "', 'a', 'egress', '" + family + "', '" + class + "', '" + outcome +
			"', 'shop', '" + workload + "', '" + name + "', '" + ip + "', 443, " + more + ")"
	}
	answer := func(name, types, answers, workload string) string {
		return dnsColumns + "('2026-11-01 12:00:00', 'a', 'response', '" + name + "', ['" + types + "'], 0, [" + answers + "], 'shop', '" + workload + "')"
	}
	const nothing, plain = "'00000000-0000-0000-0000-000000000000'", "0, '00000000-0000-0000-0000-000000000000', '::'"
	c := made(t,
		answer("both.example.", "A", "'::ffff:192.0.2.1'", "asks"),
		answer("both.example.", "AAAA", "'2001:db8::1'", "other"),
		answer("four.example.", "AAAA", "", "other"),
		answer("made-up.example.", "AAAA", "'64:ff9b::c000:203'", "other"),
		answer("nobody.example.", "A", "'::ffff:192.0.2.4'", "asks"),
		answer("denied.example.", "AAAA", "'2001:db8::5'", "asks"),
		connection("01", "ipv4", "nat44", "answered", "asks", "both.example", "::ffff:192.0.2.1", plain),
		connection("02", "ipv4", "nat44", "answered", "asks", "four.example", "::ffff:192.0.2.2", plain),
		connection("03", "ipv4", "nat44", "answered", "asks", "made-up.example", "::ffff:192.0.2.3", plain),
		connection("04", "ipv4", "nat44", "answered", "asks", "nobody.example", "::ffff:192.0.2.4", plain),
		connection("05", "ipv4", "nat44", "answered", "asks", "denied.example", "::ffff:192.0.2.5", plain),
		connection("06", "ipv6", "nat66", "denied", "asks", "denied.example", "2001:db8::5", plain),
		connection("07", "ipv4", "nat44", "answered", "asks", "", "::ffff:192.0.2.7", plain),
		connection("08", "ipv4", "nat44", "answered", "asks_nobody", "", "::ffff:192.0.2.8", plain),
		connection("09", "ipv4", "nat44", "answered", "asks", "retry.example", "::ffff:192.0.2.9", "0, '00000000-0000-0000-0000-0000000000ff', '::'"),
		connection("10", "ipv4", "nat44", "unanswered", "asks", "avoidable.example", "::ffff:192.0.2.10", "1, "+nothing+", '::'"),
		connection("11", "ipv6", "nat64", "answered", "asks", "six.example", "2001:db8:64::c000:20b", "0, "+nothing+", '::ffff:192.0.2.11'"),
		connection("12", "ipv4", "nat44", "denied", "asks", "never.example", "::ffff:192.0.2.12", plain),
		connection("13", "ipv6", "nat66", "answered", "asks", "both.example", "2001:db8::1", plain),
	)
	got := query(t, c, "SELECT destination, address, class, cause, connections, failed, completeness_percent FROM ipv4_dependencies"+noon+" ORDER BY toIPv6(address)")
	want := strings.ReplaceAll(rows(`
		both.example|192.0.2.1|nat44|application|1|0|0
		four.example|192.0.2.2|nat44|no_aaaa|1|0|0
		made-up.example|192.0.2.3|nat44|no_aaaa|1|0|0
		nobody.example|192.0.2.4|nat44|unknown|1|0|0
		denied.example|192.0.2.5|nat44|policy|1|0|0
		192.0.2.7|192.0.2.7|nat44|literal|1|0|0
		192.0.2.8|192.0.2.8|nat44|unknown|1|0|0
		retry.example|192.0.2.9|nat44|fallback|1|0|0
		avoidable.example|192.0.2.10|nat44|application|1|1|0
		six.example|192.0.2.11|nat64|no_aaaa|1|0|0`), "|", "\t")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := query(t, c, "SELECT arrayStringConcat(arraySort(groupArray(destination)), ' ') FROM unexpected_ipv4_egress"+noon); got != "192.0.2.7 192.0.2.8 avoidable.example both.example denied.example nobody.example" {
		t.Errorf("unexpected are %s", got)
	}
}

// What is stored twice is told once.
func TestViewsCountOnce(t *testing.T) {
	connection := func(flows string) string {
		return "INSERT INTO connections (flows, first, last, id, cluster, direction, family, class, outcome, source_ip, destination_ip, fallen_back, fallback_ms, destination_service) VALUES " +
			"(" + flows + ", '2026-11-01 12:10:00', '2026-11-01 12:10:01', '00000000-0000-0000-0000-000000000001', 'a', 'egress', 'ipv6', 'nat66', 'answered', '2001:db8::1', '2001:db8::2', 1, 250, 'shop/web')"
	}
	pull := func(ms string) string {
		return "INSERT INTO pulls (duration_ms, time, id, registry, repository, tag, pulls) VALUES (" + ms + ", '2026-11-01 12:10:00', '00000000-0000-0000-0000-000000000001', 'registry.example', 'shop/web', '1', 3)"
	}
	answer := func(second string) string {
		return dnsColumns + "('2026-11-01 12:00:0" + second + "', 'a', 'response', 'www.example.', ['AAAA'], 0, ['2001:db8::2'], 'shop', 'web')"
	}
	c := made(t, "SYSTEM STOP MERGES connections", "SYSTEM STOP MERGES pulls", connection("4"), connection("5"), pull("1"), pull("2"), answer("1"), answer("2"),
		"INSERT INTO inventory (cluster, kind, family, namespace, name, has_family, time) VALUES ('a', 'service', 'ipv6', 'shop', 'web', 'yes', '2026-11-01 12:10:00')")
	for sql, want := range map[string]string{
		"SELECT count(), sum(connections) FROM ipv6_adoption" + noon:                                                             "1\t1",
		"SELECT count(), sum(connections) FROM translation_paths" + noon:                                                         "1\t1",
		"SELECT sum(attempts), sum(lost_seconds) FROM fallbacks" + noon:                                                          "1\t0.25",
		"SELECT service, used, ipv6 FROM service_families" + noon:                                                                "web\tipv6\t1",
		"SELECT count(), any(source_address) FROM each_connection":                                                               "1\t2001:db8::1",
		"SELECT sum(pulls), any(image) FROM image_pulls":                                                                         "3\tregistry.example/shop/web:1",
		"SELECT name, toString(min(aaaa_first)), max(no_aaaa_last) FROM names GROUP BY name":                                     "www.example\t2026-11-01 12:00:01.000000000\tNULL",
		"SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table IN ('connections', 'pulls')": "4",
	} {
		sql += " SETTINGS final = 0" // which DB sets, and Grafana does not
		if got := query(t, c, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// Of a connection that several parts of a table have, over midnight and in five rows at most, each view counts one: the one
// that knows most.
func TestViewsCountOnceUnmerged(t *testing.T) {
	statements := []string{
		"SYSTEM STOP MERGES connections",
		"INSERT INTO inventory (cluster, kind, family, namespace, name, has_family, time) VALUES ('a', 'service', 'ipv4', 'shop', 'web', 'yes', '2026-11-01 12:10:00')",
	}
	for part, outcome := range []string{"unanswered", "unknown", "answered", "answered", "unanswered"} {
		// Collectors may differ in the begin, but not by more than its grain.
		statements = append(statements, fmt.Sprintf("INSERT INTO connections (flows, first, last, id, cluster, direction, family, class, outcome, source_workload, source_ip, destination_ip, "+
			"fallen_back, fallback_ms, destination_service) SELECT %d, toDateTime64('2026-11-01 12:00:00', 9) + number * 100 + %[1]d AS first, first, toUUID(concat('00000000-0000-0000-0000-', leftPad(toString(number), 12, '0'))), "+
			"'a', 'egress', 'ipv4', 'nat44', '%s', 'web', toIPv6('::ffff:10.0.0.1'), toIPv6('::ffff:192.0.2.1'), 1, 250, 'shop/web' FROM numbers(1000) WHERE number %% %d = 0", part, outcome, part+1))
	}
	c := made(t, statements...)
	const days = "(since = '2026-11-01 00:00:00', until = '2026-11-03 00:00:00')"
	answered := query(t, c, "SELECT countIf(number % 3 = 0 OR number % 4 = 0) FROM numbers(1000)") // an answer is known better than none
	failed := query(t, c, "SELECT countIf(NOT (number % 3 = 0 OR number % 4 = 0)) FROM numbers(1000)")
	for sql, want := range map[string]string{
		"SELECT sum(connections), sum(failed_ipv4) FROM ipv6_adoption" + days:                                                 answered + "\t" + failed,
		"SELECT sum(connections) FROM translation_paths" + days:                                                               "1000",
		"SELECT sum(connections), sum(failed) FROM ipv4_dependencies" + days:                                                  "1000\t" + failed,
		"SELECT sum(connections), sum(failed) FROM unexpected_ipv4_egress" + days:                                             "1000\t" + failed,
		"SELECT sum(attempts), sum(lost_seconds) FROM fallbacks" + days:                                                       "1000\t250",
		"SELECT ipv4, failed_ipv4 FROM service_families" + days:                                                               answered + "\t" + failed,
		"SELECT count(), uniqExact(id), countIf(outcome = 'answered') FROM each_connection":                                   "1000\t1000\t" + answered,
		"SELECT count(), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'connections'": "10\t2284",
	} {
		sql += " SETTINGS final = 0"
		if got := query(t, c, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
