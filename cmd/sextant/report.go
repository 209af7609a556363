package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"sextant/collector/bucket"
	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/sinks/clickhouse"
)

type reportCmd struct {
	kong.Plugins
	Format  string `help:"Form of the report: text or json." enum:"text,json" default:"text"`
	Service string `help:"Only this limit, by its name in the catalogue." placeholder:"NAME"`
	Cluster string `help:"Only this cluster."`
	Since   string `help:"Begin of the time in which buckets were full at most: how long ago (90m, 7d) or a time (2026-11-24T03:27:00Z)." default:"24h" placeholder:"TIME"`
	Until   string `help:"When buckets are as full as is told." default:"0s" placeholder:"TIME"`
	DataDir string `env:"SEXTANT_DATA_DIR" help:"Where to look for the engine of sextant demo when no --clickhouse is given." default:"${data_dir}" placeholder:"DIR"`

	cfg      clickhouse.Config
	limits   bucket.Config
	settings sections
}

func (cmd *reportCmd) init() {
	cmd.cfg, cmd.limits = clickhouse.Default(), bucket.Default()
	cmd.cfg.Address = ""
	cmd.settings = sections{newSection("clickhouse", false, &cmd.cfg), newSection("rate_limits", false, &cmd.limits)}
	cmd.Plugins = cmd.settings.plugins()
}

// report is what is known of rate limits when a window ends.
type report struct {
	Since    time.Time       `json:"since"`
	Until    time.Time       `json:"until"`
	Observed []shareReport   `json:"observed"` // of each cluster; none: nothing was
	Limits   []limitReport   `json:"limits"`
	Warnings []warningReport `json:"warnings"`
}

// shareReport is how much of its nodes' time was observed of a cluster.
type shareReport struct {
	Cluster string  `json:"cluster"`
	Percent float64 `json:"completeness_percent"`
}

// limitReport is one limit with its buckets, the fullest first, and what would become of them in other networks.
type limitReport struct {
	Service       string           `json:"service"`
	Title         string           `json:"title"`
	Unit          string           `json:"unit"`
	Limit         *uint64          `json:"limit"` // null where none is published
	WindowSeconds uint64           `json:"window_seconds"`
	Scope         string           `json:"scope"`
	Note          string           `json:"note"`
	Source        string           `json:"source"`
	Date          string           `json:"date"`
	Confidence    string           `json:"confidence"`
	Buckets       []map[string]any `json:"buckets"` // columns of the view rate_limit_exposure
	WhatIf        []outlookReport  `json:"what_if"`
}

type outlookReport struct {
	Scenario string   `json:"scenario"`
	Doc      string   `json:"doc"`
	Buckets  int      `json:"buckets"`
	Fullest  uint64   `json:"fullest"`
	Share    *float64 `json:"share"` // of the limit; null where that is not known
	Over     int      `json:"over"`
}

type warningReport struct {
	Cluster  string   `json:"cluster"`
	Word     string   `json:"word"`
	Prefix   string   `json:"prefix"`
	Nodes    []string `json:"nodes"`
	Services []string `json:"services"`
	Text     string   `json:"text"`
}

// Run asks and prints the report.
func (cmd *reportCmd) Run(a *app) error {
	cmd.settings.apply()
	r := &report{Observed: []shareReport{}, Limits: []limitReport{}, Warnings: []warningReport{}}
	var err error
	if r.Since, r.Until, err = stretch(cmd.Since, cmd.Until, time.Now().UTC()); err != nil {
		return err
	}
	if err := cmd.limits.Validate(); err != nil {
		return err
	}
	catalogue, err := bucket.ReadCatalogue(cmd.limits.Catalogue)
	if err != nil {
		return fmt.Errorf("rate_limits.catalogue: %w", err)
	}
	if _, ok := catalogue.Find(cmd.Service); cmd.Service != "" && !ok {
		var names []string
		for _, l := range catalogue.Limits() {
			names = append(names, l.Name)
		}
		return fmt.Errorf("--service: no limit is called %q%s\nsextant docs limits prints all that come with Sextant", cmd.Service, nearest(cmd.Service, names))
	}
	db, err := openStore(&cmd.cfg, cmd.DataDir)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := cmd.fill(a.ctx, r, db, catalogue); err != nil {
		return err
	}
	if cmd.Format == "json" {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(r)
	}
	return r.print(a.stdout)
}

