package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a tab of a browser of its own, that complains of all that a page must not do: errors in the console, which is where
// the browser tells of what the policy of the page forbids, and requests to any other host.
type tab struct {
	t    *testing.T
	ctx  context.Context
	host string

	mu         sync.Mutex
	complaints []string
	requests   int
}

// open starts a browser with the page at a host: localhost, or an address.
func open(t *testing.T, host string) *tab {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Fatal("there is no Chromium: test/tools/debian.sh chromium")
	}
	x := &tab{t: t, host: host + ":" + page.port}
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	t.Cleanup(cancel)
	for tries := 1; ; tries++ {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1440, 1000),
			chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
			chromedp.Flag("lang", "en"),
		)
		x.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(options...), chromedp.WithListener(x.hear))
		t.Cleanup(cancel)
		err := chromedp.Do(x.ctx, chromedp.Navigate("http://"+x.host+"/"))
		if err == nil {
			break
		}
		// Chromium sometimes ends before it has begun. That is not what is tested here.
		if tries == 3 || !strings.Contains(err.Error(), "failed to start") {
			t.Fatal(err)
		}
		t.Log(err)
	}
	t.Cleanup(x.verdict)
	x.await("the page did not draw its first dashboard", "document.body.dataset.round > 0")
	return x
}

// hear takes down what happens in the tab.
func (x *tab) hear(event any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		x.requests++
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != x.host && u.Scheme != "data" {
			x.complaints = append(x.complaints, "request to "+e.Request.URL)
		}
	case *log.EventEntryAdded:
		x.complaints = append(x.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		var args []string
		for _, a := range e.Args {
			args = append(args, a.Description+string(a.Value))
		}
		x.complaints = append(x.complaints, fmt.Sprintf("console.%s: %s", e.Type, strings.Join(args, " ")))
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		x.complaints = append(x.complaints, "exception: "+text)
	}
}

func (x *tab) verdict() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.complaints {
		x.t.Error(c)
	}
	if x.requests < 10 {
		x.t.Errorf("only %d requests were seen: the test does not look at the network", x.requests)
	}
}

func (x *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := chromedp.Do(x.ctx, steps...); err != nil {
		x.t.Fatal(err)
	}
}

// eval returns what an expression is worth in the page.
func eval[T any](x *tab, expression string, args ...any) T {
	x.t.Helper()
	quoted := make([]any, len(args))
	for i, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			x.t.Fatal(err)
		}
		quoted[i] = string(text)
	}
	v, err := chromedp.Run(x.ctx, chromedp.Evaluate[T](fmt.Sprintf(expression, quoted...)))
	if err != nil {
		x.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until a condition holds in the page.
func (x *tab) await(complaint, condition string, args ...any) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); !eval[bool](x, "Boolean("+condition+")", args...); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.shot(x.t.Name() + " failed")
			x.t.Fatalf("%s: not within %s: %s", complaint, patience, condition)
		}
	}
}

// settled does something that makes the page ask anew, and waits until every panel is drawn.
func (x *tab) settled(do func()) {
	x.t.Helper()
	before := eval[int](x, "Number(document.body.dataset.round)")
	do()
	x.await("the page did not settle", "document.body.dataset.round > %s && !document.querySelector('.busy')", before)
}

// goTo opens a dashboard by its address.
func (x *tab) goTo(hash string) {
	x.t.Helper()
	x.settled(func() { eval[string](x, "location.hash = %s", hash) })
}

// shot writes a picture of the whole page where SEXTANT_SCREENSHOTS says.
func (x *tab) shot(name string) {
	x.t.Helper()
	dir := os.Getenv("SEXTANT_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(x.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		x.t.Fatal(err)
	}
	name = strings.NewReplacer("/", "-", " ", "-").Replace(name) + ".png"
	if err := os.WriteFile(dir+"/"+name, png, 0o644); err != nil {
		x.t.Fatal(err)
	}
}
