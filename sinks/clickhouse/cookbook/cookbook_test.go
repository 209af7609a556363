package cookbook_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/sinks/clickhouse/cookbook"
)

// Every query is documented, and asks for nothing that is not in the tables of parameters and placeholders.
func TestQueries(t *testing.T) {
	known := map[string]string{}
	for _, p := range cookbook.Params {
		known[p.Name] = p.Type
	}
	seen := map[string]bool{}
	for _, q := range cookbook.Queries {
		if !cookbook.IsName(q.Name) || seen[q.Name] {
			t.Errorf("%q is no name, or another's", q.Name)
		}
		seen[q.Name] = true
		if !strings.HasSuffix(q.Title, "?") || !strings.HasSuffix(q.Doc, ".") || len(q.Columns) == 0 || len(q.Needs()) == 0 {
			t.Errorf("%s is not documented: %q, %q", q.Name, q.Title, q.Doc)
		}
		for _, c := range q.Columns {
			if c.Name == "" || c.Doc == "" {
				t.Errorf("%s: column %q has no sentence", q.Name, c.Name)
			}
		}
		if left := regexp.MustCompile(`<[a-z][a-z0-9_ ]*>`).FindString(q.SQL); left != "" {
			t.Errorf("%s: nobody fills %s", q.Name, left)
		}
		for _, m := range regexp.MustCompile(`\{([^:}]*):([^}]*)\}`).FindAllStringSubmatch(q.SQL, -1) {
			if known[m[1]] != m[2] {
				t.Errorf("%s: parameter %s of type %s, want %s", q.Name, m[1], m[2], known[m[1]])
			}
		}
		if found, ok := cookbook.Find(q.Name); !ok || found.SQL != q.SQL {
			t.Errorf("%s is not found", q.Name)
		}
	}
	if len(seen) < 20 {
		t.Errorf("%d queries", len(seen))
	}
}

func TestIsName(t *testing.T) {
	for text, want := range map[string]bool{
		"adoption": true, "nat64-trouble": true, "select": true, "": false, "-": false, "a-": false, "a--b": false, "-list": false, "SELECT 1": false,
		"show tables": false, "SHOW": false, "a;b": false, "select\n1": false, "1": false, "ä": false,
	} {
		if got := cookbook.IsName(text); got != want {
			t.Errorf("IsName(%q) is %t", text, got)
		}
	}
}

func TestParts(t *testing.T) {
	q, ok := cookbook.Find("nat64-trouble")
	if !ok {
		t.Fatal("not found")
	}
	if diff := cmp.Diff([]string{"flows", "completeness", "each_connection"}, q.Needs()); diff != "" {
		t.Errorf("needs (-want +got)\n%s", diff)
	}
	var names []string
	for _, p := range q.Params() {
		names = append(names, p.Name)
	}
	if want := []string{"since", "until", "cluster", "namespace", "workload", "limit"}; !slices.Equal(names, want) {
		t.Errorf("parameters %v, want %v", names, want)
	}
	if _, ok := cookbook.Find("nothing"); ok {
		t.Error("found what there is not")
	}
}

// A value stays inside its quotes, and is the same again for the server, which reads it twice: as a literal and as a cell.
func TestScript(t *testing.T) {
	q := cookbook.Query{Title: "What?", SQL: "SELECT {namespace:String}, {limit:UInt32}"}
	got := q.Script(map[string]string{"namespace": "a'b\\c\nd", "limit": "7"})
	want := "-- What?\nSET param_namespace = 'a\\'b\\\\\\\\c\\\\nd';\nSET param_limit = '7';\n\nSELECT {namespace:String}, {limit:UInt32};\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
