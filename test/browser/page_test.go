package browser_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Panels that have nothing to show in the demo, and why.
var empty = map[string]string{
	"sextant-limits/33": "no kubelet was recorded, whose events tell of image pulls",
	"sextant-limits/34": "no service that was recorded refused anybody",
}

// excused is how many panels of a dashboard need not show anything.
func excused(uid string) int {
	n := 0
	for key := range empty {
		if strings.HasPrefix(key, uid+"/") {
			n++
		}
	}
	return n
}

type panel struct{ ID, Title, State, Text string }

// panels is what the panels of the page are, and show.
const panels = `[...document.querySelectorAll('.panel')].map(p => ({
	ID: p.dataset.panel, Title: p.getAttribute('aria-label'), State: p.dataset.state, Text: p.querySelector('.body').innerText.slice(0, 300)}))`

// TestDashboards looks at every dashboard, in light and in dark, by the address of IPv6.
func TestDashboards(t *testing.T) {
	x := open(t, "[::1]")
	uids := eval[[]string](x, "[...document.querySelectorAll('#dashboards a')].map(a => a.hash.slice(1).split('?')[0])")
	if len(uids) < 8 {
		t.Fatalf("there are only these dashboards: %v", uids)
	}
	for _, uid := range uids {
		x.goTo(uid + "?range=5m")
		// What grows shows after it was looked at twice.
		for range 3 {
			if waiting := eval[int](x, "document.querySelectorAll('.panel[data-state=empty]').length"); waiting <= excused(uid) {
				break
			}
			time.Sleep(2 * time.Second)
			x.settled(func() { eval[bool](x, "(document.getElementById('again').click(), true)") })
		}
		if got := eval[string](x, "document.querySelector('#dashboards [aria-current=page]').hash.slice(1).split('?')[0]"); got != uid {
			t.Errorf("the page marks %s as shown, not %s", got, uid)
		}
		list := eval[[]panel](x, panels)
		if len(list) < 8 {
			t.Errorf("%s has only %d panels", uid, len(list))
		}
		for _, p := range list {
			key := uid + "/" + p.ID
			if p.State != "drawn" && empty[key] == "" {
				t.Errorf("%s %q is %s: %s", key, p.Title, p.State, p.Text)
			}
			if p.State == "drawn" && empty[key] != "" {
				t.Errorf("%s %q shows something; it is excused with: %s", key, p.Title, empty[key])
			}
			for _, bad := range []string{"null", "undefined", "NaN", "[object"} {
				if slices.Contains(strings.Fields(p.Text), bad) {
					t.Errorf("%s %q shows %s: %s", key, p.Title, bad, p.Text)
				}
			}
		}
		if wide := eval[int](x, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
			t.Errorf("%s is %d pixels wider than the window", uid, wide)
		}
		for _, name := range []string{"light", "dark"} {
			eval[bool](x, "document.documentElement.dataset.theme === %s || (document.getElementById('theme').click(), true)", name)
			x.shot(uid + " " + name)
		}
	}
}

// TestPickers chooses what pickers offer, as a step that the browser takes back.
func TestPickers(t *testing.T) {
	x := open(t, "localhost")
	pick := func(name, value string) {
		t.Helper()
		x.await("the picker "+name+" does not offer "+value, "[...(document.getElementsByName(%s)[0] ?? document.getElementById(%s)).options].some(o => o.value === %s)", name, name, value)
		x.settled(func() {
			eval[bool](x, `(e => { e.value = %s; e.dispatchEvent(new Event('change')); return true })(document.getElementsByName(%s)[0] ?? document.getElementById(%s))`, value, name, name)
		})
	}
	number := func(title string) string {
		t.Helper()
		return eval[string](x, "document.querySelector(`[aria-label=\"${%s}\"] .stat`).textContent", title)
	}
	all := number("Connections")
	pick("namespace", "shop")
	if got := number("Connections"); got == all {
		t.Errorf("of one namespace there are as many connections as of all: %s", got)
	}
	if rows := column(x, "Which namespaces are on IPv6, and which are not?", "namespace"); !slices.Equal(rows, []string{"shop"}) {
		t.Errorf("namespaces when one is chosen: %v", rows)
	}
	pick("range", "1h")
	if hash := eval[string](x, "location.hash"); !strings.Contains(hash, "range=1h") || !strings.Contains(hash, "namespace=shop") {
		t.Errorf("the address does not tell what was chosen: %s", hash)
	}
	pick("target", "50")
	x.settled(func() { x.do(chromedp.Evaluate[chromedp.Void]("history.go(-3)")) })
	if hash := eval[string](x, "location.hash"); strings.Contains(hash, "shop") {
		t.Errorf("going back leaves %s", hash)
	}
	if chosen := eval[string](x, "document.getElementsByName('namespace')[0].value"); chosen != "" {
		t.Errorf("after going back the picker says %q", chosen)
	}

	x.goTo("sextant-flows?range=15m")
	pick("family", "ipv4")
	for _, family := range column(x, "Connections, the newest first", "family") {
		if family != "ipv4" {
			t.Fatalf("of the family ipv4, the page shows %s", family)
		}
	}
	x.settled(func() {
		eval[bool](x, "(e => { e.value = \"erp-'client\\\\\"; e.dispatchEvent(new Event('change')); return true })(document.getElementsByName('search')[0])")
	})
	for _, p := range eval[[]panel](x, panels) {
		if p.State == "failed" {
			t.Errorf("%s: a search for quotes: %s", p.Title, p.Text)
		}
	}
	x.settled(func() {
		eval[bool](x, "(e => { e.value = 'erp-client'; e.dispatchEvent(new Event('change')); return true })(document.getElementsByName('search')[0])")
	})
	for _, workload := range column(x, "Connections, the newest first", "workload") {
		if workload != "erp-client" {
			t.Fatalf("of the search for erp-client, the page shows %s", workload)
		}
	}
}