// fill asks the store for what the report tells.
func (cmd *reportCmd) fill(ctx context.Context, r *report, db *clickhouse.DB, catalogue *bucket.Catalogue) error {
	values := window(r.Since, r.Until)
	values["cluster"], values["service"] = cmd.Cluster, cmd.Service
	shares, err := ask(clickhouse.WithParameters(ctx, values), db, observedQuery)
	if err != nil {
		return fmt.Errorf("ask for what was observed: %w", err)
	}
	for _, row := range shares {
		percent, _ := strconv.ParseFloat(fmt.Sprint(row["percent"]), 64)
		r.Observed = append(r.Observed, shareReport{fmt.Sprint(row["cluster"]), percent})
	}
	rows, err := ask(clickhouse.WithParameters(ctx, values), db, exposureQuery)
	if err != nil {
		return fmt.Errorf("ask for buckets: %w", err)
	}
	demand, err := askDemand(ctx, db, values, catalogue)
	if err != nil {
		return fmt.Errorf("ask for charges: %w", err)
	}
	if r.Warnings, err = askWarnings(ctx, db, values, catalogue, cmd.limits); err != nil {
		return fmt.Errorf("ask for the inventory: %w", err)
	}
	outlooks := map[string][]outlookReport{}
	for _, o := range bucket.WhatIf(demand, catalogue) {
		outlooks[o.Service] = append(outlooks[o.Service], outlookOf(o))
	}
	of := map[string]int{}
	for _, row := range rows {
		service := fmt.Sprint(row["service"])
		i, ok := of[service]
		if !ok {
			i = len(r.Limits)
			of[service] = i
			r.Limits = append(r.Limits, newLimitReport(service, row, catalogue))
			r.Limits[i].WhatIf = append([]outlookReport{}, outlooks[service]...)
		}
		delete(row, "service")
		r.Limits[i].Buckets = append(r.Limits[i].Buckets, row)
	}
	return nil
}

const observedQuery = `SELECT cluster, round(100 * sum(observed_seconds) / sum(expected_seconds), 2) AS percent
FROM completeness(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
WHERE expected_seconds > 0 AND ({cluster:String} = '' OR cluster = {cluster:String})
GROUP BY cluster ORDER BY cluster`

const exposureQuery = `SELECT service, cluster, bucket, family, evidence, used, limit, headroom, window_seconds, peak_used, peak_time, per_hour,
    exhausted_in_seconds, used_evidence, unseen, limited, measure, unit, nodes, namespaces, pods, top_workloads, top_nodes, top_images
FROM rate_limit_exposure(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
WHERE ({cluster:String} = '' OR cluster = {cluster:String}) AND ({service:String} = '' OR service = {service:String})
ORDER BY max(if(limit > 0, used / limit, 0)) OVER (PARTITION BY service) DESC, service, if(limit > 0, used / limit, 0) DESC, used DESC, bucket, family`

func newLimitReport(service string, row map[string]any, catalogue *bucket.Catalogue) limitReport {
	one := limitReport{Service: service, Unit: fmt.Sprint(row["unit"]), WindowSeconds: number(row["window_seconds"])}
	if l, ok := catalogue.Find(service); ok {
		one.Title, one.Unit, one.Scope, one.Note = l.Title, l.Unit, l.Scope, l.Note
		one.Source, one.Date, one.Confidence = l.Source, l.Date, l.Confidence
		one.WindowSeconds = uint64(l.Window / time.Second)
		if l.Allowed > 0 {
			one.Limit = &l.Allowed
		}
	}
	return one
}

