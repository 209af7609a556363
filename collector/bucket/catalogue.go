package bucket

import (
	_ "embed" // the catalogue
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gaissmai/bart"
	"go.yaml.in/yaml/v3"

	"sextant/collector/flow"
)

//go:embed catalogue.yaml
var shipped []byte

// Catalogue is the limits that are known, fit for lookups. It never changes.
type Catalogue struct {
	limits []*limit
	byName map[string]*limit

	hosts      patterns
	registries patterns
	addresses  bart.Table[*target]
}

// limit is a Limit with what is worked out once.
type limit struct {
	Limit
	grain  uint32 // seconds
	grains uint32 // of a window
}

// target is what one host is limited by. An exempt host has a target without limits.
type target struct {
	limits []*limit // the main one first
}

// Shipped returns the catalogue that comes with the program.
func Shipped() (*Catalogue, error) { return read("catalogue.yaml", shipped, nil) }

// ReadCatalogue returns the shipped catalogue with the limits of a file in it. Those of a name that is there replace what
// they say of that limit, others are added. Errors name file and line.
func ReadCatalogue(path string) (*Catalogue, error) {
	c, err := Shipped()
	if err != nil || path == "" {
		return c, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the catalogue of rate limits: %w", err)
	}
	return read(path, text, c)
}

// ParseCatalogue is ReadCatalogue for a text; name stands in errors.
func ParseCatalogue(name string, text []byte) (*Catalogue, error) {
	c, err := Shipped()
	if err != nil {
		return nil, err
	}
	return read(name, text, c)
}

// Limits returns all limits, those that are off left out.
func (c *Catalogue) Limits() []Limit {
	all := make([]Limit, len(c.limits))
	for i, l := range c.limits {
		all[i] = l.Limit
	}
	return all
}

// Find returns the limit of a name.
func (c *Catalogue) Find(name string) (Limit, bool) {
	if l := c.byName[name]; l != nil {
		return l.Limit, true
	}
	return Limit{}, false
}

// Match returns the names of the limits that connections to a host are counted for, and whether the host is known at all:
// of an exempt one that is true, and there are none.
func (c *Catalogue) Match(host string) (names []string, known bool) {
	return c.hosts.find(host).names()
}

// MatchRegistry returns the names of the limits that pulls from a registry are counted for, as references of images spell
// it.
func (c *Catalogue) MatchRegistry(registry string) []string {
	names, _ := c.registries.find(registry).names()
	return names
}

func (t *target) names() ([]string, bool) {
	if t == nil {
		return nil, false
	}
	var names []string
	for _, l := range t.limits {
		names = append(names, l.Name)
	}
	return names, true
}

// mostLimits bounds what a catalogue may hold, shipped limits included.
const mostLimits = 1024

// source is where a limit was written down, for errors.
type source struct {
	file string
	line int
	keys map[string]int // lines of its keys
}

func (s source) at(key string) string {
	line := s.line
	if of := s.keys[key]; of != 0 {
		line = of
	}
	return fmt.Sprintf("%s:%d", s.file, line)
}