// column returns a column of a panel's table.
func column(x *tab, title, name string) []string {
	x.t.Helper()
	cells := eval[[]string](x, `(panel => {
		const i = [...panel.querySelectorAll('th')].findIndex(th => th.textContent === %s);
		return [...panel.querySelectorAll('tbody tr')].map(tr => tr.cells[i].textContent);
	})(document.querySelector(`+"`[aria-label=\"${%s}\"]`"+`))`, name, title)
	if len(cells) == 0 {
		x.t.Fatalf("%q shows no row with %s", title, name)
	}
	return cells
}

// TestKeyboard does all with keys: no pointer is needed.
func TestKeyboard(t *testing.T) {
	x := open(t, "127.0.0.1")
	const here = `(e => e.closest('th')?.textContent ? 'sort ' + e.textContent : e.name || e.id || (e.ariaLabel ?? '') || e.textContent)(document.activeElement)`
	press := func(keys string) { t.Helper(); x.do(chromedp.KeyEvent(keys)) }
	// reach presses Tab until the focus is where it has to be.
	reach := func(want string) {
		t.Helper()
		var seen []string
		for range 200 {
			press(kb.Tab)
			got := eval[string](x, here)
			if got == want {
				if !eval[bool](x, "document.activeElement.matches(':focus-visible')") {
					t.Errorf("%q has the focus, and does not show it", want)
				}
				return
			}
			seen = append(seen, got)
		}
		t.Fatalf("Tab does not reach %q, but %q", want, seen)
	}
	reach("Skip to the panels")
	reach("What still needs IPv4")
	x.settled(func() { press(kb.Enter) })
	reach("namespace")
	x.settled(func() { press("shop") })
	if got := eval[string](x, "document.getElementsByName('namespace')[0].value + ' ' + document.activeElement.name"); got != "shop namespace" {
		t.Errorf("after shop was chosen by keys, the picker has %q", got)
	}
	reach("range")
	reach("theme")
	before := eval[string](x, "document.documentElement.dataset.theme")
	press(" ")
	if after := eval[string](x, "document.documentElement.dataset.theme"); after == before || after == "" {
		t.Errorf("the theme is %s as before", after)
	}
	reach("What is Observed?")
	press(kb.Enter)
	if eval[bool](x, "document.getElementById('help-1').hidden") {
		t.Error("the help did not open")
	}
	const table = "Who still needs IPv4 to reach the outside, for what, and why?"
	reach(table) // to scroll it
	reach("sort connections")
	press(kb.Enter)
	descending := numbers(t, column(x, table, "connections"))
	if !slices.IsSortedFunc(descending, func(a, b int) int { return b - a }) {
		t.Errorf("not sorted downwards: %v", descending)
	}
	press(kb.Enter)
	ascending := numbers(t, column(x, table, "connections"))
	if !slices.IsSorted(ascending) || len(ascending) < 2 {
		t.Errorf("not sorted upwards: %v", ascending)
	}
	if got := eval[string](x, "document.activeElement.closest('th').ariaSort"); got != "ascending" {
		t.Errorf("the column says that it is sorted %q", got)
	}
	workload := column(x, table, "workload")[0]
	reach(workload)
	x.settled(func() { press(kb.Enter) })
	if title, got := eval[string](x, "document.getElementById('title').textContent"), eval[string](x, "document.getElementsByName('workload')[0].value"); title != "One workload" || got != workload {
		t.Errorf("the link of %s leads to %q with %q", workload, title, got)
	}
	x.settled(func() { x.do(chromedp.NavigateBack()) })
	if title := eval[string](x, "document.getElementById('title').textContent"); title != "What still needs IPv4" {
		t.Errorf("back leads to %q", title)
	}
}

func numbers(t *testing.T, texts []string) []int {
	t.Helper()
	list := make([]int, len(texts))
	for i, text := range texts {
		if _, err := fmt.Sscan(strings.ReplaceAll(text, ",", ""), &list[i]); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	return list
}
