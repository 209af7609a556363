package live

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Each warning is logged once, and a server that invents new ones without end is not listened to without end.
func TestWarnings(t *testing.T) {
	r := newRig(nil)
	w := &warnings{logger: r.logger, count: r.metrics.warnings, said: map[string]struct{}{}}
	for i := range 2 * maxWarnings {
		for range 3 {
			w.HandleWarningHeaderWithContext(context.Background(), 299, "", fmt.Sprint("deprecated ", i/3))
		}
	}
	if n := strings.Count(r.log.take(), "kubernetes warns"); n != 2*maxWarnings/3+1 {
		t.Errorf("%d lines", n)
	}
	for i := range 2 * maxWarnings {
		w.HandleWarningHeaderWithContext(context.Background(), 299, "", fmt.Sprint(i))
	}
	if n := strings.Count(r.log.take(), "kubernetes warns"); n != maxWarnings-2*maxWarnings/3-1 {
		t.Errorf("%d lines more", n)
	}
}
