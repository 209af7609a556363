package cookbook

import (
	"strings"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// ruleNames and ruleRemedies are SQL lists: the verdict's rules that are not certain, and what would make each so.
var ruleNames, ruleRemedies = rules()

func rules() (names, remedies string) {
	var n, r []string
	for _, rule := range verdict.Rules() {
		if rule.Evidence < flow.Confirmed {
			n, r = append(n, quote(rule.Name)), append(r, quote(rule.Certain))
		}
	}
	return "[" + strings.Join(n, ", ") + "]", "[" + strings.Join(r, ", ") + "]"
}