func outlookOf(o bucket.Outlook) outlookReport {
	one := outlookReport{Scenario: o.Scenario, Buckets: o.Buckets, Fullest: o.Fullest, Over: o.Over}
	for _, s := range bucket.Scenarios {
		if s.Name == o.Scenario {
			one.Doc = s.Doc
		}
	}
	if o.Limit > 0 {
		share := float64(o.Fullest) / float64(o.Limit)
		one.Share = &share
	}
	return one
}

// demandQuery adds up the uses in each limit's own window.
const demandQuery = `WITH transform(service, {services:Array(String)}, {windows:Array(UInt32)}, toUInt32(0)) AS seconds, greatest(1, intDiv(seconds, 72)) AS grain,
    intDiv(toUnixTimestamp(time), grain) AS begun, intDiv(toUnixTimestamp({until:DateTime64(3, 'UTC')}), grain) AS last
SELECT service, node, if(pod = '', '', concat(namespace, '/', pod)) AS of_pod, bucket, toString(family) AS of_family, side = 'host' AS host, measure = 'pull' AS pull, sum(uses) AS amount
FROM charges
WHERE seconds > 0 AND begun <= last AND begun > toInt64(last) - intDiv(seconds + grain - 1, grain) AND time > {until:DateTime64(3, 'UTC')} - toIntervalSecond({longest:UInt32})
    AND ({cluster:String} = '' OR cluster = {cluster:String}) AND ({service:String} = '' OR service = {service:String})
GROUP BY ALL LIMIT 1000000`

func askDemand(ctx context.Context, db *clickhouse.DB, values map[string]string, catalogue *bucket.Catalogue) ([]bucket.Demand, error) {
	var services, windows []string
	longest := uint64(0)
	for _, l := range catalogue.Limits() {
		seconds := uint64(l.Window / time.Second)
		services = append(services, "'"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(l.Name)+"'")
		windows = append(windows, strconv.FormatUint(seconds, 10))
		longest = max(longest, seconds+seconds/72+1)
	}
	values["services"], values["windows"] = "["+strings.Join(services, ",")+"]", "["+strings.Join(windows, ",")+"]"
	values["longest"] = strconv.FormatUint(longest, 10)
	rows, err := ask(clickhouse.WithParameters(ctx, values), db, demandQuery)
	if err != nil {
		return nil, err
	}
	var demand []bucket.Demand
	for _, row := range rows {
		d := bucket.Demand{
			Service: fmt.Sprint(row["service"]), Node: fmt.Sprint(row["node"]), Pod: fmt.Sprint(row["of_pod"]), Bucket: fmt.Sprint(row["bucket"]),
			Host: number(row["host"]) == 1, Pull: number(row["pull"]) == 1, Uses: number(row["amount"]),
		}
		switch row["of_family"] {
		case flow.FamilyIPv4.String():
			d.Family = flow.FamilyIPv4
		case flow.FamilyIPv6.String():
			d.Family = flow.FamilyIPv6
		}
		demand = append(demand, d)
	}
	return demand, nil
}

// inventoryQuery returns the newest inventory's nodes and their prefixes, and whether pods of a cluster were seen to leave
// with addresses of their own.
const inventoryQuery = `SELECT cluster, toString(kind) AS what, if(kind = 'node', name, node) AS of_node, arrayMap(a -> toString(a), addresses) AS all, prefix,
    cluster IN (SELECT cluster FROM charges WHERE side = 'pod' AND family = 'ipv6' AND source_ip = egress_ip AND time >= {since:DateTime64(3, 'UTC')} AND time <= {until:DateTime64(3, 'UTC')}) AS native
FROM inventory
WHERE kind IN ('node', 'node_prefix') AND ({cluster:String} = '' OR cluster = {cluster:String})
    AND (cluster, time) IN (SELECT cluster, max(time) FROM inventory GROUP BY cluster)
ORDER BY cluster, of_node`