// read returns a catalogue, based on another one unless that is nil. It joins all errors.
func read(file string, text []byte, base *Catalogue) (*Catalogue, error) {
	var limits []Limit
	var sources []source
	if base != nil {
		limits = base.Limits()
		sources = make([]source, len(limits))
	}
	nodes, err := entries(file, text)
	if err != nil {
		return nil, err
	}
	shippedLimits := len(limits)
	var errs []error
	named := map[string]int{}
	for _, node := range nodes {
		from := source{file, node.Line, map[string]int{}}
		if err := checkKeys(file, node, reflect.TypeFor[Limit](), from.keys); err != nil {
			errs = append(errs, err)
			continue
		}
		var head struct {
			Name string `yaml:"name"`
		}
		if err := node.Decode(&head); err != nil {
			errs = append(errs, inFile(file, node.Line, err))
			continue
		}
		if err := checkName(head.Name); err != nil {
			errs = append(errs, fmt.Errorf("%s: name: %w", from.at("name"), err))
			continue
		}
		if line, twice := named[head.Name]; twice {
			errs = append(errs, fmt.Errorf("%s: the limit %q stands in line %d already", from.at("name"), head.Name, line))
			continue
		}
		named[head.Name] = node.Line
		i := slices.IndexFunc(limits[:shippedLimits], func(l Limit) bool { return l.Name == head.Name })
		if i < 0 {
			i = len(limits)
			limits = append(limits, Limit{IPv4Length: DefaultIPv4Length, IPv6Length: DefaultIPv6Length})
			sources = append(sources, from)
		}
		l := limits[i]
		for key := range from.keys { // lists are replaced and not written over, as they are shared
			clearKey(&l, key)
		}
		if err := node.Decode(&l); err != nil {
			errs = append(errs, inFile(file, node.Line, err))
			continue
		}
		limits[i], sources[i] = l, from
		for _, f := range l.flaws() {
			errs = append(errs, fmt.Errorf("%s: %s of %q: %w", from.at(f.key), f.key, l.Name, f.err))
		}
	}
	if len(limits) > mostLimits {
		errs = append(errs, fmt.Errorf("%s: must be at most %d limits, are %d", file, mostLimits, len(limits)))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return build(limits, sources)
}

func inFile(file string, line int, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, what, ok := strings.Cut(rest, ": "); ok {
			return fmt.Errorf("%s:%s: %s", file, n, strings.TrimSpace(what))
		}
	}
	return fmt.Errorf("%s:%d: %w", file, line, err)
}

// entries returns the nodes of a file's limits.
func entries(file string, text []byte) ([]*yaml.Node, error) {
	if len(text) > 1<<20 {
		return nil, fmt.Errorf("%s: must be at most 1 MiB, is %d bytes", file, len(text))
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(doc.Content) == 0 { // nothing but comments
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: must be a mapping with the key limits", file, root.Line)
	}
	var nodes []*yaml.Node
	for i := 0; i < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		if name.Value != "limits" {
			return nil, fmt.Errorf("%s:%d: unknown key %q: there is limits alone", file, name.Line, name.Value)
		}
		if value.Tag == "!!null" {
			continue
		}
		if value.Kind != yaml.SequenceNode {
			return nil, fmt.Errorf("%s:%d: limits must be a list", file, value.Line)
		}
		nodes = append(nodes, value.Content...)
	}
	return nodes, nil
}

// checkKeys refuses keys that a struct does not have, and notes the lines of the others.
func checkKeys(file string, node *yaml.Node, of reflect.Type, lines map[string]int) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: must be a mapping", file, node.Line)
	}
	var errs []error
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field, ok := of.FieldByNameFunc(func(name string) bool {
			f, _ := of.FieldByName(name)
			return f.Tag.Get("yaml") == key.Value
		})
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s:%d: unknown key %q", file, key.Line, key.Value))
		case lines[key.Value] != 0:
			errs = append(errs, fmt.Errorf("%s:%d: key %q is set twice", file, key.Line, key.Value))
		case field.Type.Kind() == reflect.Struct && field.Type == reflect.TypeFor[Probe]():
			if err := checkKeys(file, value, field.Type, map[string]int{}); err != nil {
				errs = append(errs, err)
			}
		}
		lines[key.Value] = key.Line
	}
	return errors.Join(errs...)
}

// clearKey makes a field what it is before it is decoded.
func clearKey(l *Limit, key string) {
	v := reflect.ValueOf(l).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key && v.Field(i).Kind() == reflect.Slice {
			v.Field(i).SetZero()
		}
	}
}

