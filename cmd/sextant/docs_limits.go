package main

import (
	"fmt"
	"io"
	"reflect"

	"sextant/collector/bucket"
)

// limitsPage prints what is known of rate limits, and the keys with which a file says more.
func limitsPage(w io.Writer) error {
	c, err := bucket.Shipped()
	if err != nil {
		return err
	}
	fmt.Fprint(w, `# Rate limits

What services are known to allow. A file that `+"`rate_limits.catalogue`"+` names corrects these and adds others:

`+"```yaml"+`
limits:
  - name: registry-1.docker.io # a known one: what is not said stays
    ipv6_length: 128
  - name: api.example.com
    hosts: [api.example.com, "*.api.example.com"]
    unit: requests
    limit: 1000
    window: 1h
`+"```"+`

| limit | what | allowed | IPv4 | IPv6 | by what it counts | known from | confidence |
|---|---|---|---|---|---|---|---|
`)
	for _, l := range c.Limits() {
		allowed := "an unpublished number of"
		if l.Allowed > 0 {
			allowed = fmt.Sprint(l.Allowed)
		}
		fmt.Fprintf(w, "| `%s` | %s | %s %s in %s | %s | %s | %s | [%s](%s) | %s |\n", l.Name, escapePipes(l.Title),
			allowed, l.Unit, bucket.Span(l.Window), length(l.IPv4Length), length(l.IPv6Length), escapePipes(l.Scope), l.Date, l.Source, l.Confidence)
	}
	fmt.Fprint(w, "\n| key of a limit | without it | meaning |\n|---|---|---|\n")
	for f := range reflect.TypeFor[bucket.Limit]().Fields() {
		without := ""
		switch f.Name {
		case "IPv4Length":
			without = fmt.Sprint(bucket.DefaultIPv4Length)
		case "IPv6Length":
			without = fmt.Sprint(bucket.DefaultIPv6Length)
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", f.Tag.Get("yaml"), code(without), escapePipes(sentence(f.Tag.Get("doc"))))
	}
	return nil
}

func length(n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("/%d", n)
}
