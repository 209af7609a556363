package bucket

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Limit is one public limit of a service: what an address, or a prefix of addresses, may use in a time. The doc tags are the
// keys of a catalogue's entry in words.
type Limit struct {
	Name  string `yaml:"name" doc:"its own: the main host, and a word behind it where the host has several limits; an entry with the name of a known limit changes of it what it says"`
	Title string `yaml:"title" doc:"for people"`
	Off   bool   `yaml:"off" doc:"true: as if it were not there"`

	Of         string         `yaml:"of" doc:"name of another limit, for whose hosts, addresses and registries it is as well"`
	Hosts      []string       `yaml:"hosts" doc:"DNS names; *.example.com is every name below example.com"`
	Exempt     []string       `yaml:"exempt" doc:"names that are not limited, though one of hosts may be like them"`
	Addresses  []netip.Prefix `yaml:"addresses" doc:"prefixes, for what goes there without a name"`
	Registries []string       `yaml:"registries" doc:"names as references of images spell them: docker.io"`
	Mirrors    []string       `yaml:"mirrors" doc:"public registries that have copies, and limits of their own"`

	Requests     []string `yaml:"requests" doc:"HTTP requests that count, where requests can be seen: GET /v2/*/manifests/*, in which * is any text; none: all"`
	RequestsOnly bool     `yaml:"requests_only" doc:"true: a connection in which no request can be seen is not counted"`

	Unit     string        `yaml:"unit" doc:"what the service counts: pulls, requests, connections, queries, registrations or bytes"`
	Allowed  uint64        `yaml:"limit" doc:"how many of these it allows in a window; 0: no number is published"`
	Window   time.Duration `yaml:"window" doc:"whole seconds: 90s, 6h"`
	Indirect bool          `yaml:"indirect" doc:"true: connections and pulls say too little of what the service counts to be held against limit"`

	IPv4Length int      `yaml:"ipv4_length" doc:"length of the IPv4 prefix that it counts by; 0: it is not for IPv4"`
	IPv6Length int      `yaml:"ipv6_length" doc:"the same of IPv6"`
	IPv6Seen   []int    `yaml:"ipv6_seen" doc:"other lengths that were seen, the likeliest first"`
	NoIPv6     []string `yaml:"no_ipv6" doc:"those of hosts that have no IPv6 address"`

	Scope      string `yaml:"scope" doc:"by what the service counts, in words"`
	Probe      Probe  `yaml:"probe" doc:"how the service can be asked: manifest, the URL of one that everybody may pull, and token, the URL of the service that hands out what it takes"`
	Note       string `yaml:"note" doc:"what else there is to say"`
	Source     string `yaml:"source" doc:"URL of where it stands"`
	Date       string `yaml:"date" doc:"when that was written or read: 2026-01-31, 2026-01 or 2026"`
	Confidence string `yaml:"confidence" doc:"low, med or high: how far it can be relied on"`
}

// Probe is how a service can be asked what is left. The zero Probe is not at all.
type Probe struct {
	Manifest string `yaml:"manifest"` // URL of a manifest that everybody may pull
	Token    string `yaml:"token"`    // URL of the service that hands out what it takes
}

// Units are what services count.
var Units = []string{"pulls", "requests", "connections", "queries", "registrations", "bytes"}

// Confidences say how far a limit can be relied on: low where others than the provider say so or it is old, med where its
// staff or its answers do, high where its own documents do.
var Confidences = []string{"low", "med", "high"}

// Default lengths of the prefixes that services count by: most that take IPv6 for something else than very long IPv4
// addresses count by /64.
const (
	DefaultIPv4Length = 32
	DefaultIPv6Length = 64
)

// Bounds of what a limit may say.
const (
	longestWindow = 366 * 24 * time.Hour
	longestName   = 128
	longestHost   = 253 // RFC 1035 section 2.3.4, without the last dot
	mostNames     = 256
)

// A flaw is what is wrong with a key.
type flaw struct {
	key string
	err error
}