// build makes limits fit for lookups, and refuses those that contradict one another.
func build(limits []Limit, sources []source) (*Catalogue, error) {
	c := &Catalogue{byName: map[string]*limit{}}
	var errs []error
	bad := func(i int, key, format string, args ...any) {
		where := sources[i].at(key)
		if sources[i].file == "" { // a shipped one, at which another took offence
			where = "the shipped catalogue"
		}
		errs = append(errs, fmt.Errorf("%s: %s of %q: %s", where, key, limits[i].Name, fmt.Sprintf(format, args...)))
	}
	targets := map[string]*target{}
	for i := range limits {
		if limits[i].Off {
			continue
		}
		l := &limit{Limit: limits[i], grain: uint32(Grain(limits[i].Window) / time.Second)}
		window := uint32(l.Window / time.Second)
		l.grains = (window + l.grain - 1) / l.grain
		c.limits = append(c.limits, l)
		c.byName[l.Name] = l
		if l.Of != "" {
			continue
		}
		t := &target{limits: []*limit{l}}
		targets[l.Name] = t
		for _, host := range l.Hosts {
			if !c.hosts.add(host, t) {
				bad(i, "hosts", "%q has another limit already: name that in of", host)
			}
		}
		for _, host := range l.Exempt {
			if !c.hosts.add(host, &target{}) {
				bad(i, "exempt", "%q stands elsewhere", host)
			}
		}
		for _, registry := range l.Registries {
			if !c.registries.add(registry, t) {
				bad(i, "registries", "%q has another limit already: name that in of", registry)
			}
		}
		for _, p := range l.Addresses {
			if _, taken := c.addresses.Get(p); taken {
				bad(i, "addresses", "%s has another limit already: name that in of", p)
			}
			c.addresses.Insert(p, t)
		}
	}
	for i := range limits {
		l := c.byName[limits[i].Name]
		if l == nil || l.Of == "" {
			continue
		}
		if t := targets[l.Of]; t != nil {
			t.limits = append(t.limits, l)
		} else if of := slices.IndexFunc(limits, func(o Limit) bool { return o.Name == l.Of }); of < 0 || limits[of].Of != "" {
			bad(i, "of", "there is no limit %q, or it belongs to another itself", l.Of)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.limits = slices.DeleteFunc(c.limits, func(l *limit) bool {
		off := l.Of != "" && targets[l.Of] == nil // as the one that it belongs to
		if off {
			delete(c.byName, l.Name)
		}
		return off
	})
	return c, nil
}

// patterns are names, and what every name below some others is.
type patterns struct {
	exact map[string]*target
	below map[string]*target // "*.example.com" as "example.com"
}

// add reports whether there was nothing yet.
func (p *patterns) add(name string, t *target) bool {
	if p.exact == nil {
		p.exact, p.below = map[string]*target{}, map[string]*target{}
	}
	m := p.exact
	if suffix, ok := strings.CutPrefix(name, "*."); ok {
		m, name = p.below, suffix
	}
	if m[name] != nil {
		return false
	}
	m[name] = t
	return true
}

// find returns what a name is: by itself, or by the longest of the names above it. The last dot does not matter, nor do
// capitals.
func (p *patterns) find(name string) *target {
	if len(name) > longestHost+1+len(":65535") {
		return nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if t := p.exact[name]; t != nil {
		return t
	}
	for {
		_, above, ok := strings.Cut(name, ".")
		if !ok {
			return nil
		}
		if t := p.below[above]; t != nil {
			return t
		}
		name = above
	}
}

// at returns what an address is by the ranges that are written down.
func (c *Catalogue) at(a netip.Addr) *target {
	if c.addresses.Size() == 0 || !a.IsValid() {
		return nil
	}
	t, _ := c.addresses.Lookup(a)
	return t
}

// mask returns the prefix of an address that the service counts by; ok is false where the limit is not for its family.
func (l *limit) mask(a netip.Addr) (p netip.Prefix, ok bool) {
	length := l.IPv6Length
	if a.Is4() {
		length = l.IPv4Length
	}
	if length == 0 {
		return netip.Prefix{}, false
	}
	p, err := a.Prefix(length)
	return p, err == nil
}

// isFor reports whether the limit is for a family.
func (l *limit) isFor(f flow.Family) bool {
	return f == flow.FamilyIPv4 && l.IPv4Length > 0 || f == flow.FamilyIPv6 && l.IPv6Length > 0 || f == flow.FamilyNone
}
