package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

type sqlCmd struct {
	kong.Plugins
	Query   string `arg:"" optional:"" help:"Name of a query, as --list prints them, or SQL; without it, or with -, SQL is read from standard input."`
	List    bool   `help:"Print the names of all queries."`
	Show    bool   `help:"Print the query and its values as clickhouse-client takes them, and do not ask."`
	Format  string `help:"Form of the answer: table, json (an object a line) or csv." enum:"table,json,csv" default:"table"`
	DataDir string `env:"SEXTANT_DATA_DIR" help:"Where to look for the engine of sextant demo when no --clickhouse is given." default:"${data_dir}" placeholder:"DIR"`

	Since     string `help:"Begin of the window: how long ago (90m, 7d) or a time (2026-11-24T03:27:00Z). SQL takes this and what follows as its parameters: {since:DateTime64(3, 'UTC')}." default:"1h" placeholder:"TIME"`
	Until     string `help:"End of the window." default:"0s" placeholder:"TIME"`
	Cluster   string `help:"Only this cluster."`
	Namespace string `help:"Only this namespace."`
	Workload  string `help:"Only this workload."`
	Limit     uint32 `help:"Most rows." default:"50"`
	ID        string `help:"Id of a connection, as the query recent prints it." placeholder:"UUID"`
	Rate      uint32 `help:"Flows a second to plan for, for the query storage; without it as many as there were." placeholder:"NUMBER"`

	cfg      clickhouse.Config
	settings sections
}

func (cmd *sqlCmd) init() {
	cmd.cfg = clickhouse.Default()
	cmd.cfg.Address = ""
	cmd.settings = sections{newSection("clickhouse", false, &cmd.cfg)}
	cmd.Plugins = cmd.settings.plugins()
}

// Run asks and prints the answer.
func (cmd *sqlCmd) Run(a *app) error {
	if cmd.List {
		return listQueries(a.stdout)
	}
	cmd.settings.apply()
	if err := cmd.read(a.stdin); err != nil {
		return err
	}
	values, err := cmd.values(time.Now())
	if err != nil {
		return err
	}
	sql := strings.TrimRight(strings.TrimSpace(cmd.Query), ";")
	named, err := findQuery(sql)
	if err != nil {
		return err
	}
	if named != nil {
		if err := cmd.check(named); err != nil {
			return err
		}
		if cmd.Show {
			_, err := io.WriteString(a.stdout, named.Script(values))
			return err
		}
		sql = named.SQL
	} else if cmd.Show {
		return errors.New("--show is for the queries that --list prints")
	}
	db, err := openStore(&cmd.cfg, cmd.DataDir)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(clickhouse.WithParameters(a.ctx, values), sql)
	if err != nil {
		return err
	}
	return rows.Write(a.stdout, cmd.Format)
}

// read takes the query from standard input where none is given.
func (cmd *sqlCmd) read(stdin io.Reader) error {
	if cmd.Query != "" && cmd.Query != "-" {
		return nil
	}
	if f, ok := stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("no query: give a name that sextant sql --list prints, or SQL, as in sextant sql 'SELECT count() FROM flows'")
	}
	text, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read query: %w", err)
	}
	cmd.Query = string(text)
	return nil
}

// findQuery returns the query of that name, or nothing where the text is SQL.
func findQuery(text string) (*cookbook.Query, error) {
	if !cookbook.IsName(text) {
		return nil, nil
	}
	if q, ok := cookbook.Find(text); ok {
		return &q, nil
	}
	var known []string
	for _, q := range cookbook.Queries {
		known = append(known, q.Name)
	}
	return nil, fmt.Errorf("no query is called %q%s\nsextant sql --list prints all names", text, nearest(text, known))
}

// check finds flags that a query has no use for, lest they seem to have an effect, and those that it cannot do without.
func (cmd *sqlCmd) check(q *cookbook.Query) error {
	takes := map[string]bool{}
	for _, p := range q.Params() {
		takes[p.Name] = true
	}
	for _, flag := range []struct{ name, value string }{
		{"cluster", cmd.Cluster}, {"namespace", cmd.Namespace}, {"workload", cmd.Workload}, {"id", cmd.ID}, {"rate", cmd.rate()},
	} {
		if flag.value != "" && !takes[flag.name] {
			return fmt.Errorf("the query %s takes no --%s", q.Name, flag.name)
		}
	}
	if takes["id"] && cmd.ID == "" {
		return fmt.Errorf("the query %s needs --id; sextant sql recent prints those of the newest connections", q.Name)
	}
	return nil
}

// values returns what parameters of a query are given.
func (cmd *sqlCmd) values(now time.Time) (map[string]string, error) {
	since, until, err := stretch(cmd.Since, cmd.Until, now)
	if err != nil {
		return nil, err
	}
	values := window(since, until)
	values["cluster"], values["namespace"], values["workload"] = cmd.Cluster, cmd.Namespace, cmd.Workload
	values["limit"] = strconv.FormatUint(uint64(cmd.Limit), 10)
	values["rate"] = cmd.rate()
	if cmd.ID != "" {
		values["id"] = cmd.ID
	}
	return values, nil
}

func (cmd *sqlCmd) rate() string {
	if cmd.Rate == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(cmd.Rate), 10)
}

// window returns the values of a query about a stretch of time, without limits beside it.
func window(since, until time.Time) map[string]string {
	values := map[string]string{}
	for _, p := range cookbook.Params {
		values[p.Name] = p.Default
	}
	delete(values, "id")
	values["since"], values["until"] = clickhouse.TimeParameter(since), clickhouse.TimeParameter(until)
	return values
}

// stretch reads the flags --since and --until.
func stretch(since, until string, now time.Time) (from, to time.Time, err error) {
	if from, err = moment(since, now); err != nil {
		return from, to, fmt.Errorf("--since: %w", err)
	}
	if to, err = moment(until, now); err != nil {
		return from, to, fmt.Errorf("--until: %w", err)
	}
	if !from.Before(to) {
		return from, to, fmt.Errorf("--since: must be before --until, is %s", from.Format(time.RFC3339))
	}
	return from, to, nil
}

// moment reads a time, or how long before now it is.
func moment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("must be how long ago (90m, 7d) or a time (2026-11-24T03:27:00Z), is %q", text)
}

func listQueries(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, q := range cookbook.Queries {
		fmt.Fprintf(table, "%s\t%s\n", q.Name, q.Title)
	}
	return table.Flush()
}
