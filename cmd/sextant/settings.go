package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// A setting is one thing with three names: the YAML key clickhouse.database, the flag --clickhouse-database and the
// variable SEXTANT_CLICKHOUSE_DATABASE (flags.go). What belongs to one call only (what to replay, the format of an
// answer) has no key.

// configFile is the path of the settings file. It is read before the command line is parsed.
type configFile string

// newParser builds the command line with the settings of the file that args or the environment name.
func newParser(c *cli, args []string) (*kong.Kong, error) {
	options := []kong.Option{
		kong.Name("sextant"),
		kong.Description("Where does the migration to IPv6 stand, and how do we know?"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ExplicitGroups(groups),
		kong.Vars{"version": versionText(), "data_dir": dataDir()},
	}
	if path := configPath(args); path != "" {
		f, err := readSettings(path)
		if err != nil {
			return nil, err
		}
		options = append(options, kong.Resolvers(f))
	}
	return kong.New(c, options...)
}

var groups = []kong.Group{
	{Key: "hubble", Title: "Hubble:"},
	{Key: "clickhouse", Title: "ClickHouse:"},
	{Key: "prometheus", Title: "Prometheus:"},
	{Key: "http", Title: "HTTP:"},
	{Key: "ui", Title: "Page:"},
	{Key: "pipeline", Title: "Pipeline:"},
	{Key: "verdict", Title: "Verdict:"},
	{Key: "spool", Title: "Spool:"},
	{Key: "track", Title: "Connections:"},
	{Key: "kubernetes", Title: "Kubernetes:"},
	{Key: "enrich", Title: "Enrichment:"},
	{Key: "pulls", Title: "Image pulls:"},
	{Key: "rate_limits", Title: "Rate limits:"},
	{Key: "rate_limits.probe", Title: "Probe of rate limits:"},
	{Key: "inventory", Title: "Inventory:"},
	{Key: "alerts", Title: "Alerts:"},
	{Key: "log", Title: "Log:"},
}

func configPath(args []string) string {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if path, ok := strings.CutPrefix(arg, "--config="); ok {
			return path
		}
		if arg == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("SEXTANT_CONFIG")
}

// key returns a flag's YAML key, or "" when it has none.
func key(flag *kong.Flag) string { return flag.Tag.Get("key") }

// settings is a settings file, as a kong.Resolver.
type settings struct {
	path   string
	values map[string]*yaml.Node
}

func readSettings(path string) (*settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	s := &settings{path: path, values: map[string]*yaml.Node{}}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // nothing but comments
			return s, nil
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, s.collect("", doc.Content[0])
}

// collect notes every key that holds a value or a list.
func (s *settings) collect(prefix string, node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		if prefix == "" && node.Tag == "!!null" { // only comments
			return nil
		}
		if prefix == "" {
			return fmt.Errorf("%s:%d: settings must be a mapping of sections", s.path, node.Line)
		}
		if s.values[prefix] != nil {
			return fmt.Errorf("%s:%d: key %q is set twice", s.path, node.Line, prefix)
		}
		s.values[prefix] = node
		return nil
	}
	for i := 0; i < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		path := strings.TrimPrefix(prefix+"."+name.Value, ".")
		if len(value.Content) == 0 && value.Kind == yaml.MappingNode {
			continue
		}
		if prefix == "" && value.Tag == "!!null" { // a section with nothing but comments in it
			s.values[path] = nil
			continue
		}
		if err := s.collect(path, value); err != nil {
			return err
		}
	}
	return nil
}

// Validate rejects keys that no command has, so that a misspelt key is never silently without effect.
func (s *settings) Validate(app *kong.Application) error {
	var known []string
	err := kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			if k := key(flag); k != "" {
				known = append(known, k)
			}
		}
		return next(nil)
	})
	if err != nil {
		return err
	}
	var wrong []string
	for k, node := range s.values {
		section := slices.ContainsFunc(known, func(have string) bool { return strings.HasPrefix(have, k+".") })
		switch {
		case slices.Contains(known, k):
		case node == nil && section:
		case node == nil:
			wrong = append(wrong, fmt.Sprintf("%s: unknown section %q", s.path, k))
		default:
			wrong = append(wrong, fmt.Sprintf("%s:%d: unknown key %q%s", s.path, node.Line, k, nearest(k, known)))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%s\nsextant docs settings prints all keys", strings.Join(wrong, "\n"))
}

// Resolve gives a flag the file's value, unless a variable gives it one.
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	node := s.values[key(flag)]
	if node == nil || slices.ContainsFunc(flag.Envs, func(env string) bool { _, set := os.LookupEnv(env); return set }) {
		return nil, nil
	}
	switch node.Kind {
	case yaml.ScalarNode:
		scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: node.Value})
		if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, reflect.New(flag.Target.Type()).Elem()); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", s.path, node.Line, key(flag), err)
		}
		return node.Value, nil
	case yaml.SequenceNode:
		var list []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("%s:%d: %s is a list of plain values", s.path, item.Line, key(flag))
			}
			list = append(list, item.Value)
		}
		if flag.Tag.Sep < 0 { // a value may hold any character: they cannot be joined
			values := make([]any, len(list))
			for i, text := range list {
				values[i] = text
			}
			return values, nil
		}
		return kong.JoinEscaped(list, flag.Tag.Sep), nil
	}
	return nil, fmt.Errorf("%s:%d: %s must be a value or a list", s.path, node.Line, key(flag))
}

// nearest suggests the key that was probably meant.
func nearest(k string, known []string) string {
	best, least := "", len(k)/2
	for _, have := range known {
		if d := distance(k, have); d < least {
			best, least = have, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
