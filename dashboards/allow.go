package dashboards

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Allow is an entry of the list of IPv4 that is expected for now. All that it names must fit; it ends with the day Until.
type Allow struct {
	Namespace, Workload string
	Name                string // DNS name; *.example.org is every name below
	Prefix              netip.Prefix
	Until               time.Time // the moment when it has ended (UTC)
	Why                 string
}

// ParseAllow reads an entry, words of the form key=value; the last, why, may hold spaces.
func ParseAllow(text string) (Allow, error) {
	var a Allow
	rest, why, _ := strings.Cut(" "+text, " why=")
	a.Why = strings.TrimSpace(why)
	seen := map[string]bool{}
	for word := range strings.FieldsSeq(rest) {
		key, value, err := pair(word)
		if err != nil {
			return Allow{}, err
		}
		if seen[key] {
			return Allow{}, fmt.Errorf("%s is said twice", key)
		}
		seen[key] = true
		switch key {
		case "namespace", "workload":
			if !kubeName.MatchString(value) {
				return Allow{}, fmt.Errorf("%s %q is no name of Kubernetes", key, value)
			}
			if key == "namespace" {
				a.Namespace = value
			} else {
				a.Workload = value
			}
		case "name":
			if !dnsName.MatchString(value) {
				return Allow{}, fmt.Errorf("name %q is no DNS name, nor *. and one", value)
			}
			a.Name = strings.ToLower(value)
		case "prefix":
			p, err := netip.ParsePrefix(value)
			if err != nil || !p.Addr().Is4() || p != p.Masked() {
				return Allow{}, fmt.Errorf("prefix %q is no IPv4 prefix, as in 198.51.100.0/24", value)
			}
			a.Prefix = p
		case "until":
			day, err := time.Parse(time.DateOnly, value)
			if err != nil {
				return Allow{}, fmt.Errorf("until %q is no day, as in 2027-03-31", value)
			}
			a.Until = day.AddDate(0, 0, 1)
		default:
			return Allow{}, fmt.Errorf("%q is none of namespace, workload, name, prefix, until and why", key)
		}
	}
	switch {
	case a.Until.IsZero():
		return Allow{}, errors.New("an entry needs a day on which it ends: until=2027-03-31")
	case a.Namespace == "" && a.Workload == "" && a.Name == "" && !a.Prefix.IsValid():
		return Allow{}, errors.New("an entry needs a namespace, workload, name or prefix: all IPv4 would be expected")
	}
	return a, nil
}

var (
	kubeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)
	dnsName  = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?$`)
	word     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*=[A-Za-z0-9._:*/-]+$`)
)

// pair splits key=value.
func pair(text string) (key, value string, err error) {
	if !word.MatchString(text) {
		return "", "", fmt.Errorf("%q is not of the form key=value", text)
	}
	key, value, _ = strings.Cut(text, "=")
	return key, value, nil
}

// InMetrics reports whether metrics tell enough for the entry: they have neither names nor addresses.
func (a Allow) InMetrics() bool { return a.Name == "" && !a.Prefix.IsValid() }

// promQL returns the part of a vector of IPv4 egress that the entry allows, as long as it does.
func (a Allow) promQL(vector string) string {
	var matchers []string
	if a.Namespace != "" {
		matchers = append(matchers, `namespace="`+a.Namespace+`"`)
	}
	if a.Workload != "" {
		matchers = append(matchers, `workload="`+a.Workload+`"`)
	}
	return fmt.Sprintf("(%s{%s} and on () (vector(time()) < %d))", vector, strings.Join(matchers, ","), a.Until.Unix())
}

// sql returns the condition that a row of unexpected_ipv4_egress is allowed. Nothing in it needs to be quoted more than it
// is: ParseAllow takes no quotes.
func (a Allow) sql() string {
	conditions := []string{"now() < toDateTime(" + strconv.FormatInt(a.Until.Unix(), 10) + ")"}
	if a.Namespace != "" {
		conditions = append(conditions, "namespace = '"+a.Namespace+"'")
	}
	if a.Workload != "" {
		conditions = append(conditions, "workload = '"+a.Workload+"'")
	}
	if below, all := strings.CutPrefix(a.Name, "*"); all {
		conditions = append(conditions, "endsWith(lower(destination), '"+below+"')")
	} else if a.Name != "" {
		conditions = append(conditions, "lower(destination) = '"+a.Name+"'")
	}
	if a.Prefix.IsValid() {
		conditions = append(conditions, "isIPAddressInRange(address, '"+a.Prefix.String()+"')")
	}
	return strings.Join(conditions, " AND ")
}
