package kube

import (
	"fmt"
	"slices"
)

// Selector is a label Selector: all of its requirements hold, and an empty one selects everything (Kubernetes API,
// meta/v1 LabelSelector). What none at all selects is up to its user.
type Selector struct {
	MatchLabels      map[string]string `yaml:"matchLabels"`
	MatchExpressions []Requirement     `yaml:"matchExpressions"`
}

// Requirement is one of a selector.
type Requirement struct {
	Key      string
	Operator string
	Values   []string
}

// check names the requirement that the API would not have accepted.
func (s *Selector) check(field string) error {
	if s == nil {
		return nil
	}
	for i, r := range s.MatchExpressions {
		values, known := map[string]bool{"In": true, "NotIn": true, "Exists": false, "DoesNotExist": false}[r.Operator]
		at := fmt.Sprintf("%s.matchExpressions[%d]", field, i)
		switch {
		case r.Key == "":
			return fmt.Errorf("%s: the key is empty", at)
		case !known:
			return fmt.Errorf("%s: the operator %q is none of In, NotIn, Exists and DoesNotExist", at, r.Operator)
		case values != (len(r.Values) > 0):
			return fmt.Errorf("%s: %s with %d values", at, r.Operator, len(r.Values))
		}
	}
	return nil
}

func (s *Selector) empty() bool { return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 }

// matches reports whether the Selector, which was checked, selects something with these labels. NotIn and DoesNotExist
// hold where the key is not there.
func (s *Selector) matches(labels map[string]string) bool {
	for key, want := range s.MatchLabels {
		if value, ok := labels[key]; !ok || value != want {
			return false
		}
	}
	for _, r := range s.MatchExpressions {
		value, ok := labels[r.Key]
		holds := ok // Exists
		switch r.Operator {
		case "In":
			holds = ok && slices.Contains(r.Values, value)
		case "NotIn":
			holds = !ok || !slices.Contains(r.Values, value)
		case "DoesNotExist":
			holds = !ok
		}
		if !holds {
			return false
		}
	}
	return true
}