func askWarnings(ctx context.Context, db *clickhouse.DB, values map[string]string, catalogue *bucket.Catalogue, cfg bucket.Config) ([]warningReport, error) {
	rows, err := ask(clickhouse.WithParameters(ctx, values), db, inventoryQuery)
	if err != nil {
		return nil, err
	}
	names := flow.NewInterner()
	type of struct {
		addresses []netip.Addr
		prefixes  []netip.Prefix
		native    bool
	}
	clusters := map[string]map[string]*of{}
	var order []string
	for _, row := range rows {
		cluster, node := fmt.Sprint(row["cluster"]), fmt.Sprint(row["of_node"])
		if clusters[cluster] == nil {
			clusters[cluster] = map[string]*of{}
			order = append(order, cluster)
		}
		if clusters[cluster][node] == nil {
			clusters[cluster][node] = &of{native: number(row["native"]) == 1}
		}
		one := clusters[cluster][node]
		for _, text := range texts(row["all"]) {
			if a, err := netip.ParseAddr(text); err == nil {
				one.addresses = append(one.addresses, a.Unmap())
			}
		}
		if p, err := netip.ParsePrefix(fmt.Sprint(row["prefix"])); err == nil {
			one.prefixes = append(one.prefixes, p)
		}
	}
	all := []warningReport{}
	for _, cluster := range order {
		facts := &bucket.Facts{Nodes: map[flow.Name]bucket.Node{}}
		for name, one := range clusters[cluster] {
			n := verdict.Node{Addresses: one.addresses}
			masquerade := flow.Unknown
			if one.native {
				masquerade = flow.No
			}
			facts.Nodes[names.Name(name)] = bucket.Node{
				IPv4: n.Egress(flow.FamilyIPv4), IPv6: n.Egress(flow.FamilyIPv6), PodCIDRs: one.prefixes, Masquerade: masquerade,
			}
		}
		for _, w := range bucket.Warn(facts, catalogue, cfg) {
			all = append(all, warningReport{cluster, w.Word, w.Prefix, w.Nodes, w.Services, w.Text})
		}
	}
	return all, nil
}

// print writes the report for people.
func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "Rate limits at %s, and how full buckets were at most since %s\n", r.Until.Format(time.DateTime), r.Since.Format(time.DateTime))
	for _, share := range r.Observed {
		fmt.Fprintf(w, "  %s: %v %% of its nodes' time since then was observed", printable(share.Cluster), share.Percent)
		if share.Percent < 100 {
			fmt.Fprint(w, ": numbers are the least that they can be")
		}
		fmt.Fprintln(w)
	}
	if len(r.Observed) == 0 {
		fmt.Fprintln(w, "  nothing was observed in this time, so that none of what is missing below is a no")
	}
	if len(r.Limits) == 0 {
		fmt.Fprintln(w, "\nNo use of a limited service was seen.")
	}
	for i := range r.Limits {
		if err := r.Limits[i].print(w); err != nil {
			return err
		}
	}
	if len(r.Limits) > 0 {
		fmt.Fprint(w, legend)
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintln(w, "\nBefore it hurts")
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "  %s: %s\n", printable(warning.Cluster), printable(warning.Text))
	}
	return nil
}

const legend = `
How to read it
  used         uses in the service's own window; + where what nodes did themselves is missing, ? where a number is not known
  at most      the most that it was in such a window
  an hour      uses an hour, at the speed of the last sixth of the window, or of a short window as a whole
  full in      when the limit is reached at that speed; - where it is not going to be
  known        how it is known with which address these uses leave, and whether they were counted or the service told them (probed)
  shared by    whose uses these are
  most by      the five that used most; what nodes did themselves is no workload's
  otherwise    uses in the fullest bucket, its share of the limit, how many buckets are over it
`