// flaws returns all that is wrong with a limit by itself.
func (l *Limit) flaws() []flaw {
	var all []flaw
	bad := func(key, format string, args ...any) { all = append(all, flaw{key, fmt.Errorf(format, args...)}) }
	if l.Of == "" && len(l.Hosts)+len(l.Addresses)+len(l.Registries) == 0 {
		bad("hosts", "must name hosts, addresses or registries, or the limit that it belongs to in of")
	}
	if l.Of != "" && len(l.Hosts)+len(l.Addresses)+len(l.Registries)+len(l.Exempt) > 0 {
		bad("of", "is for the hosts of %q: it must not have hosts, exempt, addresses or registries of its own", l.Of)
	}
	if !slices.Contains(Units, l.Unit) {
		bad("unit", "must be one of %s, is %q", strings.Join(Units, ", "), l.Unit)
	}
	if (l.Unit == "bytes" || l.Unit == "registrations") && !l.Indirect {
		bad("indirect", "must be true: what can be seen are no %s", l.Unit)
	}
	if l.Window < time.Second || l.Window > longestWindow || l.Window%time.Second != 0 {
		bad("window", "must be whole seconds from 1s to %s, is %s", longestWindow, l.Window)
	}
	if l.IPv4Length < 0 || l.IPv4Length > 32 {
		bad("ipv4_length", "must be from 0 to 32, is %d", l.IPv4Length)
	}
	if l.IPv6Length < 0 || l.IPv6Length > 128 {
		bad("ipv6_length", "must be from 0 to 128, is %d", l.IPv6Length)
	}
	if l.IPv4Length == 0 && l.IPv6Length == 0 {
		bad("ipv6_length", "must not be 0 where ipv4_length is: the limit would be for nobody")
	}
	for _, n := range l.IPv6Seen {
		if n < 1 || n > 128 {
			bad("ipv6_seen", "must be from 1 to 128, is %d", n)
		}
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"hosts", l.Hosts}, {"exempt", l.Exempt}, {"registries", l.Registries}, {"mirrors", l.Mirrors}, {"no_ipv6", l.NoIPv6}} {
		if err := checkNames(list.names); err != nil {
			bad(list.key, "%w", err)
		}
	}
	if len(l.Addresses) > mostNames {
		bad("addresses", "must be at most %d, are %d", mostNames, len(l.Addresses))
	}
	for _, p := range l.Addresses {
		if !p.IsValid() || p != p.Masked() {
			bad("addresses", "must be a prefix without bits behind its length, is %s", p)
		}
	}
	for _, r := range l.Requests {
		if method, path, ok := strings.Cut(r, " "); !ok || method == "" || path == "" || len(r) > 256 {
			bad("requests", "must be a method and a path, as in GET /v2/*/manifests/*, is %q", r)
		}
	}
	if l.Probe != (Probe{}) {
		if u, err := url.Parse(l.Probe.Manifest); err != nil || u.Scheme != "https" || u.Host == "" {
			bad("probe", "manifest must be a URL https://host/path, is %q", l.Probe.Manifest)
		}
	}
	if !isDate(l.Date) {
		bad("date", "must be a day, a month or a year, as in 2026-01-31, 2026-01 or 2026, is %q", l.Date)
	}
	if l.Confidence != "" && !slices.Contains(Confidences, l.Confidence) {
		bad("confidence", "must be one of %s, is %q", strings.Join(Confidences, ", "), l.Confidence)
	}
	return all
}

func isDate(text string) bool {
	for _, layout := range []string{time.DateOnly, "2006-01", "2006"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return text == ""
}

// checkNames refuses names that are none, and those that stand twice.
func checkNames(names []string) error {
	if len(names) > mostNames {
		return fmt.Errorf("must be at most %d, are %d", mostNames, len(names))
	}
	seen := map[string]bool{}
	for _, n := range names {
		if !isHost(n) {
			return fmt.Errorf("must be a DNS name in lower case, or *. and a name, is %q", n)
		}
		if seen[n] {
			return fmt.Errorf("%q stands twice", n)
		}
		seen[n] = true
	}
	return nil
}

// isHost reports whether a text can be a host, with a port or without, or a pattern of hosts.
func isHost(text string) bool {
	text = strings.TrimPrefix(text, "*.")
	if host, port, ok := strings.Cut(text, ":"); ok {
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
		text = host
	}
	return text != "" && len(text) <= longestHost && !strings.HasPrefix(text, ".") && !strings.HasSuffix(text, ".") &&
		!strings.Contains(text, "..") && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}

// checkName refuses what cannot be the name of a limit.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("must not be empty")
	case len(name) > longestName:
		return fmt.Errorf("must be at most %d characters, are %d", longestName, len(name))
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:/ ") != "":
		return fmt.Errorf("must be letters, digits, spaces and -._:/, is %q", name)
	}
	return nil
}

// Lengths returns the lengths of the prefix that the service may count a family by, the likeliest first.
func (l *Limit) Lengths(ipv6 bool) []int {
	if !ipv6 {
		return []int{l.IPv4Length}
	}
	return append([]int{l.IPv6Length}, l.IPv6Seen...)
}

// HasIPv6 reports whether a host of the service can have an IPv6 address, as far as is known.
func (l *Limit) HasIPv6(host string) bool { return !slices.Contains(l.NoIPv6, host) }

// counts reports whether a request is one that the service counts.
func (l *Limit) counts(method, path string) bool {
	if len(l.Requests) == 0 {
		return true
	}
	for _, r := range l.Requests {
		m, p, _ := strings.Cut(r, " ")
		if (m == "*" || m == method) && glob(p, path) {
			return true
		}
	}
	return false
}

// glob reports whether a text is like a pattern in which * is any text.
func glob(pattern, text string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return text == pattern
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		var part string
		part, rest, found = strings.Cut(rest, "*")
		if !found {
			return strings.HasSuffix(text, part)
		}
		_, after, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = after
	}
}