func (l *limitReport) print(w io.Writer) error {
	allows := "an unpublished number of"
	if l.Limit != nil {
		allows = strconv.FormatUint(*l.Limit, 10)
	}
	fmt.Fprintf(w, "\n%s: %s\n  %s %s in %s, %s\n  known from %s, %s, confidence %s\n", printable(l.Service), l.Title,
		allows, l.Unit, bucket.Span(time.Duration(l.WindowSeconds)*time.Second), l.Scope, l.Source, l.Date, or(l.Confidence, "unknown"))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  bucket\tfamily\tused\tlimit\tleft\tat most\tan hour\tfull in\tknown\tshared by")
	for _, b := range l.Buckets {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s, %s\t%s, %s, %s\n",
			or(printable(fmt.Sprint(b["bucket"])), "not known"), b["family"], usedText(b), known(b["limit"]), known(b["headroom"]), known(b["peak_used"]),
			known(b["per_hour"]), fullIn(b["exhausted_in_seconds"]), b["evidence"], b["used_evidence"], plural(b["nodes"], "node"), plural(b["pods"], "pod"), plural(b["namespaces"], "namespace"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	connections := slices.ContainsFunc(l.Buckets, func(b map[string]any) bool { return b["measure"] == flow.MeasureConnection.String() })
	if connections && l.Unit != "connections" {
		fmt.Fprintf(w, "  where only connections show, and not what is in them, each counts as one of the %s\n", l.Unit)
	}
	for _, b := range l.Buckets {
		name := or(printable(fmt.Sprint(b["bucket"])), "not known")
		for _, top := range []struct{ key, label string }{{"top_workloads", "workloads"}, {"top_images", "images"}, {"top_nodes", "nodes"}} {
			if list := texts(b[top.key]); len(list) > 0 {
				fmt.Fprintf(w, "  %s: most by %s: %s\n", name, top.label, printable(strings.Join(list, ", ")))
			}
		}
		if b["bucket"] == "" {
			fmt.Fprintf(w, "  %s: with which address these leave nobody knows, so that all of %s are taken for one: rate_limits.pools can say it\n", name, b["family"])
		}
		if n := number(b["limited"]); n > 0 {
			fmt.Fprintf(w, "  %s: %d uses were refused as too many\n", name, n)
		}
		switch b["unseen"] {
		case flow.UnseenNode.String():
			fmt.Fprintf(w, "  %s: what nodes did themselves, image pulls among it, does not show and is missing\n", name)
		case flow.UnseenUnknown.String():
			fmt.Fprintf(w, "  %s: whether what nodes did themselves shows is not known\n", name)
		}
	}
	if len(l.WhatIf) > 0 && l.Limit != nil {
		fmt.Fprintln(w, "  The same uses otherwise:")
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, o := range l.WhatIf {
			share := "?"
			if o.Share != nil {
				share = fmt.Sprintf("%.0f %%", 100**o.Share)
			}
			fmt.Fprintf(table, "    %s\t%d in the fullest of %d\t%s\t%d over\t%s\n", o.Scenario, o.Fullest, o.Buckets, share, o.Over, o.Doc)
		}
		return table.Flush()
	}
	return nil
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// known writes a number that may not be known.
func known(v any) string {
	if v == nil {
		return "?"
	}
	return fmt.Sprint(v)
}

// usedText marks what may be more.
func usedText(b map[string]any) string {
	if b["used"] != nil && b["unseen"] == flow.UnseenNode.String() {
		return known(b["used"]) + "+"
	}
	return known(b["used"])
}

func plural(v any, word string) string {
	n := number(v)
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func fullIn(v any) string {
	switch {
	case v == nil:
		return "-"
	case number(v) == 0:
		return "full"
	}
	return (time.Duration(number(v)) * time.Second).String()
}

// number reads a number of a row, 0 for what is none.
func number(v any) uint64 {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
		return 0
	case nil:
		return 0
	}
	n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
	if n < 0 {
		return 0
	}
	return uint64(n)
}

// texts reads a list of a row.
func texts(v any) []string {
	list, _ := v.([]any)
	all := make([]string, 0, len(list))
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	return all
}
